package transfer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// listers are the ways to list a folder.
var listers = map[string]lister{"system": listNames, "portable": listPortable}

// listedBy opens root with a lister and returns what Names and ReadDir find in it.
func listedBy(t *testing.T, root string, l lister) (names []string, infos map[string]Info) {
	t.Helper()
	d := openedDir(t, root)
	d.list = l
	require.NoError(t, d.Names(t.Context(), ".", func(base []byte) error {
		names = append(names, string(base))
		return nil
	}))
	infos = map[string]Info{}
	require.NoError(t, d.ReadDir(t.Context(), ".", func(in Info) error {
		require.Empty(t, infos[in.Name].Name, "twice")
		infos[in.Name] = in
		return nil
	}))
	return names, infos
}

func fill(t *testing.T, root string, n int) {
	t.Helper()
	for i := range n {
		require.NoError(t, os.WriteFile(filepath.Join(root, fmt.Sprintf("stays-%05d", i)), nil, 0o644))
	}
}

// TestListWhileNamesComeAndGo: what stays is found once, whatever else happens in the folder.
func TestListWhileNamesComeAndGo(t *testing.T) {
	const n = 10_000
	root := t.TempDir()
	fill(t, root, n)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		r := rand.New(rand.NewPCG(seed, 0))
		for {
			select {
			case <-stop:
				return
			default:
			}
			name := filepath.Join(root, fmt.Sprintf("goes-%03d", r.IntN(1000)))
			if err := os.WriteFile(name, nil, 0o644); err != nil {
				panic(err)
			}
			_ = os.Remove(filepath.Join(root, fmt.Sprintf("goes-%03d", r.IntN(1000)))) // if it is there
		}
	})
	defer others.Wait()
	defer close(stop)
	for which, l := range listers {
		names, infos := listedBy(t, root, l)
		seen := map[string]int{}
		for _, name := range names {
			seen[name]++
		}
		for i := range n {
			name := fmt.Sprintf("stays-%05d", i)
			require.Equal(t, 1, seen[name], "%s: %s", which, name)
			require.Equal(t, name, infos[name].Name, which)
		}
	}
}

// TestListEndsWhenCancelled: nobody waits for the rest of a large folder who has gone.
func TestListEndsWhenCancelled(t *testing.T) {
	const n = 10_000
	root := t.TempDir()
	fill(t, root, n)
	for which, l := range listers {
		d := openedDir(t, root)
		d.list = l
		for how, list := range map[string]func(ctx context.Context, fn func() error) error{
			"names": func(ctx context.Context, fn func() error) error {
				return d.Names(ctx, ".", func([]byte) error { return fn() })
			},
			"entries": func(ctx context.Context, fn func() error) error {
				return d.ReadDir(ctx, ".", func(Info) error { return fn() })
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			calls := 0
			require.ErrorIs(t, list(ctx, func() error { calls++; cancel(); return nil }), context.Canceled, "%s %s", which, how)
			require.Less(t, calls, n, "%s %s", which, how)
			calls = 0
			require.ErrorIs(t, list(ctx, func() error { calls++; return nil }), context.Canceled, "%s %s", which, how)
			require.Zero(t, calls, "%s %s", which, how)
			require.ErrorIs(t, list(t.Context(), func() error { calls++; return os.ErrInvalid }), os.ErrInvalid, "%s %s", which, how)
			require.Equal(t, 1, calls, "%s %s: it stops at an error", which, how)
		}
	}
}

// TestListErrors: a folder that is none, or that only a link out of the place leads to.
func TestListErrors(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	require.NoError(t, os.MkdirAll(root, 0o755))
	write(t, filepath.Join(base, "outside", "secret"), 1, 1)
	write(t, filepath.Join(root, "file"), 1, 1)
	require.NoError(t, os.Symlink(filepath.Join(base, "outside"), filepath.Join(root, "out")))
	require.NoError(t, os.Symlink("../outside", filepath.Join(root, "up")))
	for which, l := range listers {
		d := openedDir(t, root)
		d.list = l
		for _, name := range []string{"file", "none", "out", "up", "..", "out/.."} {
			require.Error(t, d.Names(t.Context(), name, func([]byte) error { t.Error("a name"); return nil }), "%s %s", which, name)
			require.Error(t, d.ReadDir(t.Context(), name, func(Info) error { t.Error("an entry"); return nil }), "%s %s", which, name)
		}
	}
}

// TestMayBePartial: what is passed over quickly is no name of an unfinished file, whatever becomes of its letters in lower case.
func TestMayBePartial(t *testing.T) {
	partial := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if lower := strings.ToLower(string(r)); mayBePartial("x"+string(r)) || strings.HasSuffix(lower, objstore.UploadSuffix[len(objstore.UploadSuffix)-1:]) || strings.HasPrefix(lower, ".") {
			partial++
			require.True(t, mayBePartial("x"+string(r)) || mayBePartial(string(r)+"x"), "%q", r)
		}
	}
	require.GreaterOrEqual(t, partial, 3, "d, D and the dot")
	require.False(t, mayBePartial(""))
	for _, name := range []string{".x.tw-part", ".X.TW-CKPT.NEW", "x.tradewind-upload", "X.TRADEWIND-UPLOAD"} {
		require.True(t, isPartial(name), name)
	}
}
