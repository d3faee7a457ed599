package twcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli/stores"
	"github.com/tradewind-io/tradewind/objstore"
)

// connectionFlags declares how a node is reached, as for transfers.
func connectionFlags(f *pflag.FlagSet, o *options) {
	all := flagSet(o)
	for _, name := range []string{"udp-port", "tcp-port", "ws-connect", "private-key", "fingerprint", "check-sshfp", "ignore-host-key", "known-hosts", "idle-timeout", "early-data", "quiet"} {
		f.AddFlag(all.Lookup(name))
	}
}

// place is one that a command has opened, by what names it.
type place struct {
	id     string
	remote *transfer.Remote
	close  func() error
}

// open returns the place of a target, and the target's name in it.
func (c *fileRun) open(ctx context.Context, target string) (*transfer.Remote, string, error) {
	id, name, dial, err := c.locate(ctx, target)
	if err != nil {
		return nil, "", err
	}
	for _, p := range c.places {
		if p.id == id {
			return p.remote, name, nil
		}
	}
	sess, done, err := dial()
	if err != nil {
		return nil, "", err
	}
	r, err := transfer.Manage(ctx, sess)
	if err != nil {
		_ = done() // err is what matters
		return nil, "", err
	}
	c.places = append(c.places, &place{id: id, remote: r, close: func() error { return errors.Join(r.Close(), done()) }})
	return r, name, nil
}

// close closes all places. Others may be opened afterwards.
func (c *fileRun) close() error {
	err := closeAll(c.places)
	c.places = nil
	if c.early != nil {
		c.early.save()
		c.early = nil
	}
	return err
}

