package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// places opens the folders that keys are bound to, and keeps those in use open once.
type places struct {
	root *os.Root // the docroot

	mu   sync.Mutex // guards used
	used map[string]*place
}

type place struct {
	store transfer.Store
	users int
}

func openPlaces(docroot string) (*places, error) {
	abs, err := filepath.Abs(docroot)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("docroot: %w", err)
	}
	return &places{root: root, used: map[string]*place{}}, nil
}

func (p *places) close() { p.root.Close() }

// open returns the store of the folder at name, a slash path below the docroot, which is made if needed. release must be
// called when the store is not used any more.
func (p *places) open(name string) (_ transfer.Store, release func(), err error) {
	name = strings.Trim(name, "/")
	if name == "" {
		name = "."
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.used[name]
	if at == nil {
		store, err := p.make(name)
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

func (p *places) make(name string) (transfer.Store, error) {
	local := filepath.FromSlash(name)
	if !filepath.IsLocal(local) {
		return nil, fmt.Errorf("%q leads out of the docroot", name)
	}
	if err := p.root.MkdirAll(local, 0o777); err != nil {
		return nil, err
	}
	below, err := p.root.OpenRoot(local) // refuses links that lead out
	if err != nil {
		return nil, err
	}
	dir, err := transfer.NewDir(below)
	if err != nil {
		below.Close()
		return nil, err
	}
	return dir, nil
}

func (p *places) release(name string, at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.users--; at.users == 0 {
		delete(p.used, name)
		at.store.Close()
	}
}
