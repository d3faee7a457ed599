package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
)

// reads is a source that notes how it is read.
type reads struct {
	data []byte
	got  [][2]int64 // offset and bytes asked for
}

func (r *reads) ReadAt(p []byte, off int64) (int, error) {
	r.got = append(r.got, [2]int64{off, int64(len(p))})
	return bytes.NewReader(r.data).ReadAt(p, off)
}

func TestSizedReader(t *testing.T) {
	data := make([]byte, 1000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	for _, c := range []struct {
		size  int
		block int
		want  [][2]int64
	}{
		{0, 400, [][2]int64{{0, 400}, {400, 400}, {800, 200}}},
		{400, 400, [][2]int64{{0, 400}, {400, 400}, {800, 200}}},
		{800, 400, [][2]int64{{0, 800}, {800, 200}}},
		{600, 400, [][2]int64{{0, 600}, {600, 400}}},
		{150, 400, [][2]int64{{0, 150}, {150, 150}, {300, 150}, {450, 150}, {600, 150}, {750, 150}, {900, 100}}},
		{5000, 300, [][2]int64{{0, 1000}}},
	} {
		t.Run(fmt.Sprint(c.size), func(t *testing.T) {
			src := &reads{data: data}
			var r sizedReader
			r.begin(src, int64(len(data)), c.size)
			for off := 0; off < len(data); off += c.block {
				p := make([]byte, min(c.block, len(data)-off))
				require.NoError(t, readFull(&r, p, int64(off)))
				require.Equal(t, data[off:off+len(p)], p)
			}
			require.Equal(t, c.want, src.got)
		})
	}
}

func TestSizedReaderGapsAndEnds(t *testing.T) {
	data := make([]byte, 1000)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(data)
	src := &reads{data: data}
	var r sizedReader
	r.begin(src, 1200, 300) // it has become shorter
	p := make([]byte, 100)
	for _, off := range []int64{0, 200, 600, 100, 900} { // 600 is beyond what is kept, 100 before it
		require.NoError(t, readFull(&r, p, off))
		require.Equal(t, data[off:off+100], p)
	}
	require.Equal(t, [][2]int64{{0, 300}, {600, 300}, {100, 300}, {900, 300}}, src.got)
	require.ErrorIs(t, readFull(&r, p, 950), io.EOF, "half of it is there")
	require.ErrorIs(t, readFull(&r, p, 1200), io.EOF)

	other := &reads{data: bytes.Repeat([]byte{7}, 1000)}
	r.begin(other, 1000, 300)
	require.NoError(t, readFull(&r, p, 900))
	require.Equal(t, other.data[:100], p, "nothing of the source before")
}

// ioStore notes the sizes of reads and writes of a Store, and may hold the first write up.
type ioStore struct {
	Store
	hold func() // called in the first write

	mu     sync.Mutex
	reads  []int
	writes []int
	fail   error // of writes from the second on
}

type ioSource struct {
	Source
	s *ioStore
}

func (r ioSource) ReadAt(p []byte, off int64) (int, error) {
	r.s.mu.Lock()
	r.s.reads = append(r.s.reads, len(p))
	r.s.mu.Unlock()
	return r.Source.ReadAt(p, off)
}

func (s *ioStore) Open(ctx context.Context, name string) (Source, error) {
	src, err := s.Store.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return ioSource{src, s}, nil
}

// ioTarget is a GatherTarget on any system.
type ioTarget struct {
	Target
	s *ioStore
}

func (s *ioStore) Create(ctx context.Context, name string, a Attr) (Target, error) {
	t, err := s.Store.Create(ctx, name, a)
	if err != nil {
		return nil, err
	}
	return ioTarget{t, s}, nil
}

func (s *ioStore) note(n int) error {
	s.mu.Lock()
	s.writes = append(s.writes, n)
	first, fail := len(s.writes) == 1, s.fail
	s.mu.Unlock()
	if first && s.hold != nil {
		s.hold()
	}
	if !first {
		return fail
	}
	return nil
}

func (t ioTarget) WriteAt(p []byte, off int64) (int, error) {
	if err := t.s.note(len(p)); err != nil {
		return 0, err
	}
	return t.Target.WriteAt(p, off)
}

func (t ioTarget) WriteRun(bufs [][]byte, off int64) error {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	if err := t.s.note(n); err != nil {
		return err
	}
	if g, ok := t.Target.(GatherTarget); ok {
		return g.WriteRun(bufs, off)
	}
	for _, b := range bufs {
		if _, err := t.Target.WriteAt(b, off); err != nil {
			return err
		}
		off += int64(len(b))
	}
	return nil
}

// TestIOSizes sends a file both ways with all kinds of sizes: what is read and written is as long as the client said, at either side.
func TestIOSizes(t *testing.T) {
	const size = 1<<20 + 5000
	for _, d := range []Direction{Send, Receive} {
		for _, c := range []struct{ read, write, block, reads, writes int }{ // reads and writes: the largest that is right
			{0, 0, 64 << 10, 64 << 10, 64 << 10},
			{MinIOSize, MinIOSize, 64 << 10, MinIOSize, MinIOSize},
			{100_000, 50_000, 64 << 10, 100_000, 50_000},
			{256 << 10, 256 << 10, 64 << 10, 256 << 10, 256 << 10},
			{MaxIOSize, MaxIOSize, 16 << 10, size, size},
		} {
			t.Run(fmt.Sprint(d, c.read, c.write), func(t *testing.T) {
				r := newRig(t)
				near, err := OpenDir(r.local)
				require.NoError(t, err)
				far, err := OpenDir(r.root)
				require.NoError(t, err)
				defer far.Close()
				client, server := &ioStore{Store: near}, &ioStore{Store: far}
				r.cfg.Open = func(_ context.Context, paths []string) (Store, []string, error) { return client, paths, nil }
				r.serve.Store = server
				from, to, src, dst := client, server, r.local, r.root
				if d == Receive {
					from, to, src, dst = server, client, r.root, r.local
				}
				write(t, filepath.Join(src, "f"), size, 3)
				_, err = r.run(Spec{
					Direction: d, Paths: []Path{{Source: "f"}}, Destination: "in", Compression: CompressionOff,
					ReadSize: c.read, WriteSize: c.write, BlockSize: c.block, Checksum: ChecksumMD5,
				})
				require.NoError(t, err)
				want, err := os.ReadFile(filepath.Join(src, "f"))
				require.NoError(t, err)
				got, err := os.ReadFile(filepath.Join(dst, "in"))
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got))
				require.Equal(t, (size+c.reads-1)/c.reads, len(from.reads), "reads: %v", from.reads)
				sum := 0
				for i, n := range from.reads[:len(from.reads)-1] {
					require.Equal(t, c.reads, n, "read %d", i)
				}
				for _, n := range to.writes {
					require.LessOrEqual(t, n, c.writes)
					sum += n
				}
				require.Equal(t, size, sum, "everything is written once")
			})
		}
	}
}

