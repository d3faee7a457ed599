package fileids

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// Keys returns Config.Keys so that ids and permissions of a place end with its key: with one that is deleted, gets another place, or is new, which may have the id of one that was deleted
// in some other way.
func (f *Files) Keys() accesskey.Store { return keys{f.cfg.Keys, f} }

type keys struct {
	accesskey.Store
	f *Files
}

// Put implements accesskey.Store.
func (k keys) Put(ctx context.Context, key accesskey.Key) error {
	old, err := k.Key(ctx, key.ID)
	known := err == nil
	if err != nil && !errors.Is(err, accesskey.ErrNotFound) {
		return err
	}
	if err := k.Store.Put(ctx, key); err != nil || known && samePlace(old, key) {
		return err
	}
	ctx = context.WithoutCancel(ctx) // half of it would be worse than none
	if err := k.forget(ctx, key.ID); err != nil {
		if known {
			return errors.Join(err, k.Store.Put(ctx, old))
		}
		return errors.Join(err, k.Store.Delete(ctx, key.ID)) // a new key must not come upon what is left
	}
	return nil
}

// Delete implements accesskey.Store.
func (k keys) Delete(ctx context.Context, id string) error {
	if err := k.Store.Delete(ctx, id); err != nil {
		return err
	}
	return k.forget(context.WithoutCancel(ctx), id)
}

func (k keys) forget(ctx context.Context, id string) error {
	return k.f.turns.alone(ctx, id, []string{"."}, func() error {
		err := k.f.cfg.State.DeleteFileID(ctx, id, state.RootFile)
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			return fmt.Errorf("forget the file ids of key %s: %w", id, err)
		}
		return nil
	})
}

// samePlace says whether two keys are bound to the same place, with whatever credentials.
func samePlace(a, b accesskey.Key) bool {
	if a.Root != b.Root || (a.Storage == nil) != (b.Storage == nil) {
		return false
	}
	return a.Storage == nil || a.Storage.Type == b.Storage.Type && maps.Equal(a.Storage.Fields, b.Storage.Fields)
}
