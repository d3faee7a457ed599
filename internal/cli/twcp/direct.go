package twcp

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/internal/cli/stores"
	"github.com/tradewind-io/tradewind/objstore"
)

// openDirect sets up a transfer without a node: the far side is served by this process, over a session in memory. done
// must be called at the end.
func openDirect(ctx context.Context, o *options, p cli.Process, log *slog.Logger, spec *transfer.Spec, cfg *transfer.Config) (done func(), err error) {
	storeCfg, err := o.storeConfig(log)
	if err != nil {
		return nil, err
	}
	l := &stores.Local{Schemes: stores.New(p.Env, log), Config: storeCfg, Stdin: p.Stdin, Stdout: p.Stdout}
	serve := transfer.ServeConfig{
		Limits: transfer.Limits{Read: true, Write: true, List: true, Delete: true}, Logger: log, Sessions: new(transfer.Sessions),
		NoCompression: true, // nothing leaves the process
	}
	if objstore.IsURI(spec.Destination) && !isFile(spec.Destination) {
		var names []string
		if serve.Store, names, err = l.Destination(ctx, []string{spec.Destination}); err != nil {
			return nil, err
		}
		if err = openLocal(o, p, log, spec, cfg); err != nil {
			return nil, closeStore(serve.Store, err)
		}
		spec.Destination = cmp.Or(names[0], ".") // of a place that has nothing but itself, such as faux://
		if open := cfg.Open; open != nil {
			cfg.TellSources = true
			cfg.Open = func(ctx context.Context, paths []string) (transfer.Store, []string, error) {
				s, names, err := open(ctx, paths)
				serve.Sources = s // the session that uses it is dialed later
				return s, names, err
			}
		}
	} else {
		spec.Direction = transfer.Receive
		uris := make([]string, len(spec.Paths))
		for i, path := range spec.Paths {
			uris[i] = path.Source
		}
		var names []string
		if serve.Store, names, err = farSources(ctx, l, uris); err != nil {
			return nil, err
		}
		for i, name := range names {
			spec.Paths[i].Source = name
		}
		if err = openLocal(o, p, log, spec, cfg); err != nil {
			return nil, closeStore(serve.Store, err)
		}
	}
	cfg.Dial = func(ctx context.Context, _ *transfer.Spec) (fasp.Session, error) {
		near, far := fasp.Pipe()
		s := &directSession{Session: near, ended: make(chan struct{})}
		go func() {
			defer close(s.ended)
			if err := transfer.Serve(context.WithoutCancel(ctx), far, serve); err != nil {
				log.Debug("far side ended", "error", err)
			}
		}()
		return s, nil
	}
	return func() {
		if err := serve.Store.Close(); err != nil {
			log.Warn("place not closed", "error", err)
		}
	}, nil
}

// farSources opens the place of sources that the far side of a direct transfer reads: URIs, or local files.
func farSources(ctx context.Context, l *stores.Local, paths []string) (transfer.Store, []string, error) {
	local := 0
	names := make([]string, len(paths))
	root := ""
	for i, p := range paths {
		if objstore.IsURI(p) && !isFile(p) {
			continue
		}
		local++
		if isFile(p) {
			u, err := objstore.ParseURI(p)
			if err != nil {
				return nil, nil, usagef("%w", err)
			}
			p = "/" + u.Path
		}
		root, names[i] = splitRoot(p)
	}
	switch {
	case local == 0:
		return l.Sources(ctx, paths)
	case local < len(paths):
		return nil, nil, usagef("some sources are local files and others are not; all must be in one place")
	}
	d, err := transfer.OpenDir(root)
	if err != nil {
		return nil, nil, err
	}
	return d, names, nil
}

func closeStore(s transfer.Store, err error) error {
	_ = s.Close() // err is what matters
	return err
}

// directSession is the near end of a session whose far end this process serves.
type directSession struct {
	fasp.Session
	ended chan struct{}
}

// Close ends the session and waits for the far side.
func (s *directSession) Close(code fasp.Code, reason string) error {
	err := s.Session.Close(code, reason)
	<-s.ended
	return err
}

// isFile says whether uri is a local path by another name.
func isFile(uri string) bool {
	u, err := objstore.ParseURI(uri)
	return err == nil && u.Scheme == "file" && u.Host == "" && len(u.Options) == 0
}