// gathered sends a file of 40 blocks, of which all but the first are there before the first is written.
func gathered(t *testing.T, write int, fail error) (*ioStore, map[uint64]Code) {
	const blocks = 40
	d, err := OpenDir(t.TempDir())
	require.NoError(t, err)
	defer d.Close()
	release := make(chan struct{})
	s := &ioStore{Store: d, hold: func() { <-release }, fail: fail}
	p := hostileRequest(t, s, &request{Version: wireVersion, Flags: flagCreateDir, BlockSize: minBlockSize, Dest: ".", WriteSize: uint64(write)})
	p.entry(entry{ID: 1, Name: "f", Size: blocks * minBlockSize, BlockSize: minBlockSize})
	synctest.Wait() // announced and decided on
	data := make([]byte, blocks*minBlockSize)
	_, _ = rand.NewChaCha8([32]byte{4}).Read(data)
	root := newRoot(int64(len(data)), minBlockSize)
	for i := range blocks {
		root.add(span{uint64(i), 1}, hashBlock(data[i*minBlockSize:][:minBlockSize]))
	}
	send := func(i int) { p.data(1, int64(i)*minBlockSize, string(data[i*minBlockSize:][:minBlockSize])) }
	send(20)
	synctest.Wait() // it is being written
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(blocks) {
		if i != 20 {
			send(i)
		}
	}
	synctest.Wait() // the others are where they can be
	close(release)
	p.put(recFileEnd, (&fileEnd{ID: 1, Root: root.sum()}).encode())
	p.put(recEnd, (&totals{LastID: 1}).encode())
	codes := p.finish()
	require.Zero(t, p.c.Held(), "blocks are released")
	if len(codes) == 0 {
		got, err := readStore(d, "f")
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
	}
	return s, codes
}