func closeAll(places []*place) error {
	var errs []error
	for _, p := range places {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

// locate says which place a target is in, by an id, and how a session with it is had.
func (c *fileRun) locate(ctx context.Context, target string) (id, name string, dial func() (fasp.Session, func() error, error), err error) {
	if r, path, ok := splitRemote(target); ok {
		if err := noPort(target); err != nil {
			return "", "", nil, err
		}
		return "node " + r.with(""), path, func() (fasp.Session, func() error, error) { return c.dialNode(ctx, r) }, nil
	}
	log := slog.New(slog.DiscardHandler)
	if !objstore.IsURI(target) || isFile(target) {
		if isFile(target) {
			u, err := objstore.ParseURI(target)
			if err != nil {
				return "", "", nil, usagef("%w", err)
			}
			target = "/" + u.Path
		}
		root, name := splitRoot(realParent(absolute(target)))
		return "files " + root, name, func() (fasp.Session, func() error, error) {
			d, err := transfer.OpenDir(root)
			if err != nil {
				return nil, nil, err
			}
			return serveHere(ctx, d, log)
		}, nil
	}
	if _, err := objstore.ParseURI(target); err != nil {
		return "", "", nil, usagef("%w", err)
	}
	l := &stores.Local{Schemes: stores.New(c.p.Env, log), Config: objstore.Config{Logger: log}}
	id, name, err = l.Locate(ctx, target)
	if err != nil {
		return "", "", nil, err
	}
	return id, name, func() (fasp.Session, func() error, error) {
		s, _, err := l.Destination(ctx, []string{target})
		if err != nil {
			return nil, nil, err
		}
		return serveHere(ctx, s, log)
	}, nil
}

// serveHere serves a store to a session in memory.
func serveHere(ctx context.Context, s transfer.Store, log *slog.Logger) (fasp.Session, func() error, error) {
	near, far := fasp.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- transfer.Serve(context.WithoutCancel(ctx), far, transfer.ServeConfig{
			Store: s, Limits: transfer.Limits{Read: true, Write: true, List: true, Delete: true}, Logger: log, NoCompression: true,
		})
	}()
	return near, func() error {
		_ = near.Close(fasp.CodeDone, "")
		return errors.Join(<-served, s.Close())
	}, nil
}

// dialNode opens a session with a node.
func (c *fileRun) dialNode(ctx context.Context, r remote) (fasp.Session, func() error, error) {
	d, err := c.dialer(r)
	if err != nil {
		return nil, nil, err
	}
	d.manage = true
	sess, err := d.dial(ctx, &transfer.Spec{Host: r.host, Port: c.o.udpPort, Direction: transfer.Receive})
	if err != nil {
		return nil, nil, err
	}
	return sess, func() error { return sess.Close(fasp.CodeDone, "") }, nil
}

// dialer returns what opens sessions with a node.
func (c *fileRun) dialer(r remote) (*dialer, error) {
	o := &c.o.options
	cred, err := findCredentials(o, r.user, "", c.p.Env)
	if err != nil {
		return nil, err
	}
	warn := func(format string, args ...any) {
		if !o.quiet {
			fmt.Fprintf(c.p.Stderr, "twcp: "+format+"\n", args...)
		}
	}
	warnUnusedName(r.user, cred, c.p.Env, warn)
	d := &dialer{log: slog.New(slog.DiscardHandler), handshake: 15 * time.Second}
	if err := d.use(cred, o, c.p.Env, warn); err != nil {
		return nil, err
	}
	if o.earlyData {
		if c.early == nil {
			dir, err := c.p.Env.StateDir()
			if err != nil {
				dir = ""
			}
			c.early = openTickets(dir, d.log)
		}
		d.tickets = c.early.tickets
	}
	if d.idle, err = parseSeconds("idle-timeout", o.idleTimeout); err != nil {
		return nil, err
	}
	return d, nil
}

// isPlace says whether a target is on a node or a URI.
func isPlace(target string) bool {
	_, _, ok := splitRemote(target)
	return ok || objstore.IsURI(target)
}

// splitRoot cuts a local path into the root of its file system and the name below it.
func splitRoot(p string) (root, name string) {
	abs := absolute(p)
	root = filepath.VolumeName(filepath.FromSlash(abs)) + string(filepath.Separator)
	return root, strings.TrimPrefix(abs, filepath.ToSlash(root))
}

// realParent follows the symbolic links in the folders above the local path p, as far as they exist; what p itself is stays.
// A place refuses links that begin with a slash.
func realParent(p string) string {
	dir, base := path.Split(path.Clean(p))
	if base == "" {
		return p
	}
	dir = path.Clean(dir)
	if real, err := filepath.EvalSymlinks(filepath.FromSlash(dir)); err == nil {
		return path.Join(filepath.ToSlash(real), base)
	}
	if dir == p || dir == "/" || dir == "." {
		return p
	}
	return path.Join(realParent(dir), base)
}

// absolute is a local path from the root on, with slashes.
func absolute(p string) string {
	if abs, err := filepath.Abs(p); err == nil {
		p = abs
	}
	return filepath.ToSlash(p)
}

// json prints a line of JSON.
func (c *fileRun) json(v any) error {
	e := json.NewEncoder(c.p.Stdout)
	e.SetEscapeHTML(false) // URIs hold &
	return e.Encode(v)
}

// count says how many things were done with a target.
func (c *fileRun) count(target, what string, n int64) error {
	if c.o.json {
		return c.json(map[string]any{"name": target, what: n})
	}
	return nil
}

func itemJSON(name, target string, in transfer.Info) any {
	j := struct {
		Name     string `json:"name"`
		Type     string `json:"type"`
		Size     *int64 `json:"size,omitempty"`
		Modified string `json:"modified,omitempty"`
		ETag     string `json:"etag,omitempty"`
		Class    string `json:"class,omitempty"`
		Changed  string `json:"changed,omitempty"`
		Target   string `json:"target,omitempty"`
	}{Name: name, Type: typeOf(in), ETag: in.ETag, Class: in.Class, Target: target}
	if !in.Mode.IsDir() {
		j.Size = &in.Size
	}
	if in.Mtime != 0 {
		j.Modified = timeText(in.Mtime)
	}
	if in.Ctime != 0 {
		j.Changed = timeText(in.Ctime)
	}
	return j
}

func typeOf(in transfer.Info) string {
	switch {
	case in.Mode.IsDir():
		return "folder"
	case in.Mode&fs.ModeSymlink != 0:
		return "link"
	case in.Mode.IsRegular():
		return "file"
	}
	return "other"
}

func sizeText(in transfer.Info) string {
	if in.Mode.IsDir() {
		return "-"
	}
	return strconv.FormatInt(in.Size, 10)
}

func timeText(ns int64) string {
	if ns == 0 {
		return "-"
	}
	return time.Unix(0, ns).UTC().Format(time.RFC3339)
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
