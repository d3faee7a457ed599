package transfer

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// sentences is content that compresses, n bytes, of which no two stretches are the same.
func sentences(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	words := []string{"the ", "quick ", "brown ", "fox ", "jumps ", "over ", "a ", "lazy ", "dog.\n"}
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = append(b, words[rng.IntN(len(words))]...)
	}
	return b[:n]
}

func frameOf(t testing.TB, raw []byte) []byte {
	f, err := new(deflater).deflate(raw)
	require.NoError(t, err)
	return bytes.Clone(f)
}

func TestFrames(t *testing.T) {
	var d deflater
	var i inflater
	for _, n := range []int{1, 100, 4096, 128<<10 - 1, 128 << 10, 64 << 10, maxBlockSize} {
		for _, raw := range [][]byte{sentences(n, 1), make([]byte, n)} {
			f, err := d.deflate(raw)
			require.NoError(t, err)
			out, err := i.inflate(f, n)
			require.NoError(t, err)
			require.True(t, bytes.Equal(raw, out), "%d bytes", n)
		}
	}
}

// bomb is a frame that says that its content is says bytes and makes n, all of them zero.
func bomb(says uint64, n int) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0} // single segment, size in 8 bytes
	b = binary.LittleEndian.AppendUint64(b, says)
	for n > 0 {
		k := min(n, 128<<10)
		n -= k
		v := uint32(k)<<3 | 1<<1
		if n == 0 {
			v |= 1
		}
		b = append(b, byte(v), byte(v>>8), byte(v>>16), 0)
	}
	return b
}

func TestUnsoundFrames(t *testing.T) {
	raw := sentences(100_000, 2)
	good := frameOf(t, raw)
	skipped := append([]byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0}, "abc"...)
	windowed := func(opts ...zstd.EOption) []byte {
		enc, err := zstd.NewWriter(nil, append(opts, zstd.WithEncoderConcurrency(1))...)
		require.NoError(t, err)
		return enc.EncodeAll(raw, nil)
	}
	empty := frameOf(t, nil)
	for _, c := range []struct {
		name  string
		frame []byte
		n     int
	}{
		{"nothing", nil, 10},
		{"no frame", []byte("this is no frame at all, and never was"), 38},
		{"cut", good[:len(good)-1], len(raw)},
		{"cut in the header", good[:5], len(raw)},
		{"more behind it", append(bytes.Clone(good), 0), len(raw)},
		{"two frames", append(bytes.Clone(good), good...), len(raw)},
		{"an empty frame behind it", append(bytes.Clone(good), empty...), len(raw)},
		{"skipped behind it", append(bytes.Clone(good), skipped...), len(raw)},
		{"skipped before it", append(bytes.Clone(skipped), good...), len(raw)},
		{"longer than said in the block", good, len(raw) - 1},
		{"shorter than said in the block", good, len(raw) + 1},
		{"a window of its own", windowed(zstd.WithSingleSegment(false), zstd.WithWindowSize(8<<20)), len(raw)},
		{"more than the frame says", bomb(4096, 8192), 4096},
		{"more than the frame says, by far", bomb(4096, 1<<30), 4096},
		{"less than the frame says", bomb(8192, 4096), 8192},
		{"a huge size in the frame", bomb(1<<40, 1<<20), maxBlockSize},
	} {
		var i inflater
		out, err := i.inflate(c.frame, c.n)
		require.ErrorIs(t, err, errFrame, c.name)
		require.Nil(t, out, c.name)
		require.LessOrEqual(t, cap(i.out), c.n, c.name)
		out, err = i.inflate(good, len(raw))
		require.NoError(t, err, "after: %s", c.name)
		require.True(t, bytes.Equal(raw, out), "after: %s", c.name)
	}
	out, err := new(inflater).inflate(bomb(8192, 8192), 8192)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 8192), out)
	sum, err := new(inflater).inflate(windowed(zstd.WithSingleSegment(true), zstd.WithEncoderCRC(true)), len(raw))
	require.NoError(t, err, "a checksum is allowed")
	require.True(t, bytes.Equal(raw, sum))
}

func FuzzInflate(f *testing.F) {
	raw := sentences(2000, 3)
	f.Add(frameOf(f, raw), len(raw))
	f.Add(frameOf(f, make([]byte, 70_000)), 70_000)
	f.Add(bomb(4096, 8192), 4096)
	f.Add(bomb(300_000, 300_000), 300_000)
	f.Fuzz(func(t *testing.T, frame []byte, n int) {
		if n < 1 || n > maxBlockSize {
			return
		}
		var i inflater
		out, err := i.inflate(frame, n)
		require.LessOrEqual(t, cap(i.out), n)
		if err != nil {
			require.Nil(t, out)
			return
		}
		require.Len(t, out, n)
		again, err := new(inflater).inflate(frameOf(t, out), n)
		require.NoError(t, err)
		require.True(t, bytes.Equal(out, again))
	})
}

// Nothing is allocated for a payload once the first one has gone through.
func TestFramesDoNotAllocate(t *testing.T) {
	var d deflater
	var i inflater
	random := make([]byte, 128<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(random)
	text := sentences(128<<10, 4)
	allocs := testing.AllocsPerRun(20, func() {
		for _, raw := range [][]byte{text, random} {
			copy(d.scratch(len(raw)), raw)
			f, _ := d.deflate(raw)
			if _, err := i.inflate(f, len(raw)); err != nil {
				panic(err)
			}
		}
	})
	if !poolsLeak {
		require.Zero(t, allocs)
	}
}

func BenchmarkZstd(b *testing.B) {
	random := make([]byte, 128<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(random)
	for _, c := range []struct {
		name string
		raw  []byte
	}{{"text", sentences(128<<10, 1)}, {"random", random}, {"zeros", make([]byte, 128<<10)}} {
		var d deflater
		frame := frameOf(b, c.raw)
		b.Run("compress/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.raw)))
			for b.Loop() {
				if _, err := d.deflate(c.raw); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(len(c.raw))*1e9, "s/GB")
			b.ReportMetric(float64(len(c.raw))/float64(len(frame)), "ratio")
		})
		var i inflater
		b.Run("expand/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.raw)))
			for b.Loop() {
				if _, err := i.inflate(frame, len(c.raw)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(len(c.raw))*1e9, "s/GB")
		})
	}
}
