package accesskey

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
)

// Store keeps keys. Methods may be called by several goroutines at once.
type Store interface {
	// Key returns the key of this id, or ErrNotFound. It should take the same time for known and unknown ids.
	Key(ctx context.Context, id string) (Key, error)
	// Keys returns all keys, ordered by id; the caller owns the slice.
	Keys(ctx context.Context) ([]Key, error)
	// Put adds the key or replaces the one of the same id.
	Put(ctx context.Context, k Key) error
	// Delete removes the key of this id, or returns ErrNotFound.
	Delete(ctx context.Context, id string) error
}

// MemStore is a Store in memory. The zero MemStore is empty and ready.
type MemStore struct {
	mu   sync.RWMutex // guards keys
	keys map[string]Key
}

// Key implements Store.
func (s *MemStore) Key(_ context.Context, id string) (Key, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k, ok := s.keys[id]
	if !ok {
		return Key{}, ErrNotFound
	}
	return k, nil
}

// Keys implements Store.
func (s *MemStore) Keys(context.Context) ([]Key, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return sorted(s.keys), nil
}

// Put implements Store.
func (s *MemStore) Put(_ context.Context, k Key) error {
	if err := k.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string]Key{}
	}
	s.keys[k.ID] = k
	return nil
}

// Delete implements Store.
func (s *MemStore) Delete(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.keys[id]; !ok {
		return ErrNotFound
	}
	delete(s.keys, id)
	return nil
}

func sorted(keys map[string]Key) []Key {
	all := make([]Key, 0, len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b Key) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Check says what is wrong with k, nil if nothing is. Stores take no Key that is wrong.
func (k Key) Check() error {
	if err := checkID(k.ID); err != nil {
		return err
	}
	if k.Verifier == (Verifier{}) {
		return fmt.Errorf("access key %s has no verifier", k.ID)
	}
	if k.Tenant != "" {
		if err := checkID(k.Tenant); err != nil {
			return fmt.Errorf("access key %s: tenant: %w", k.ID, err)
		}
	}
	if k.Storage != nil {
		if err := k.Storage.Check(); err != nil {
			return fmt.Errorf("access key %s: %w", k.ID, err)
		}
	}
	if k.TokenKey != "" {
		if _, err := ParseTokenKey(k.TokenKey); err != nil {
			return fmt.Errorf("access key %s: %w", k.ID, err)
		}
	}
	if _, err := ParseConfiguration(k.Config); err != nil {
		return fmt.Errorf("access key %s: %w", k.ID, err)
	}
	if k.RateCap < 0 {
		return fmt.Errorf("access key %s: the rate cap is negative", k.ID)
	}
	if k.VLink != "" {
		if err := checkID(k.VLink); err != nil {
			return fmt.Errorf("access key %s: vlink: %w", k.ID, err)
		}
	}
	return nil
}
