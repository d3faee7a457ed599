package keystore

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/state"
)

func openState(t *testing.T, path string) *state.Store {
	t.Helper()
	s, err := state.Open(t.Context(), state.Config{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func newKey(t *testing.T, id string) accesskey.Key {
	t.Helper()
	k, _, err := accesskey.NewKey(accesskey.Credential{ID: id, Secret: "a secret of more than 128 bits, surely"})
	require.NoError(t, err)
	return k
}

// TestStore: keys are as they were put, also for who opens the state anew, and tenants come with their keys.
func TestStore(t *testing.T) {
	ctx, path, master := t.Context(), filepath.Join(t.TempDir(), "state.db"), accesskey.NewMaster()
	s, err := state.Open(ctx, state.Config{Path: path})
	require.NoError(t, err)
	k, err := Open(ctx, s, master)
	require.NoError(t, err)
	_, err = k.Key(ctx, "a")
	require.ErrorIs(t, err, accesskey.ErrNotFound)
	require.ErrorIs(t, k.Delete(ctx, "a"), accesskey.ErrNotFound)
	require.Error(t, k.Put(ctx, accesskey.Key{ID: "c"}), "a key without a verifier is refused")

	a, b := newKey(t, "a"), newKey(t, "b")
	a.Tenant, a.Created, a.Note = "acme", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "x"
	a.Storage = &accesskey.Storage{Type: "ibm-s3", Fields: map[string]string{"bucket": "b", "endpoint": "e"}, Credentials: map[string]string{"access_key_id": "id", "secret_access_key": "s"}}
	require.NoError(t, k.Put(ctx, b))
	require.NoError(t, k.Put(ctx, a))
	a.Note, a.Disabled = "y", true
	require.NoError(t, k.Put(ctx, a))
	a.Storage.Credentials["secret_access_key"] = "changed after the fact"
	got, err := k.Key(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, "s", got.Storage.Credentials["secret_access_key"], "what the caller does with its own later changes nothing")
	a.Storage.Credentials["secret_access_key"] = "s"
	row, err := s.Tenant(ctx, "acme")
	require.NoError(t, err)
	require.Equal(t, "acme", row.ID)

	var wg sync.WaitGroup
	for i := range 600 { // more than a page
		wg.Go(func() {
			if err := k.Put(ctx, newKey(t, fmt.Sprint("k", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, k.Delete(ctx, "b"))
	require.NoError(t, s.Close())

	again := openState(t, path)
	k, err = Open(ctx, again, master)
	require.NoError(t, err)
	all, err := k.Keys(ctx)
	require.NoError(t, err)
	require.Len(t, all, 601)
	require.Equal(t, a, all[0])
	_, err = Open(ctx, again, accesskey.NewMaster())
	require.ErrorIs(t, err, accesskey.ErrCorrupt)
	require.ErrorContains(t, err, "master.key")
}

// TestStoreNotWritten: what could not be made durable is not there.
func TestStoreNotWritten(t *testing.T) {
	s, err := state.Open(t.Context(), state.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	require.NoError(t, err)
	k, err := Open(t.Context(), s, accesskey.NewMaster())
	require.NoError(t, err)
	old := newKey(t, "old")
	require.NoError(t, k.Put(t.Context(), old))
	require.NoError(t, s.Close())
	require.ErrorIs(t, k.Put(t.Context(), newKey(t, "a")), state.ErrClosed)
	_, err = k.Key(t.Context(), "a")
	require.ErrorIs(t, err, accesskey.ErrNotFound)
	require.ErrorIs(t, k.Delete(t.Context(), "old"), state.ErrClosed)
	got, err := k.Key(t.Context(), "old")
	require.NoError(t, err)
	require.Equal(t, old, got)
}
