package transfer

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// sparseData is the length of a stretch of data in the file of makeSparse.
const sparseData = 700 << 10

// makeSparse makes a file of 1 TB, or 100 GB where that is too much, with five stretches of random data and holes between them and
// at the end. It returns its size.
func makeSparse(t *testing.T, name string) int64 {
	t.Helper()
	f, err := os.Create(name)
	require.NoError(t, err)
	defer f.Close()
	size := int64(1<<40 + 12345)
	if f.Truncate(size) != nil {
		size = 100<<30 + 12345
		require.NoError(t, f.Truncate(size))
	}
	b := make([]byte, sparseData)
	rng := rand.NewChaCha8([32]byte{1})
	for i := range int64(5) {
		_, _ = rng.Read(b)
		_, err = f.WriteAt(b, size/5*i+i*4096)
		require.NoError(t, err)
	}
	require.NoError(t, f.Sync())
	if _, to, err := nextData(f, 0); err != nil || to > 4*sparseData {
		skipUnlessRequired(t, "holes", "the file system of temporary files has no holes")
	}
	return size
}

// sameSparse compares two large files and sees that the second takes little room.
func sameSparse(t *testing.T, a, b string) {
	t.Helper()
	f, err := os.Open(a)
	require.NoError(t, err)
	defer f.Close()
	g, err := os.Open(b)
	require.NoError(t, err)
	defer g.Close()
	fi, err := f.Stat()
	require.NoError(t, err)
	gi, err := g.Stat()
	require.NoError(t, err)
	require.Equal(t, fi.Size(), gi.Size())
	require.Less(t, gi.Sys().(*syscall.Stat_t).Blocks*512, int64(32<<20))
	for off := int64(0); off < fi.Size(); {
		from, to, err := nextData(f, off)
		require.NoError(t, err)
		zero, err := isZero(t.Context(), dirSource{File: g}, off, from-off)
		require.NoError(t, err)
		require.True(t, zero, "between %d and %d", off, from)
		x, y := make([]byte, to-from), make([]byte, to-from)
		require.NoError(t, readFull(f, x, from))
		require.NoError(t, readFull(g, y, from))
		require.Equal(t, hashBlock(x), hashBlock(y), "from %d to %d", from, to)
		off = to
	}
}

// only sees that f is all that is in dir.
func only(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "f", list[0].Name())
}

func TestSparse(t *testing.T) {
	for _, up := range []bool{true, false} {
		r := newRig(t)
		src, dst := r.local, filepath.Join(r.root, "in")
		spec := r.send("f")
		if !up {
			src, dst = r.root, filepath.Join(r.local, "in")
			spec = Spec{Direction: Receive, Paths: []Path{{Source: "f"}}, Destination: dst, CreateDir: true}
		}
		spec.PreserveTimes = true
		size := makeSparse(t, filepath.Join(src, "f"))
		res, err := r.run(spec)
		require.NoError(t, err, "node: %v", r.errs)
		require.Equal(t, size, res.BytesSent)
		require.Less(t, res.BytesOnWire, int64(32<<20))
		sameSparse(t, filepath.Join(src, "f"), filepath.Join(dst, "f"))
		only(t, dst)

		// What is there and equal stays, by size and time.
		spec.Overwrite = OverwriteDiff
		spec.Resume, _ = ResumeFromLevel(1)
		res, err = r.run(spec)
		require.NoError(t, err)
		require.EqualValues(t, 1, res.FilesSkipped)
	}
}

// TestSparseResume cuts the link in the middle and goes on, also where the partial file was changed meanwhile.
func TestSparseResume(t *testing.T) {
	for level := range 4 {
		for _, damage := range []bool{false, true} {
			r := newRig(t)
			src := filepath.Join(r.local, "f")
			size := makeSparse(t, src)
			spec := r.send("f")
			spec.BlockSize = maxBlockSize
			spec.Resume, _ = ResumeFromLevel(level)
			r.cfg.RetryTimeout = -1
			r.opt = transfertest.Options{Window: 2 << 20, CutAfter: 3 << 20}
			_, err := r.run(spec)
			require.Error(t, err)
			part := filepath.Join(r.root, "in/.f.tw-part")
			b, err := os.ReadFile(filepath.Join(r.root, "in/.f.tw-ckpt"))
			require.NoError(t, err)
			cp, err := decodeCheckpoint(b)
			require.NoError(t, err)
			require.NotEmpty(t, cp.Blocks.zeros, "no hole arrived before the cut")
			require.Less(t, cp.Blocks.n, blockCount(size, maxBlockSize), "all of it did")
			require.Less(t, len(b), 64<<10)
			if damage {
				f, err := os.OpenFile(part, os.O_WRONLY, 0)
				require.NoError(t, err)
				_, err = f.WriteAt([]byte("damage"), int64(cp.Blocks.zeros[0].end())*maxBlockSize-10)
				require.NoError(t, err)
				require.NoError(t, f.Close())
			}
			r.opt.CutAfter = 0
			res, err := r.run(spec)
			require.NoError(t, err, "node: %v", r.errs)
			require.Equal(t, size, res.BytesSent+res.BytesResumed)
			require.Equal(t, level > 0, res.BytesResumed > 0, "level %d", level)
			if !damage || level != 1 {
				sameSparse(t, src, filepath.Join(r.root, "in/f"))
			}
			only(t, filepath.Join(r.root, "in"))
		}
	}
}
