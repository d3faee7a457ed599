package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

// TestListersAgree lists a folder of odd names and kinds in all ways, which agree with package os.
func TestListersAgree(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "root")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "folder"), 0o755))
	names := []string{
		"plain", "\xff\xfe", "caf\xe9", "two\nlines", "\n", " ", "...", ".hidden", "a\\b", "a:b", "-", "\x01", "\u202e", "K\u212a", strings.Repeat("n", 255), strings.Repeat("ü", 127), strings.Repeat("\x80", 255),
		"end.d", "UPLOAD", "x.tw-part", "x.tradewind-upload.d",
	}
	hidden := []string{".plain.tw-part", ".PLAIN.TW-PART", ".plain.tw-ckpt.new", ".x.tw-part~0123abcd", "plain.tradewind-upload", "PLAIN.TRADEWIND-UPLOAD"}
	for i, name := range slices.Concat(names, hidden) {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), make([]byte, i), 0o640), "%q", name)
	}
	for i := range 3000 { // several batches of every kind
		name := fmt.Sprintf("many-%04d-%s", i, strings.Repeat("x", i%60))
		names = append(names, name)
		require.NoError(t, os.WriteFile(filepath.Join(root, name), nil, 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(base, "outside"), []byte("outside"), 0o644))
	for name, target := range map[string]string{"in": "plain", "out": "../outside", "abs": "/etc", "dangling": "nothing", "loop": "loop", "into": "folder"} {
		names = append(names, name)
		require.NoError(t, os.Symlink(target, filepath.Join(root, name)))
	}
	require.NoError(t, unix.Mkfifo(filepath.Join(root, "fifo"), 0o600))
	wd, err := os.Getwd()
	require.NoError(t, err)
	require.NoError(t, os.Chdir(root)) // the name of a socket is short
	s, err := net.Listen("unix", "socket")
	require.NoError(t, os.Chdir(wd))
	require.NoError(t, err)
	defer s.Close()
	names = append(names, "folder", "fifo", "socket")

	for which, l := range listers {
		got, infos := listedBy(t, root, l)
		require.Equal(t, slices.Sorted(slices.Values(names)), slices.Sorted(slices.Values(got)), which)
		require.Len(t, infos, len(names)+len(hidden), which)
		for _, name := range slices.Concat(names, hidden) {
			fi, err := os.Lstat(filepath.Join(root, name))
			require.NoError(t, err)
			require.Equal(t, infoOf(fi), infos[name], "%s: %q", which, name)
		}
	}
}

// small reads as listNames does, in buffers of a hundred names, so that folders of thousands are large.
var small = direntLister{bufs: &sync.Pool{New: func() any { b := make([]byte, 4<<10); return &b }}, alone: 1}

var _ = func() bool { listers["halves"] = small.list; return true }()

// TestHalves: two readers read a large folder at the same time, and together find every name once, also those that stand where the halves meet. Names that come and go meanwhile change nothing for the others.
func TestHalves(t *testing.T) {
	root := t.TempDir()
	want := map[string]bool{}
	for i := range 20_000 {
		name := fmt.Sprintf("name-%05d", i)
		require.NoError(t, os.WriteFile(filepath.Join(root, name), nil, 0o644))
		want[name] = true
	}
	open := func() *namesReader {
		f, err := os.Open(root)
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return &namesReader{f: f}
	}
	one, buf := open(), make([]byte, 4<<10)
	part, err := one.read(buf)
	require.NoError(t, err)
	count := func(b []byte) (n int) {
		require.NoError(t, fdctl.EachName(b, func([]byte) error { n++; return nil }))
		return n
	}
	first := count(part)
	two, err := one.halves()
	require.NoError(t, err)
	if two == nil {
		skipUnlessRequired(t, "ext4", "the folder of tests is not on ext4, or there is one processor")
	}
	defer two.f.Close()
	rest := func(r *namesReader) (n int) {
		for {
			part, err := r.read(buf)
			require.NoError(t, err)
			if len(part) == 0 {
				return n
			}
			n += count(part)
		}
	}
	a, b := rest(one), rest(two)
	require.Equal(t, len(want), first+a+b)
	require.InDelta(t, a, b, 2000, "halves")

	// Wherever the border is, nothing is lost there and nothing comes twice.
	whole := open()
	var at []int64
	for {
		part, err := whole.read(buf[:300]) // a few at a time
		require.NoError(t, err)
		if len(part) == 0 {
			break
		}
		at = append(at, whole.at)
	}
	for i := 0; i < len(at); i += len(at) / 20 {
		for _, border := range []int64{at[i] - 1, at[i], at[i] + 1} {
			low, high := open(), open()
			low.limit, high.at = border, border
			_, err := high.f.Seek(border, io.SeekStart)
			require.NoError(t, err)
			require.Equal(t, len(want), rest(low)+rest(high), border)
		}
	}

	stop := make(chan struct{})
	var changing sync.WaitGroup
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			name := filepath.Join(root, fmt.Sprintf("passing-%d", i%1000))
			if os.WriteFile(name, nil, 0o644) == nil && i%3 > 0 {
				_ = os.Remove(name)
			}
		}
	})
	for range 10 {
		seen := map[string]int{}
		require.NoError(t, small.list(t.Context(), open().f, func(base []byte) error { seen[string(base)]++; return nil }))
		for name := range want {
			require.Equal(t, 1, seen[name], name)
		}
	}
	close(stop)
	changing.Wait()

	// Who has enough ends both, and so does the context.
	enough := errors.New("enough")
	n := 0
	require.ErrorIs(t, small.list(t.Context(), open().f, func([]byte) error {
		if n++; n == 5000 {
			return enough
		}
		return nil
	}), enough)
	require.Equal(t, 5000, n)
	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	require.ErrorIs(t, small.list(ctx, open().f, func([]byte) error {
		if n++; n == 1000 {
			cancel()
		}
		return nil
	}), context.Canceled)
	require.Less(t, n, 2000)
}
