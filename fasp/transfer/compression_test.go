package transfer

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

// putBlockHead writes the header of a block whose payload stands behind it as it is, and returns its hash.
func putBlockHead(b []byte, kind byte, file uint64, offset int64, x extent) blockHash {
	h := blockHead{Kind: kind, File: file, Offset: offset, Extent: x, Raw: len(b) - blockHeader, Hash: hashBlock(b[blockHeader:])}
	putHead(b, &h)
	return h.Hash
}

// compressible makes a tree of large and small files that compress, beside some that do not, and returns its bytes.
func compressible(t testing.TB, root string) (total int64) {
	t.Helper()
	tree(t, root)
	put := func(name string, b []byte) {
		name = filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, b, 0o644))
	}
	put("text/large", sentences(9<<20+5, 1))
	put("text/zeros", make([]byte, 2<<20))
	for i := range 50 {
		put(filepath.Join("text", "small", strings.Repeat("x", i+1)), sentences(i*700, uint64(i)))
	}
	require.NoError(t, filepath.Walk(root, func(_ string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().IsRegular() {
			total += fi.Size()
		}
		return err
	}))
	return total
}

// Whatever is agreed, the same arrives, and content is counted alike.
func TestCompressed(t *testing.T) {
	for _, c := range []struct {
		name     string
		offer    Compression
		declined bool
		rate     fasp.Rate
		smaller  bool
	}{
		{"always", CompressionAlways, false, 0, true},
		{"auto on a slow link", CompressionAuto, false, 50 * fasp.Mbps, true},
		{"auto on a link of unknown speed", CompressionAuto, false, 0, false},
		{"off", CompressionOff, false, 50 * fasp.Mbps, false},
		{"declined", CompressionAlways, true, 50 * fasp.Mbps, false},
	} {
		for _, dir := range []Direction{Send, Receive} {
			// In virtual time, in which compressing takes none: what auto decides does not depend on the machine.
			t.Run(c.name+"/"+dir.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t)
					r.cfg.StateDir = "" // ask first, so that the answer is there before the first block
					r.serve.NoCompression = c.declined
					from, to := filepath.Join(r.local, "tree"), filepath.Join(r.root, "in", "tree")
					spec := r.send("tree")
					if dir == Receive {
						from, to = filepath.Join(r.root, "tree"), filepath.Join(r.local, "got", "tree")
						spec = Spec{Direction: Receive, Paths: []Path{{Source: "tree"}}, Destination: filepath.Join(r.local, "got"), CreateDir: true}
					}
					total := compressible(t, from)
					spec.Compression, spec.Rates, spec.Checksum = c.offer, fasp.Rates{Target: c.rate}, ChecksumSHA256
					res, err := r.run(spec)
					require.NoError(t, err, "node: %v", r.errs)
					require.Equal(t, list(t, from), list(t, to))
					noPartials(t, r.root)
					require.Equal(t, total, res.BytesSent)
					if c.smaller {
						require.Less(t, res.BytesOnWire, total-8<<20, "of the 11 MiB that compress")
					} else {
						require.GreaterOrEqual(t, res.BytesOnWire, total-1<<20) // a few tries may have come out shorter
					}
				})
			})
		}
	}
}

// An upload that does not wait for the answer sends nothing compressed before it is there.
func TestNothingCompressedBeforeTheAnswer(t *testing.T) {
	r := newRig(t)
	require.NoError(t, os.WriteFile(filepath.Join(r.local, "f"), sentences(1<<20, 1), 0o644))
	spec := r.send("f")
	spec.Compression = CompressionAlways
	c, s := transfertest.Pair(transfertest.Options{})
	cfg := r.cfg
	cfg.RetryTimeout = -1
	cfg.Dial = func(context.Context, *Spec) (fasp.Session, error) { return c, nil }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Run(ctx, cfg, spec)
		ended <- err
	}()
	for range 8 { // of a file of 8 blocks, with nobody there to answer
		b, err := s.ReceiveBlock(t.Context())
		require.NoError(t, err)
		h, err := parseBlock(b.Data)
		require.NoError(t, err)
		require.False(t, h.Compressed)
		b.Release()
	}
	cancel()
	require.Error(t, <-ended)
}

// A transfer that is cut goes on from its checkpoints whether its blocks were compressed or not, into folders and into stores.
func TestCompressedResumes(t *testing.T) {
	run := func(t *testing.T, r *rig) {
		require.NoError(t, os.WriteFile(filepath.Join(r.local, "f"), sentences(24<<20, 1), 0o644))
		spec := r.send("f")
		spec.Compression, spec.Checksum = CompressionAlways, ChecksumMD5
		r.cfg.StateDir = ""
		r.opt = transfertest.Options{CutAfter: 3 << 20, Window: 256 << 10}
		res, err := r.run(spec)
		require.NoError(t, err, "node: %v", r.errs)
		require.Greater(t, res.Attempts, 1)
		require.Less(t, res.BytesOnWire, int64(10<<20))
		require.Greater(t, res.BytesResumed, int64(0))
	}
	t.Run("folder", func(t *testing.T) {
		r := newRig(t)
		run(t, r)
		require.Equal(t, list(t, r.local)["f"], list(t, r.root)["in/f"])
	})
	t.Run("store", func(t *testing.T) {
		r := newBucketRig(t, memstore.New(), defaultPool)
		run(t, r.rig)
		require.Equal(t, list(t, r.local)["f"], r.keys()["in/f"])
		r.settled()
	})
}

