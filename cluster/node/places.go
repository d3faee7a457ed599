package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tradewind-io/tradewind/accesskey"
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
	storage func(context.Context, accesskey.Storage) (objstore.Driver, string, error) // see Config.OpenStorage
	cfg     objstore.Config
	ahead   int64 // see transfer.NewBucketStore

	mu   sync.Mutex // guards used
	used map[string]*place
}

type place struct {
	store transfer.Manager
	users int
}

// openPlaces opens the docroot: a folder or a URI.
func openPlaces(ctx context.Context, docroot, state string, schemes objstore.Schemes,
	storage func(context.Context, accesskey.Storage) (objstore.Driver, string, error), cfg objstore.Config, ahead int64,
) (*places, error) {
	p := &places{state: state, schemes: schemes, storage: storage, cfg: cfg, ahead: ahead, used: map[string]*place{}}
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

// open returns the store of what a grant is bound to: a folder below the docroot, which is made if needed, the URI of a place of its own, or storage that the
// key brings with it. release must be called when the store is not used any more.
func (p *places) open(ctx context.Context, g accesskey.Grant) (_ transfer.Manager, release func(), err error) {
	s, root := stored(g)
	name := placeName(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.used[name]
	if at == nil {
		store, err := p.make(ctx, s, root)
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

// placeName tells places apart.
func placeName(g accesskey.Grant) string {
	s, root := stored(g)
	if s != nil {
		return storageName(s, root)
	}
	return root
}

// stored returns the storage that is not below the docroot, nil if there is none, and the place in it, or below the docroot.
func stored(g accesskey.Grant) (*accesskey.Storage, string) {
	if g.Storage == nil || g.Storage.Type != "local" {
		root := g.Root
		if !objstore.IsURI(root) {
			root = orTop(root)
		}
		return g.Storage, root
	}
	return nil, orTop(joinKey(g.Storage.Fields["path"], orTop(g.Root)))
}

// orTop is a path without slashes at its ends, "." if nothing is left of it.
func orTop(path string) string {
	if path = strings.Trim(path, "/"); path == "" {
		return "."
	}
	return path
}

// storageName tells storages apart that differ in anything, credentials included.
func storageName(s *accesskey.Storage, root string) string {
	h := sha256.New()
	for _, m := range []map[string]string{{"type": s.Type, "root": root}, s.Fields, s.Credentials} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			_, _ = fmt.Fprintf(h, "%d %s%d %s", len(k), k, len(m[k]), m[k])
		}
		_, _ = h.Write([]byte{';'})
	}
	return fmt.Sprintf("storage:%x", h.Sum(nil))
}

// absent says whether open would have to make the folder of a grant.
func (p *places) absent(g accesskey.Grant) bool {
	s, name := stored(g)
	if s != nil {
		return false
	}
	local := filepath.FromSlash(strings.Trim(name, "/"))
	if p.root == nil || objstore.IsURI(name) || local == "" {
		return false
	}
	_, err := p.root.Stat(local)
	return errors.Is(err, os.ErrNotExist)
}

func (p *places) make(ctx context.Context, s *accesskey.Storage, name string) (transfer.Manager, error) {
	if s != nil {
		if p.storage == nil {
			return nil, fmt.Errorf("storage of type %s is not offered by this node: %w", s.Type, errors.ErrUnsupported)
		}
		d, prefix, err := p.storage(ctx, *s)
		if err != nil {
			return nil, err
		}
		b := objstore.NewBucket(d, p.cfg)
		return transfer.NewBucketStore(b, joinKey(prefix, name), p.ahead, b.Close), nil
	}
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

func (p *places) dir(root *os.Root, err error) (transfer.Manager, error) {
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
