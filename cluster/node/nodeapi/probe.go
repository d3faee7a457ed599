package nodeapi

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

const (
	probeTimeout = 30 * time.Second
	probeTurns   = 8 // at a time
)

// errProbed ends the listing of a probe: one entry proves as much as all.
var errProbed = errors.New("probed")

// Resume tries the storage of the keys that are pending, in the background: those that were made before this Server, and never tried.
func (s *Server) Resume(ctx context.Context) error {
	keys, err := s.cfg.Keys.Keys(ctx)
	if err != nil {
		return err
	}
	for i := range keys {
		if keys[i].State == accesskey.Pending {
			s.probes.start(keys[i].ID)
		}
	}
	return nil
}

// probe tries the storage of a key and notes how it went. It may be cut off; the key stays pending then.
func (s *Server) probe(ctx context.Context, id string) {
	k, err := s.cfg.Keys.Key(ctx, id)
	if err != nil {
		s.probeFailed(ctx, id, err)
		return
	}
	try, cancel := context.WithTimeout(ctx, probeTimeout)
	err = s.reach(try, k.Grant())
	cancel()
	if ctx.Err() != nil {
		return
	}
	state, text := accesskey.Ready, ""
	if err != nil {
		state, text = accesskey.Failed, probeText(&k, err)
		s.cfg.Logger.Warn("the storage of an access key cannot be reached", "key", id, "reason", text, "error", redact(err, k.Storage))
	}
	err = s.Exclusive(ctx, func() error {
		now, err := s.cfg.Keys.Key(ctx, id)
		if err != nil || now.State != accesskey.Pending || now.Root != k.Root || !sameStorage(now.Storage, k.Storage) {
			return err // what was tried is not what it has now; another probe is on its way
		}
		now.State, now.StateText = state, text
		return s.cfg.Keys.Put(ctx, now)
	})
	if err != nil {
		s.probeFailed(ctx, id, err)
	}
}

// probeFailed is for errors of our own store. A key that is gone is none.
func (s *Server) probeFailed(ctx context.Context, id string, err error) {
	if ctx.Err() == nil && !errors.Is(err, accesskey.ErrNotFound) {
		s.cfg.Logger.Error("the state of an access key cannot be noted", "key", id, "error", err)
	}
}

// reach opens a place and lists one entry.
func (s *Server) reach(ctx context.Context, g accesskey.Grant) error {
	m, release, err := s.cfg.Places.Open(ctx, g)
	if err != nil {
		return err
	}
	defer release()
	err = m.Walk(ctx, ".", transfer.WalkOptions{}, func(transfer.Info) error { return errProbed })
	if errors.Is(err, errProbed) {
		return nil
	}
	return err
}

// probeText is what answers say. Texts of a store may repeat URLs, which may hold credentials.
func probeText(k *accesskey.Key, err error) string {
	switch {
	case errors.Is(err, errors.ErrUnsupported) && k.Storage != nil:
		return "this node has no driver for storage of type " + k.Storage.Type
	case errors.Is(err, errors.ErrUnsupported):
		scheme, _, _ := strings.Cut(k.Root, "://")
		return "this node has no driver for " + scheme + "://"
	case errors.Is(err, fs.ErrPermission):
		return "the storage refuses the credentials, or this path"
	case errors.Is(err, fs.ErrNotExist):
		return "the storage has no such bucket, container or folder"
	case errors.Is(err, context.DeadlineExceeded):
		return "the storage did not answer within " + probeTimeout.String()
	}
	return "the storage cannot be reached; the node's log says more"
}

func sameStorage(a, b *accesskey.Storage) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Type == b.Type && maps.Equal(a.Fields, b.Fields) && maps.Equal(a.Credentials, b.Credentials)
}

// redact is the text of an error without what are credentials of the storage.
func redact(err error, st *accesskey.Storage) string {
	text := err.Error()
	if st == nil {
		return text
	}
	for name, v := range st.Credentials {
		if name == "type" || v == "" {
			continue
		}
		secrets := []string{v, url.QueryEscape(v), url.PathEscape(v)}
		if u, err := url.Parse(v); err == nil && u.RawQuery != "" { // a signature in a URL
			secrets = append(secrets, u.RawQuery)
		}
		for _, s := range secrets {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	return text
}

// probes runs one probe at a time for each key.
type probes struct {
	turns chan struct{}
	run   func(id string) // a probe that ends when the probes are closed
	stop  context.CancelFunc
	wg    sync.WaitGroup

	mu     sync.Mutex      // guards the rest
	again  map[string]bool // keys whose probe is under way; true: it has to be done anew
	closed bool
}

func newProbes(probe func(ctx context.Context, id string)) *probes {
	life, stop := context.WithCancel(context.Background())
	p := &probes{turns: make(chan struct{}, probeTurns), stop: stop, again: map[string]bool{}}
	p.run = func(id string) {
		select {
		case p.turns <- struct{}{}:
			probe(life, id)
			<-p.turns
		case <-life.Done():
		}
	}
	return p
}

// start has a key's storage tried.
func (p *probes) start(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return // Resume of the next Server finds the key pending
	}
	if _, busy := p.again[id]; busy {
		p.again[id] = true
		return
	}
	p.again[id] = false
	p.wg.Go(func() {
		for more := true; more; more = p.next(id) {
			p.run(id)
		}
	})
}

// next says whether a key has to be tried once more.
func (p *probes) next(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.again[id] && !p.closed {
		p.again[id] = false
		return true
	}
	delete(p.again, id)
	return false
}

// close waits for the probes, and cuts them off when ctx ends.
func (p *probes) close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.wg.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.stop()
	<-done
	return err
}