// The blocks of a stream are compressed, too.
func TestCompressedStream(t *testing.T) {
	r := newRig(t)
	r.cfg.StateDir = ""
	content := sentences(3<<20+77, 2)
	r.cfg.Open = func(context.Context, []string) (Store, []string, error) {
		return NewStreamStore(bytes.NewReader(content), "s"), []string{"s"}, nil
	}
	res, err := r.run(Spec{Direction: Send, Paths: []Path{{Source: "s"}}, Destination: "out", Compression: CompressionAlways})
	require.NoError(t, err, "node: %v", r.errs)
	got, err := os.ReadFile(filepath.Join(r.root, "out"))
	require.NoError(t, err)
	require.Equal(t, hashBlock(content), hashBlock(got))
	require.Less(t, res.BytesOnWire, int64(2<<20))
}

// hostileFrames are blocks of a file of one block, minBlockSize long, that no honest sender makes.
func TestHostileCompression(t *testing.T) {
	raw := sentences(minBlockSize, 1)
	block := func(frame []byte, n int, hash blockHash) []byte {
		b := append(make([]byte, blockHeader), frame...)
		putHead(b, &blockHead{Kind: blockRange, Compressed: true, File: 1, Raw: n, Hash: hash})
		return b
	}
	frame := frameOf(t, raw)
	good := block(frame, len(raw), hashBlock(raw))
	pack := append(make([]byte, blockHeader), frame...)
	putHead(pack, &blockHead{Kind: blockPack, Compressed: true, File: 3, Raw: len(raw), Hash: hashBlock(raw)})
	for _, c := range []struct {
		name  string
		offer Compression
		block []byte
		text  string // of the refusal; empty: taken
	}{
		{"sound", CompressionAlways, good, ""},
		{"not agreed", CompressionOff, good, "not agreed"},
		{"a pack, not agreed", CompressionOff, pack, "not agreed"},
		{"a pack of nonsense", CompressionAuto, pack, "pack"},
		{"another raw length", CompressionAuto, block(frame, len(raw)-1, hashBlock(raw)), "does not fit"},
		{"a raw length that no block has", CompressionAuto, block(frame, maxBlockSize+1, hashBlock(raw)), "compressed from"},
		{"no shorter than its content", CompressionAuto, block(frame, len(frame), hashBlock(raw)), "compressed from"},
		{"cut", CompressionAuto, block(frame[:len(frame)-1], len(raw), hashBlock(raw)), "sound zstd frame"},
		{"content of another length", CompressionAuto, block(frameOf(t, raw[1:]), len(raw), hashBlock(raw)), "sound zstd frame"},
		{"a bomb", CompressionAuto, block(bomb(minBlockSize, 64<<20), len(raw), hashBlock(raw)), "sound zstd frame"},
		{"another hash", CompressionAuto, block(frame, len(raw), blockHash{1}), "hash"},
		{"the hash of the frame", CompressionAuto, block(frame, len(raw), hashBlock(frame)), "hash"},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, err := OpenDir(t.TempDir())
			require.NoError(t, err)
			defer store.Close()
			p := hostileOffer(t, store, 0, c.offer)
			p.entry(entry{ID: 1, Name: "f", Size: minBlockSize, BlockSize: minBlockSize})
			p.block(c.block)
			if c.text != "" {
				p.refused(c.text)
				require.Zero(t, p.c.Held())
				return
			}
			root := newRoot(minBlockSize, minBlockSize)
			root.add(span{0, 1}, hashBlock(raw))
			p.put(recFileEnd, (&fileEnd{ID: 1, Root: root.sum()}).encode())
			p.put(recEnd, (&totals{LastID: 1}).encode())
			require.Empty(t, p.finish())
		})
	}
}

// A client that offers one thing is not answered another.
func TestAnswerBeyondTheOffer(t *testing.T) {
	for _, c := range []struct{ offer, answer Compression }{{CompressionOff, CompressionAuto}, {CompressionAuto, CompressionAlways}} {
		near, far := transfertest.Pair(transfertest.Options{})
		r := newRig(t)
		write(t, filepath.Join(r.local, "f"), 100, 1)
		spec := r.send("f")
		spec.Compression = c.offer
		r.cfg.RetryTimeout = -1
		r.cfg.Dial = func(context.Context, *Spec) (fasp.Session, error) { return near, nil }
		require.NoError(t, far.SendMessage(t.Context(), appendRecord(nil, recAnswer, (&answer{Version: wireVersion, Compression: c.answer}).encode())))
		_, err := Run(t.Context(), r.cfg, spec)
		require.Equal(t, CodeFaspProto, codeOf(err))
		require.ErrorContains(t, err, "offer of "+c.offer.String())
	}
}
