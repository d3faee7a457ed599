package transfer

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// holed makes holes in the file name of size bytes, in about every second quarter of a megabyte, and keeps its length and the rest.
func holed(t testing.TB, name string, size int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	tgt := &dirTarget{f: f}
	for off := int64(128 << 10); off+256<<10 <= size; off += 512 << 10 {
		zero(t, tgt, off, 256<<10)
	}
	require.NoError(t, f.Sync()) // or what is left may not show as less than the size yet
}

// zero makes zeros as the receiver does.
func zero(t testing.TB, tgt *dirTarget, off, n int64) {
	t.Helper()
	err := tgt.Zero(off, n)
	if errors.Is(err, errors.ErrUnsupported) {
		err = writeZeros(tgt, off, n)
	}
	require.NoError(t, err)
}

// TestMinus compares with a set, number by number.
func TestMinus(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	list := func() (out []span, set map[uint64]bool) {
		set = make(map[uint64]bool)
		for at := uint64(0); rng.IntN(6) > 0; {
			s := span{at + uint64(rng.IntN(5)), 1 + uint64(rng.IntN(6))}
			at = s.end()
			out = append(out, s)
			for i := s.First; i < at; i++ {
				set[i] = true
			}
		}
		return out, set
	}
	for range 5000 {
		a, inA := list()
		b, inB := list()
		got := make(map[uint64]bool)
		next := uint64(0)
		for _, s := range minus(a, b) {
			require.NotZero(t, s.Count)
			require.GreaterOrEqual(t, s.First, next)
			next = s.end()
			for i := s.First; i < next; i++ {
				got[i] = true
			}
		}
		for i := range uint64(80) {
			require.Equal(t, inA[i] && !inB[i], got[i], "%v - %v at %d", a, b, i)
		}
	}
}

// TestBlockMapZeros claims runs and single blocks at random and compares with a plain list of blocks.
func TestBlockMapZeros(t *testing.T) {
	const n, bs = 300, minBlockSize
	zero := zeroHash(bs)
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var m blockMap
		var plain [n]blockHash
		var making [][]span
		claimed := make(map[uint64]bool)
		for range 80 {
			switch i := uint64(rng.IntN(n)); rng.IntN(4) {
			case 0:
				require.Equal(t, !claimed[i], m.claim(int64(i)))
				if !claimed[i] {
					claimed[i] = true
					plain[i] = blockHash{byte(i), 1, byte(rng.IntN(3))}
					m.finish(int64(i), plain[i])
				}
			case 1:
				free := m.claimZeros(span{i, 1 + uint64(rng.IntN(int(n-i)))})
				for _, s := range free {
					for k := s.First; k < s.end(); k++ {
						require.False(t, claimed[k])
						claimed[k] = true
					}
				}
				making = append(making, free)
			case 2, 3:
				if len(making) == 0 {
					continue
				}
				free := making[0]
				making = making[1:]
				if rng.IntN(3) == 0 {
					m.unclaimZeros(free...)
				} else {
					m.finishZeros(bs, free...)
				}
				for _, s := range free {
					for k := s.First; k < s.end(); k++ {
						if inSpans(m.zeros, k) {
							plain[k] = zero
						} else {
							delete(claimed, k)
						}
					}
				}
			}
		}
		var got [n]blockHash
		done := int64(0)
		for s, h := range m.runs() {
			for i := s.First; i < s.end(); i++ {
				require.Equal(t, blockHash{}, got[i], "twice")
				got[i] = h
				done++
			}
		}
		require.Equal(t, plain, got, "seed %d", seed)
		require.Equal(t, m.n, done)
		// The root is that of the same blocks told one by one.
		skip := []span{{10, 20}, {100, 1}}
		r := newRoot(n*bs, bs)
		for i, h := range plain {
			if h != (blockHash{}) && !inSpans(skip, uint64(i)) {
				r.add(span{uint64(i), 1}, h)
			}
		}
		require.Equal(t, r.sum(), m.root(n*bs, bs, skip))
		c := checkpoint{Size: n * bs, BlockSize: bs, Blocks: m}
		d, err := decodeCheckpoint(c.encode())
		require.NoError(t, err)
		require.Equal(t, m.spans(), d.Blocks.spans())
		require.Equal(t, m.n, d.Blocks.n)
		require.Equal(t, m.cost(), d.Blocks.cost())
	}
}

// TestTrusted compares with the definition: every block that is there, one by one.
func TestTrusted(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 4))
		var had []span
		var n int64
		for at := uint64(0); len(had) < 1+rng.IntN(20); {
			s := span{at + uint64(1+rng.IntN(5)), 1 + uint64(rng.IntN(9))}
			at = s.end()
			had = append(had, s)
			n += int64(s.Count)
		}
		skip := trusted(had, 2)
		k := int64(0)
		for _, s := range had {
			for i := s.First; i < s.end(); i++ {
				k++
				require.Equal(t, !sampled(k, n), inSpans(skip, i), "%v: the %d-th of %d", had, k, n)
			}
		}
		require.Equal(t, had, trusted(had, 1))
		require.Empty(t, trusted(had, 3))
	}
}

// TestDirZero makes zeros over what is there and behind the end.
func TestDirZero(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	write(t, name, 1<<20, 1)
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	tgt := &dirTarget{f: f}
	zero(t, tgt, 64<<10, 128<<10)
	clear(want[64<<10 : 192<<10])
	zero(t, tgt, 2<<20, 1<<20)
	want = append(want, make([]byte, 2<<20)...)
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for _, c := range []struct {
		off, n int64
		zero   bool
	}{{64 << 10, 128 << 10, true}, {64 << 10, 129 << 10, false}, {1 << 20, 2 << 20, true}, {63 << 10, 2 << 10, false}, {0, 3 << 20, false}} {
		for _, r := range []interface {
			ReadAt([]byte, int64) (int, error)
		}{tgt, f} {
			zero, err := isZero(t.Context(), r, c.off, c.n)
			require.NoError(t, err)
			require.Equal(t, c.zero, zero, "%+v in %T", c, r)
		}
	}
}
