package memstore

import (
	"context"
	"sync"

	"github.com/tradewind-io/tradewind/objstore"
)

// Host has places by name. The zero Host has none; they are made when they are first asked for. Methods may be called by
// several goroutines at once.
type Host struct {
	mu     sync.Mutex // protects places
	places map[string]*place
}

// Store returns a Store of the place with that name.
func (h *Host) Store(name string) *Store {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.places[name]
	if p == nil {
		if h.places == nil {
			h.places = make(map[string]*place)
		}
		p = newPlace()
		h.places[name] = p
	}
	return &Store{p: p}
}

// Open is the objstore.Opener of mem://NAME/KEY.
func (h *Host) Open(_ context.Context, u objstore.URI) (objstore.Driver, string, error) {
	if err := u.Unknown("none"); err != nil {
		return nil, "", &objstore.Error{Op: "open", Kind: objstore.Invalid, Err: err}
	}
	return h.Store(u.Host), u.Path, nil
}
