package keystore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// Store is an accesskey.Store in a state store, which nobody else may write keys to meanwhile. Several goroutines may use it at once.
type Store struct {
	state  *state.Store
	master accesskey.Master

	turn sync.Mutex   // held while keys are written; whoever has it may take mu
	mu   sync.RWMutex // guards keys
	keys map[string]accesskey.Key
}

// pageSize is how many keys are read at a time.
const pageSize = 500

// Open reads the keys that are there. Errors: accesskey.ErrCorrupt if one does not open with master, and those of the state store.
func Open(ctx context.Context, s *state.Store, master accesskey.Master) (*Store, error) {
	k := &Store{state: s, master: master, keys: map[string]accesskey.Key{}}
	for cursor := ""; ; {
		rows, next, err := s.Keys(ctx, state.KeyFilter{}, state.Page{Limit: pageSize, After: cursor})
		if err != nil {
			return nil, fmt.Errorf("read the access keys: %w", err)
		}
		for _, row := range rows {
			key, err := master.OpenKey(record(row))
			if err != nil {
				return nil, fmt.Errorf("%w; is master.key the one that belongs to this state folder?", err)
			}
			k.keys[key.ID] = key
		}
		if cursor = next; cursor == "" {
			return k, nil
		}
	}
}

func record(row state.Key) accesskey.Record {
	return accesskey.Record{ID: row.ID, Tenant: row.Tenant, State: row.Status, Disabled: row.Disabled, Verifiers: row.Secret, Credentials: row.Storage, Doc: row.Doc}
}

// Key implements accesskey.Store.
func (k *Store) Key(_ context.Context, id string) (accesskey.Key, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok := k.keys[id]
	if !ok {
		return accesskey.Key{}, accesskey.ErrNotFound
	}
	return key, nil
}

// Keys implements accesskey.Store.
func (k *Store) Keys(context.Context) ([]accesskey.Key, error) {
	k.mu.RLock()
	all := make([]accesskey.Key, 0, len(k.keys))
	for _, key := range k.keys {
		all = append(all, key)
	}
	k.mu.RUnlock()
	slices.SortFunc(all, func(a, b accesskey.Key) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// Put implements accesskey.Store. It returns when the key is durable. A tenant that is not known yet is made.
func (k *Store) Put(ctx context.Context, key accesskey.Key) error {
	r, err := k.master.SealKey(key)
	if err != nil {
		return err
	}
	// As it is when it is read again: the caller's storage is its own to change.
	if key, err = k.master.OpenKey(r); err != nil {
		return err
	}
	k.turn.Lock()
	defer k.turn.Unlock()
	if err := k.state.Update(ctx, func(tx *state.Tx) error { return write(ctx, tx, r) }); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[key.ID] = key
	return nil
}

func write(ctx context.Context, tx *state.Tx, r accesskey.Record) error {
	if r.Tenant != "" {
		_, err := tx.Tenant(ctx, r.Tenant)
		if errors.Is(err, state.ErrNotFound) {
			_, err = tx.CreateTenant(ctx, state.Tenant{ID: r.Tenant})
		}
		if err != nil {
			return err
		}
	}
	row := state.Key{ID: r.ID, Tenant: r.Tenant, Status: r.State, Disabled: r.Disabled, Secret: r.Verifiers, Storage: r.Credentials, Doc: r.Doc}
	old, err := tx.Key(ctx, r.ID)
	switch {
	case errors.Is(err, state.ErrNotFound):
		_, err = tx.CreateKey(ctx, row)
	case err == nil:
		row.Rev = old.Rev
		_, err = tx.UpdateKey(ctx, row)
	}
	return err
}

// Delete implements accesskey.Store.
func (k *Store) Delete(ctx context.Context, id string) error {
	k.turn.Lock()
	defer k.turn.Unlock()
	err := k.state.DeleteKey(ctx, id, 0)
	if errors.Is(err, state.ErrNotFound) {
		return accesskey.ErrNotFound
	}
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, id)
	return nil
}
