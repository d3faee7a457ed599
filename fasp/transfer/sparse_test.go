package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore/memstore"
)

// flatStore is a Store whose files have no holes: their Targets do not know ZeroTarget, or say that they cannot.
type flatStore struct {
	Store
	says bool
}

func (s flatStore) Create(ctx context.Context, name string, a Attr) (Target, error) {
	t, err := s.Store.Create(ctx, name, a)
	if err != nil || !s.says {
		return struct{ Target }{t}, err
	}
	return cannotZero{t}, nil
}

type cannotZero struct{ Target }

func (cannotZero) Zero(int64, int64) error { return fmt.Errorf("zero: %w", errors.ErrUnsupported) }

// TestSparseIntoFlat sends a file with holes to places that have none.
func TestSparseIntoFlat(t *testing.T) {
	const size = 20<<20 + 5
	for _, says := range []bool{false, true} {
		r := newRig(t)
		d, err := OpenDir(r.root)
		require.NoError(t, err)
		defer d.Close()
		r.serve.Store = flatStore{d, says}
		name := filepath.Join(r.local, "f")
		write(t, name, size, 1)
		holed(t, name, size)
		spec := r.send("f")
		spec.BlockSize = minBlockSize
		res, err := r.run(spec)
		require.NoError(t, err, "node: %v", r.errs)
		require.EqualValues(t, size, res.BytesSent)
		require.Equal(t, list(t, r.local)["f"], list(t, filepath.Join(r.root, "in"))["f"])
		noPartials(t, r.root)
	}
}

// TestSparseIntoBucket: objects have no holes, so that the zeros are sent.
func TestSparseIntoBucket(t *testing.T) {
	const size = 2<<20 + 5
	r := newBucketRig(t, memstore.New(), defaultPool)
	name := filepath.Join(r.local, "f")
	write(t, name, size, 1)
	holed(t, name, size)
	spec := r.send("f")
	spec.BlockSize = minBlockSize
	_, err := r.run(spec)
	require.NoError(t, err, "node: %v", r.errs)
	r.settled()
	require.Equal(t, list(t, r.local)["f"], r.keys()["in/f"])
}

// zeros sends a run of n zeros.
func (p *peer) zeros(id uint64, off, n int64) {
	b := make([]byte, blockHeader+zerosPayload)
	putZeros(b, id, off, n)
	p.block(b)
}

func TestHostileZeros(t *testing.T) {
	const bs = minBlockSize
	file := entry{ID: 1, Name: "f", Size: 10*bs + 5, BlockSize: bs, Sparse: true}
	plain := file
	plain.Sparse = false
	run := func(off, n int64) func(p *peer) {
		return func(p *peer) { p.entry(file); p.zeros(1, off, n) }
	}
	for _, c := range []struct {
		name string
		do   func(p *peer)
		text string
	}{
		{"empty", run(0, 0), "0 zeros"},
		{"beyond the size", run(0, 11*bs), "do not fit"},
		{"behind the end", run(11*bs, bs), "do not fit"},
		{"up to the end of all numbers", run(bs, maxFileSize-bs-maxFileSize%bs), "do not fit"},
		{"with the short block at the end", run(0, 10*bs+5), "do not fit"},
		{"off the grid", run(1, bs), "do not fit"},
		{"not of whole blocks", run(0, bs+1), "do not fit"},
		{"beyond all sizes", func(p *peer) { p.entry(file); p.zeros(1, maxFileSize, bs) }, "zeros"},
		{"a file without the flag", func(p *peer) { p.entry(plain); p.zeros(1, 0, bs) }, "not announced as one with holes"},
		{"before the entry of a file without the flag", func(p *peer) { p.zeros(1, 0, bs); p.entry(plain) }, "not announced as one with holes"},
		{"a small file with the flag", func(p *peer) { e := file; e.Small, e.Size = true, 5; p.entry(e) }, "entry"},
		{"a folder with the flag", func(p *peer) { p.entry(entry{ID: 1, Kind: kindDir, Name: "d", Sparse: true}) }, "entry"},
		{"a payload of another length", func(p *peer) {
			b := make([]byte, blockHeader+zerosPayload+1)
			putZeros(b, 1, 0, bs)
			putHead(b, &blockHead{Kind: blockZeros, File: 1, Raw: zerosPayload + 1, Hash: hashBlock(b[blockHeader:])})
			p.entry(file)
			p.block(b)
		}, "zeros"},
		{"a wrong hash", func(p *peer) {
			b := make([]byte, blockHeader+zerosPayload)
			putZeros(b, 1, 0, bs)
			b[len(b)-1] ^= 1
			p.entry(file)
			p.block(b)
		}, ""},
		{"too many", func(p *peer) {
			p.entry(file)
			for range maxZeroRuns + 1 {
				p.zeros(1, 0, bs)
			}
		}, "runs of zeros"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "too many" && testing.Short() {
				t.Skip("65,536 records, which the race detector makes a minute of; make test sends them")
			}
			hostileIs(t, c.do, c.text)
		})
	}
}

// TestZerosOver: of what comes more than once, what came first counts, zeros or data.
func TestZerosOver(t *testing.T) {
	synctest.Test(t, testZerosOver)
}

func testZerosOver(t *testing.T) {
	const bs = minBlockSize
	root := t.TempDir()
	store, err := OpenDir(root)
	require.NoError(t, err)
	defer store.Close()
	p := hostileClient(t, store, 0)
	p.entry(entry{ID: 1, Name: "f", Size: 10*bs + 5, BlockSize: bs, Sparse: true})
	want := make([]byte, 10*bs+5)
	data := func(i int) {
		for k := range bs {
			want[i*bs+k] = byte(i + 1)
		}
		p.data(1, int64(i)*bs, string(want[i*bs:(i+1)*bs]))
	}
	copy(want[10*bs:], "tail!")
	data(0)
	data(4)
	synctest.Wait() // or the zeros may overtake them
	p.zeros(1, 0, 10*bs)
	synctest.Wait()
	p.zeros(1, 0, 10*bs)
	p.zeros(1, 3*bs, 2*bs)
	p.data(1, 10*bs, "tail!")
	h := newRoot(int64(len(want)), bs)
	for i := range 10 {
		h.add(span{uint64(i), 1}, hashBlock(want[i*bs:(i+1)*bs]))
	}
	h.add(span{10, 1}, hashBlock([]byte("tail!")))
	p.put(recFileEnd, (&fileEnd{ID: 1, Root: h.sum()}).encode())
	p.put(recEnd, (&totals{LastID: 1}).encode())
	require.Empty(t, p.finish())
	got, err := os.ReadFile(filepath.Join(root, "f"))
	require.NoError(t, err)
	require.Equal(t, hashBlock(want), hashBlock(got))
}
