package accesskey

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMemStore(t *testing.T) {
	ctx, store := t.Context(), &MemStore{}
	_, err := store.Key(ctx, "alice")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, store.Delete(ctx, "alice"), ErrNotFound)
	b, a := testKey(t, Credential{ID: "b", Secret: "s"}), testKey(t, alice)
	require.NoError(t, store.Put(ctx, b))
	require.NoError(t, store.Put(ctx, a))
	all, err := store.Keys(ctx)
	require.NoError(t, err)
	require.Equal(t, []Key{a, b}, all)
	a.Note, a.Disabled, a.Rights = "", true, Rights{}
	require.NoError(t, store.Put(ctx, a))
	got, err := store.Key(ctx, "alice")
	require.NoError(t, err)
	require.Equal(t, a, got)
	require.NoError(t, store.Delete(ctx, "alice"))
	_, err = store.Key(ctx, "alice")
	require.ErrorIs(t, err, ErrNotFound)
	require.Error(t, store.Put(ctx, Key{ID: "c"}), "a key without a verifier is refused")
	require.Error(t, store.Put(ctx, Key{ID: "c:", Verifier: a.Verifier}))
}

// fullKey has something in each field.
func fullKey(t testing.TB) Key {
	k := testKey(t, alice)
	k.Storage = &Storage{Type: "ibm-s3", Fields: map[string]string{"bucket": "b", "endpoint": "e"}, Credentials: map[string]string{"access_key_id": "AKID", "secret_access_key": "hunter2"}}
	k.Tenant, k.State, k.StateText, k.TokenKey, k.Config = "acme", Failed, "no such bucket", pemOf(t, &testRSA().PublicKey), json.RawMessage(`{"transfer":{}}`)
	k.Root, k.RateCap, k.VLink, k.Disabled, k.Note, k.Rights = "x/y", 7, "office", true, "a note", Rights{List: true}
	k.Created = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	k, _, err := k.Rotate(Credential{ID: "alice", Secret: "next"}, time.Hour, time.Now())
	require.NoError(t, err)
	return k
}

// TestRecord: a key comes back whole, and what is secret of it stands in its record sealed only.
func TestRecord(t *testing.T) {
	m := NewMaster()
	for _, k := range []Key{testKey(t, alice), fullKey(t)} {
		r, err := m.SealKey(k)
		require.NoError(t, err)
		b, err := json.Marshal(r)
		require.NoError(t, err)
		require.NotContains(t, string(b), "hunter2")
		require.NotContains(t, string(b), "AKID")
		got, err := m.OpenKey(r)
		require.NoError(t, err)
		require.Equal(t, k, got)

		_, err = NewMaster().OpenKey(r)
		require.ErrorIs(t, err, ErrCorrupt)
		require.ErrorContains(t, err, "another master key")
		other := r
		other.ID = "mallory"
		_, err = m.OpenKey(other)
		require.ErrorIs(t, err, ErrCorrupt, "a verifier does not open for another id")
		for _, spoil := range []func(r *Record){
			func(r *Record) { r.State = "?" },
			func(r *Record) { r.Doc = []byte(`{`) },
			func(r *Record) { r.Doc = []byte(`{"rights":["fly"]}`) },
			func(r *Record) { r.Verifiers = m.Seal(verifierLabel(r.ID), k.Verifier[:31]) },
			func(r *Record) { r.Verifiers = m.Seal(verifierLabel(r.ID), make([]byte, 32)) },
			func(r *Record) { r.Doc, r.Credentials = []byte(`{}`), m.Seal(credentialsLabel(r.ID), []byte(`{}`)) },
		} {
			bad := r
			spoil(&bad)
			_, err := m.OpenKey(bad)
			require.ErrorIs(t, err, ErrCorrupt)
		}
	}
	_, err := m.SealKey(Key{ID: "c"})
	require.Error(t, err)
}

func TestExport(t *testing.T) {
	const passphrase = "correct horse battery"
	keys := []Key{testKey(t, Credential{ID: "b", Secret: "s"}), fullKey(t)}
	_, err := Export(keys, "short")
	require.ErrorContains(t, err, "12 characters")
	b, err := Export(keys, passphrase)
	require.NoError(t, err)
	require.NotContains(t, string(b), "hunter2")
	got, err := Import(b, passphrase)
	require.NoError(t, err)
	require.Equal(t, keys, got)
	_, err = Import(b, passphrase+"!")
	require.ErrorContains(t, err, "the passphrase is another one")
	for n := 0; n < len(b)-2; n += 97 {
		_, err = Import(b[:n], passphrase)
		require.ErrorIs(t, err, ErrCorrupt, "cut at %d", n)
	}
	twice, err := Export(append(keys, keys[0]), passphrase)
	require.NoError(t, err)
	_, err = Import(twice, passphrase)
	require.ErrorContains(t, err, "twice")
	_, err = Import([]byte(`{"tradewind":"access keys","format":2,"salt":"AAAAAAAAAAAAAAAAAAAAAA=="}`), passphrase)
	require.ErrorContains(t, err, "format 2")
}

func TestLoadMaster(t *testing.T) {
	dir := t.TempDir()
	_, err := ReadMaster(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	var got [8]Master
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			m, err := LoadMaster(dir)
			if err != nil {
				t.Error(err)
			}
			got[i] = m
		})
	}
	wg.Wait()
	again, err := ReadMaster(dir)
	require.NoError(t, err)
	for _, m := range got {
		require.True(t, m == again, "all have the same, and it stays")
	}
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, list, 1)
	path := filepath.Join(dir, masterName)
	if fi, err := os.Stat(path); runtime.GOOS != "windows" {
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	}
	require.NoError(t, os.WriteFile(path, []byte("?"), 0o600))
	_, err = LoadMaster(dir)
	require.ErrorIs(t, err, ErrCorrupt)
}

// FuzzOpenKey: a record that opens is one that SealKey would make again.
func FuzzOpenKey(f *testing.F) {
	m := NewMaster()
	for _, k := range []Key{testKey(f, alice), fullKey(f)} {
		r, err := m.SealKey(k)
		require.NoError(f, err)
		f.Add(r.ID, r.Tenant, r.State, []byte(r.Doc))
	}
	f.Fuzz(func(t *testing.T, id, tenant, state string, doc []byte) {
		k, err := m.OpenKey(Record{ID: id, Tenant: tenant, State: state, Doc: doc, Verifiers: m.Seal(verifierLabel(id), make([]byte, 31)), Credentials: nil})
		require.Error(t, err, "its verifier is too short: %v", k)
		k, err = m.OpenKey(Record{ID: id, Tenant: tenant, State: state, Doc: doc, Verifiers: m.Seal(verifierLabel(id), append(make([]byte, 31), 1))})
		if err != nil {
			return
		}
		r, err := m.SealKey(k)
		require.NoError(t, err)
		again, err := m.OpenKey(r)
		require.NoError(t, err)
		b, err := m.SealKey(again)
		require.NoError(t, err)
		require.JSONEq(t, string(r.Doc), string(b.Doc))
	})
}

func FuzzImport(f *testing.F) {
	b, err := Export([]Key{testKey(f, alice)}, "correct horse battery")
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"tradewind":"access keys","format":1,"salt":"AAAAAAAAAAAAAAAAAAAAAA==","keys":[null,{}]}`))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = Import(b, "") })
}
