package transfer

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSliceOf: the slices of a file are all of it, each byte in one, whoever counts.
func TestSliceOf(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sizes := []int64{0, 1, sliceAlign, sliceAlign + 1, maxFileSize}
	for range 200 {
		sizes = append(sizes, rng.Int64N(64<<20), rng.Int64N(maxFileSize))
	}
	for _, size := range sizes {
		for _, n := range []int{1, 2, 3, 1 + rng.IntN(100), MaxParts} {
			sliceOf(t, size, n)
		}
	}
}

func sliceOf(t *testing.T, size int64, n int) {
	t.Helper()
	first := Part{1, n}.slice(size, 7)
	if !first.divided() {
		require.True(t, n == 1 || size <= sliceAlign)
		require.Zero(t, first)
		return
	}
	at, some := int64(0), 0
	for i := 1; i <= n; i++ {
		s := Part{i, n}.slice(size, 7)
		if s.Count != first.Count || s.Whole != size || s.Mtime != 7 || s.Off%sliceAlign != 0 {
			t.Fatalf("%d of %d: %+v", i, n, s)
		}
		if s.Len == 0 && i > s.Count {
			continue
		}
		some++
		if s.Off != at || s.Len <= 0 {
			t.Fatalf("%d of %d begins at %d, not at %d", i, n, s.Off, at)
		}
		at += s.Len
	}
	require.Equal(t, size, at)
	require.Equal(t, first.Count, some)
}

func TestSliceUsage(t *testing.T) {
	spec := Spec{Paths: []Path{{Source: "x"}}, Destination: "y", Part: Part{1, 2}, Split: 1 << 20, Checksum: ChecksumMD5}
	_, err := newRig(t).run(spec)
	require.ErrorContains(t, err, "digest")
	spec.Checksum, spec.Split = ChecksumNone, -1
	_, err = newRig(t).run(spec)
	require.ErrorContains(t, err, "divided from -1")
}

// TestSliceHostile: a peer that divides files otherwise than was agreed breaks the protocol.
func TestSliceHostile(t *testing.T) {
	file := entry{ID: 1, Name: "f", Size: 3 << 20, Mode: 0o644, BlockSize: minBlockSize, Sliced: true}
	for name, q := range map[string]request{
		"no parts":     {Split: 1},
		"no threshold": {Part: Part{1, 3}},
		"too small":    {Part: Part{1, 3}, Split: 4 << 20},
		"no slice":     {Part: Part{9, 9}, Split: 1},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := openTestDir(t)
			q.Version, q.BlockSize, q.Dest, q.Flags = wireVersion, minBlockSize, "in", flagCreateDir
			p := hostileRequest(t, d, &q)
			p.entry(file)
			p.refused("is not divided so")
		})
	}
	_, err := decodeEntry((&entry{ID: 1, Name: "f", Kind: kindDir, Sliced: true}).encode(""), "")
	require.Error(t, err)
	q := request{Version: wireVersion, BlockSize: minBlockSize, Part: Part{1, 2}, Split: 1, Checksum: ChecksumMD5}
	_, err = decodeRequest(q.encode())
	require.Error(t, err)
}

// TestSlicesElsewhere: where a destination cannot have it, the job is refused before anything is sent.
func TestSlicesElsewhere(t *testing.T) {
	r := newRig(t)
	d, err := OpenDir(r.root)
	require.NoError(t, err)
	defer d.Close()
	r.serve.Store = struct{ Store }{d} // whatever it is, it does not have CreateSlice
	write(t, r.local+"/f", 3<<20, 1)
	spec := r.send("f")
	spec.Part, spec.Split = Part{1, 2}, 1<<20
	_, err = r.run(spec)
	require.ErrorContains(t, err, "several commands")
	require.Equal(t, map[string]string{".": "dir", "in": "dir"}, list(t, r.root))
	spec.Split = 0
	_, err = r.run(spec)
	require.NoError(t, err, fmt.Sprint(spec.Part))
}
