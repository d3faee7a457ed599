package accesskey

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func openStore(t *testing.T, dir string) *FileStore {
	t.Helper()
	s, err := OpenFileStore(dir)
	require.NoError(t, err)
	return s
}

func TestStores(t *testing.T) {
	for name, store := range map[string]Store{"memory": &MemStore{}, "file": openStore(t, t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			_, err := store.Key(ctx, "alice")
			require.ErrorIs(t, err, ErrNotFound)
			require.ErrorIs(t, store.Delete(ctx, "alice"), ErrNotFound)
			b, a := testKey(t, Credential{ID: "b", Secret: "s"}), testKey(t, alice)
			a.Root, a.RateCap, a.Disabled, a.Note = "x/y", 7, true, "a note"
			a.Rights = Rights{List: true}
			a.Created = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
			require.NoError(t, store.Put(ctx, b))
			require.NoError(t, store.Put(ctx, a))
			got, err := store.Key(ctx, "alice")
			require.NoError(t, err)
			require.Equal(t, a, got)
			all, err := store.Keys(ctx)
			require.NoError(t, err)
			require.Equal(t, []Key{a, b}, all)
			a.Note, a.Disabled, a.Rights = "", false, Rights{}
			require.NoError(t, store.Put(ctx, a))
			got, err = store.Key(ctx, "alice")
			require.NoError(t, err)
			require.Equal(t, a, got)
			require.NoError(t, store.Delete(ctx, "alice"))
			_, err = store.Key(ctx, "alice")
			require.ErrorIs(t, err, ErrNotFound)
			require.Error(t, store.Put(ctx, Key{ID: "c"}), "a key without a verifier is refused")
			require.Error(t, store.Put(ctx, Key{ID: "c:", Verifier: a.Verifier}))
		})
	}
}

func TestFileStoreAcrossProcesses(t *testing.T) {
	dir := t.TempDir()
	one, two := openStore(t, dir), openStore(t, dir)
	require.NoError(t, one.Put(t.Context(), testKey(t, alice)))
	got, err := two.Key(t.Context(), "alice")
	require.NoError(t, err, "another process's key is seen at once")
	require.Equal(t, testKey(t, alice), got)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			s := []*FileStore{one, two}[i%2]
			k, _, err := NewKey(Credential{ID: fmt.Sprint("k", i), Secret: "s"})
			if err == nil {
				err = s.Put(t.Context(), k)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all, err := openStore(t, dir).Keys(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 21, "no writer overwrites another's key")
	if runtime.GOOS != "windows" {
		for _, name := range []string{keysName, masterName} {
			fi, err := os.Stat(filepath.Join(dir, name))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), fi.Mode().Perm(), name)
		}
	}
}

func TestFileStoreKeepsUnknownFields(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	require.NoError(t, s.Put(t.Context(), testKey(t, alice)))
	edit := func(fn func(top map[string]any)) map[string]any {
		path := filepath.Join(dir, keysName)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		var top map[string]any
		require.NoError(t, json.Unmarshal(data, &top))
		fn(top)
		data, err = json.Marshal(top)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return top
	}
	first := func(top map[string]any) map[string]any { return top["keys"].([]any)[0].(map[string]any) }
	edit(func(top map[string]any) {
		top["tenants"] = "later"
		first(top)["colour"] = 7.0
	})
	require.NoError(t, s.Put(t.Context(), testKey(t, Credential{ID: "bob", Secret: "s"})))
	edit(func(top map[string]any) {
		require.Equal(t, "later", top["tenants"])
		require.Equal(t, 7.0, first(top)["colour"])
	})
	edit(func(top map[string]any) { first(top)["id"] = "mallory" })
	_, err := OpenFileStore(dir)
	require.ErrorIs(t, err, ErrCorrupt, "a verifier does not open for another id")
	edit(func(top map[string]any) { top["version"] = 2 })
	_, err = OpenFileStore(dir)
	require.ErrorContains(t, err, "newer program")
}

func TestFileStoreDamage(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, openStore(t, dir).Put(t.Context(), testKey(t, alice)))
	keys, master := filepath.Join(dir, keysName), filepath.Join(dir, masterName)
	good, err := os.ReadFile(keys)
	require.NoError(t, err)
	for n := 0; n < len(good)-2; n += 7 {
		require.NoError(t, os.WriteFile(keys, good[:n], 0o600))
		_, err = OpenFileStore(dir)
		require.ErrorIs(t, err, ErrCorrupt, "cut at %d", n)
	}
	require.NoError(t, os.WriteFile(keys, good, 0o600))
	openStore(t, dir)
	require.NoError(t, os.Rename(master, master+".away"))
	_, err = OpenFileStore(dir)
	require.ErrorIs(t, err, ErrCorrupt)
	require.NoFileExists(t, master, "no new master key for keys that it does not open")
	require.NoError(t, os.WriteFile(master, []byte("?"), 0o600))
	_, err = OpenFileStore(dir)
	require.ErrorIs(t, err, ErrCorrupt)
}

func FuzzDecodeKeyFile(f *testing.F) {
	s := openStore2(f)
	k, _, _ := NewKey(alice)
	good, err := s.encode(keyFile{}, map[string]Key{"alice": k})
	require.NoError(f, err)
	f.Add(good)
	f.Add([]byte(`{"version":1,"keys":[]}`))
	f.Add([]byte(`{"version":1,"keys":[null,{"id":1}],"x":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, keys, err := s.decode(b)
		if err != nil {
			return
		}
		again, err := s.encode(file, keys)
		require.NoError(t, err)
		_, keys2, err := s.decode(again)
		require.NoError(t, err)
		require.Equal(t, keys, keys2)
	})
}

func openStore2(f *testing.F) *FileStore {
	s, err := OpenFileStore(f.TempDir())
	require.NoError(f, err)
	return s
}

// readAll returns all that the files of dir hold.
func readAll(t *testing.T, dir string) string {
	var all strings.Builder
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		all.Write(b)
	}
	return all.String()
}