func readStore(s Store, name string) ([]byte, error) {
	src, err := s.Open(context.Background(), name)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	in, err := src.Info()
	if err != nil {
		return nil, err
	}
	b := make([]byte, in.Size)
	return b, readFull(src, b, 0)
}

func TestGather(t *testing.T) {
	for _, c := range []struct {
		size int
		want []int // in blocks
	}{
		{0, nil},
		{MaxIOSize, []int{1, 20, 19}},
		{8*minBlockSize + 100, []int{1, 8, 8, 4, 8, 8, 3}},
		{2 * minBlockSize, append(append([]int{1}, repeat(2, 10)...), append(repeat(2, 9), 1)...)},
	} {
		t.Run(fmt.Sprint(c.size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, codes := gathered(t, c.size, nil)
				require.Empty(t, codes)
				if c.want == nil {
					require.Equal(t, repeat(minBlockSize, 40), s.writes)
					return
				}
				for i := range s.writes {
					s.writes[i] /= minBlockSize
				}
				require.Equal(t, c.want, s.writes)
			})
		})
	}
}

func repeat(v, n int) (out []int) {
	for range n {
		out = append(out, v)
	}
	return out
}

// TestGatherFails: what waited for a write that fails is released, and the file fails once.
func TestGatherFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, codes := gathered(t, 4*minBlockSize, errors.New("the disk is broken"))
		require.Equal(t, map[uint64]Code{1: CodeDiskWrite}, codes)
		require.Len(t, s.writes, 2, "nothing is written behind the error")
	})
}

// TestIOSizesOfCompressed: content that came compressed is written without a buffer of another worker.
func TestIOSizesOfCompressed(t *testing.T) {
	r := newRig(t)
	data := bytes.Repeat([]byte("all work and no play "), 50_000)
	require.NoError(t, os.WriteFile(filepath.Join(r.local, "f"), data, 0o644))
	far, err := OpenDir(r.root)
	require.NoError(t, err)
	defer far.Close()
	s := &ioStore{Store: far}
	r.serve.Store = s
	spec := r.send("f")
	spec.Compression, spec.WriteSize, spec.ReadSize, spec.BlockSize = CompressionAlways, MaxIOSize, MaxIOSize, minBlockSize
	_, err = r.run(spec)
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(r.root, "in", "f"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
	require.Contains(t, s.writes, minBlockSize)
}

func TestIOSizesRefused(t *testing.T) {
	for _, n := range []int{-1, 1, MinIOSize - 1, MaxIOSize + 1} {
		s := Spec{Paths: []Path{{Source: "a"}}, Destination: "b", ReadSize: n}
		require.ErrorContains(t, s.Check(), fmt.Sprintf("read size %d: want 16384 to 4194304 bytes", n))
		s.ReadSize, s.WriteSize = 0, n
		require.ErrorContains(t, s.Check(), fmt.Sprintf("write size %d: want 16384 to 4194304 bytes", n))
		for _, q := range []*request{sampleRequest(), sampleRequest()} {
			q.ReadSize = uint64(n)
			_, err := decodeRequest(q.encode())
			require.ErrorIs(t, err, errWire)
		}
	}
	s := Spec{Paths: []Path{{Source: "a"}}, Destination: "b", ReadSize: MinIOSize, WriteSize: MaxIOSize, Rates: fasp.Rates{}}
	require.NoError(t, s.Check())
}
