package fdctl

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// dirent is an entry as the system writes it: padded to eight bytes.
func dirent(name string) []byte {
	b := make([]byte, (direntName+len(name)+1+7)/8*8)
	binary.NativeEndian.PutUint64(b, 1)
	binary.NativeEndian.PutUint16(b[direntLength:], uint16(len(b)))
	copy(b[direntName:], name)
	return b
}

func namesIn(b []byte) (names []string, err error) {
	err = EachName(b, func(name []byte) error {
		names = append(names, string(name))
		return nil
	})
	return names, err
}

// TestDirents lists a folder through buffers of which the least holds one entry.
func TestDirents(t *testing.T) {
	dir := t.TempDir()
	want := []string{"a", "b c", "\xff\xfe", "two\nlines", strings.Repeat("n", 255), "..."}
	for _, name := range want {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	for _, room := range []int{280, 1024, 1 << 17} {
		f, err := os.Open(dir)
		require.NoError(t, err)
		var got []string
		for buf := make([]byte, room); ; {
			n, err := ReadDirents(f, buf)
			require.NoError(t, err)
			if n == 0 {
				break
			}
			some, err := namesIn(buf[:n])
			require.NoError(t, err)
			got = append(got, some...)
		}
		require.NoError(t, f.Close())
		require.ElementsMatch(t, want, got, "room %d", room)
	}
}

func TestDirentsErrors(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	_, err = ReadDirents(f, make([]byte, 1024))
	require.ErrorIs(t, err, unix.ENOTDIR)
	require.NoError(t, f.Close())
	_, err = ReadDirents(f, make([]byte, 1024))
	require.Error(t, err, "closed")
	require.ErrorIs(t, EachName(dirent("a"), func([]byte) error { return os.ErrInvalid }), os.ErrInvalid)
}

func TestBefore(t *testing.T) {
	var b []byte
	for i, name := range []string{"a", "bcdefghi", "c"} {
		e := dirent(name)
		binary.NativeEndian.PutUint64(e[direntNext:], uint64(10*(i+1)))
		b = append(b, e...)
	}
	for limit, want := range map[int64]int{0: 3, 5: 0, 6: 1, 10: 1, 11: 2, 20: 2, 21: 3, 30: 3, 99: 3} {
		part, next, err := Before(b, 5, limit)
		require.NoError(t, err)
		names, err := namesIn(part)
		require.NoError(t, err)
		require.Len(t, names, want, "limit %d", limit)
		require.Equal(t, []int64{5, 10, 20, 30}[want], next, "limit %d", limit)
	}
	_, _, err := Before(b[:20], 0, 0)
	require.ErrorIs(t, err, unix.EIO)
	_, _, err = Before(make([]byte, 64), 0, 0)
	require.ErrorIs(t, err, unix.EIO)
}

func FuzzEachName(f *testing.F) {
	f.Add([]byte(nil), "a")
	f.Add(append(dirent("."), dirent("..")...), "x\xff\n")
	f.Add(dirent("a")[:20], "..")
	f.Add(make([]byte, 64), "")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		if part, _, err := Before(b, 0, int64(len(name))); err != nil {
			require.ErrorIs(t, err, unix.EIO)
		} else {
			require.LessOrEqual(t, len(part), len(b))
		}
		if names, err := namesIn(b); err != nil {
			require.ErrorIs(t, err, unix.EIO)
		} else {
			for _, n := range names {
				require.NotEmpty(t, n)
				require.NotContains(t, n, "\x00")
			}
		}
		if name == "" || len(name) > 255 || strings.ContainsAny(name, "\x00/") {
			return
		}
		got, err := namesIn(append(dirent(name), dirent("next")...))
		require.NoError(t, err)
		if name == "." || name == ".." {
			require.Equal(t, []string{"next"}, got)
		} else {
			require.Equal(t, []string{name, "next"}, got)
		}
	})
}
