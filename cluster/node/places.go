package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/objstore"
)

// places opens what keys are bound to, folders and places in object stores, and keeps those in use open once.
type places struct {
	root    *os.Root         // the docroot, if it is a folder
	bucket  *objstore.Bucket // the docroot, if it is in a store
	prefix  string           // of the docroot in its bucket
	state   string           // folder that no place may reach
	schemes objstore.Schemes
	cfg     objstore.Config
	ahead   int64 // see transfer.NewBucketStore

	mu   sync.Mutex // guards used
	used map[string]*place
}

type place struct {
	store transfer.Store
	users int
}

// openPlaces opens the docroot: a folder or a URI.
func openPlaces(ctx context.Context, docroot, state string, schemes objstore.Schemes, cfg objstore.Config, ahead int64) (*places, error) {
	p := &places{state: state, schemes: schemes, cfg: cfg, ahead: ahead, used: map[string]*place{}}
	if dir, ok := folder(docroot); ok {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		if p.root, err = os.OpenRoot(abs); err != nil {
			return nil, fmt.Errorf("docroot: %w", err)
		}
		return p, nil
	}
	var err error
	if p.bucket, p.prefix, err = schemes.OpenBucket(ctx, docroot, cfg); err != nil {
		return nil, fmt.Errorf("docroot: %w", err)
	}
	// A wrong name or a missing right shows now and not with the first client. An empty listing is none of them.
	if _, err := p.bucket.ListPage(ctx, objstore.ListOptions{Prefix: p.prefix, Max: 1}); err != nil {
		return nil, errors.Join(fmt.Errorf("docroot: %w", err), p.bucket.Close())
	}
	return p, nil
}

// folder returns the local folder that a docroot names, false if it is in a store.
func folder(docroot string) (string, bool) {
	if !objstore.IsURI(docroot) {
		return docroot, true
	}
	u, err := objstore.ParseURI(docroot)
	if err == nil && u.Scheme == "file" && u.Host == "" && len(u.Options) == 0 {
		return "/" + u.Path, true
	}
	return "", false
}

func (p *places) close() error {
	if p.bucket != nil {
		return p.bucket.Close()
	}
	return p.root.Close()
}

// open returns the store of the folder at name: a slash path below the docroot, which is made if needed, or the URI of a
// place of its own. release must be called when the store is not used any more.
func (p *places) open(ctx context.Context, name string) (_ transfer.Store, release func(), err error) {
	if !objstore.IsURI(name) {
		if name = strings.Trim(name, "/"); name == "" {
			name = "."
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.used[name]
	if at == nil {
		store, err := p.make(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		at = &place{store: store}
		p.used[name] = at
	}
	at.users++
	var once sync.Once
	return at.store, func() { once.Do(func() { p.release(name, at) }) }, nil
}

// absent says whether open would have to make the folder at name.
func (p *places) absent(name string) bool {
	local := filepath.FromSlash(strings.Trim(name, "/"))
	if p.root == nil || objstore.IsURI(name) || local == "" {
		return false
	}
	_, err := p.root.Stat(local)
	return errors.Is(err, os.ErrNotExist)
}

func (p *places) make(ctx context.Context, name string) (transfer.Store, error) {
	if dir, ok := folder(name); objstore.IsURI(name) && ok {
		if err := apart(p.state, dir); err != nil {
			return nil, err
		}
		return p.dir(os.OpenRoot(dir))
	}
	if objstore.IsURI(name) {
		b, prefix, err := p.schemes.OpenBucket(ctx, name, p.cfg)
		if err != nil {
			return nil, err
		}
		return transfer.NewBucketStore(b, prefix, p.ahead, b.Close), nil
	}
	local := filepath.FromSlash(name)
	if !filepath.IsLocal(local) {
		return nil, fmt.Errorf("%q leads out of the docroot", name)
	}
	if p.bucket != nil {
		return transfer.NewBucketStore(p.bucket, joinKey(p.prefix, filepath.ToSlash(filepath.Clean(local))), p.ahead, nil), nil
	}
	if err := p.root.MkdirAll(local, 0o777); err != nil {
		return nil, err
	}
	return p.dir(p.root.OpenRoot(local)) // refuses links that lead out
}

func (p *places) dir(root *os.Root, err error) (transfer.Store, error) {
	if err != nil {
		return nil, err
	}
	dir, err := transfer.NewDir(root)
	if err != nil {
		root.Close()
		return nil, err
	}
	return dir, nil
}

func joinKey(prefix, name string) string {
	switch prefix = strings.Trim(prefix, "/"); {
	case name == ".":
		return prefix
	case prefix == "":
		return name
	}
	return prefix + "/" + name
}

func (p *places) release(name string, at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.users--; at.users == 0 {
		delete(p.used, name)
		at.store.Close()
	}
}
