package objstore_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

const segment = 64 << 10

func section(b []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
}

func randomBytes(t testing.TB, n int) ([]byte, *rand.Rand) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b, rng
}

// read returns a range, or the first error of opening or reading it, with what came before.
func read(t testing.TB, d objstore.Driver, key string, off, length int64) ([]byte, error) {
	rc, _, err := d.Read(t.Context(), key, off, length, "")
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}

func put(t testing.TB, d objstore.Driver, key string, b []byte) objstore.Object {
	t.Helper()
	o, err := d.Put(t.Context(), key, section(b), objstore.PutOptions{})
	require.NoError(t, err)
	return o
}

func TestEncryptedSizesAndRanges(t *testing.T) {
	data, rng := randomBytes(t, 3*segment+1)
	d := encrypted(t, memstore.New())
	for _, size := range []int{0, 1, segment - 1, segment, segment + 1, 2 * segment, 3*segment - 1, 3 * segment, 3*segment + 1} {
		put(t, d, "k", data[:size])
		if size > 0 {
			got, err := read(t, d, "k", 0, -1)
			require.NoError(t, err)
			require.True(t, bytes.Equal(data[:size], got), "%d bytes", size)
		}
		for range 40 {
			off, length := rng.Int64N(int64(size)+2), rng.Int64N(int64(size)+2)
			rc, o, err := d.Read(t.Context(), "k", off, length, "")
			if off >= int64(size) {
				require.Equal(t, objstore.Range, objstore.KindOf(err))
				continue
			}
			require.NoError(t, err)
			require.EqualValues(t, size, o.Size)
			got, err := io.ReadAll(rc)
			require.NoError(t, err)
			require.NoError(t, rc.Close())
			require.True(t, bytes.Equal(data[off:min(off+length, int64(size))], got), "%d bytes from %d of %d", length, off, size)
		}
	}
}

func TestEncryptedTampering(t *testing.T) {
	data, rng := randomBytes(t, 3*segment)
	const stored = segment + 40
	store := memstore.New()
	d := encrypted(t, store)
	put(t, d, "k", data)
	good, err := read(t, store, "k", 0, -1)
	require.NoError(t, err)
	put(t, d, "other", data)
	other, err := read(t, store, "other", 0, -1)
	require.NoError(t, err)
	bad := map[string][]byte{
		"a segment left out at the end": good[:512+2*stored+40],
		"cut at a border":               append(bytes.Clone(good[:512+2*stored]), good[len(good)-40:]...),
		"two segments swapped":          append(append(append(bytes.Clone(good[:512]), good[512+stored:512+2*stored]...), good[512:512+stored]...), good[512+2*stored:]...),
		"appended":                      append(bytes.Clone(good), 0),
		"of another object":             append(bytes.Clone(good[:512+stored]), other[512+stored:]...),
		"another header":                append(bytes.Clone(other[:512]), good[512:]...),
	}
	for range 60 {
		b := bytes.Clone(good)
		at := rng.IntN(len(b))
		if rng.IntN(2) == 0 {
			at = rng.IntN(512)
		}
		b[at] ^= byte(1 + rng.IntN(255))
		if at >= 12 && at < 24 {
			continue // other parameters: another key, which may be dear
		}
		bad["byte "+string(rune('0'+len(bad)))] = b
	}
	for name, b := range bad {
		put(t, store, "k", b)
		got, err := read(t, d, "k", 0, -1)
		require.Error(t, err, name)
		require.False(t, objstore.KindOf(err).Temporary(), name)
		require.True(t, bytes.HasPrefix(data, got), "%s: nothing wrong is returned", name)
	}
	put(t, store, "k", good[:512+stored+40+100])
	_, err = read(t, d, "k", 0, -1)
	require.ErrorIs(t, err, objstore.ErrTampered)
	put(t, store, "plain", []byte("hello"))
	_, err = read(t, d, "plain", 0, -1)
	require.ErrorIs(t, err, objstore.ErrNotEncrypted)
}

func TestWrongPassphrase(t *testing.T) {
	store := memstore.New()
	d := encrypted(t, store)
	put(t, d, "k", []byte("text"))
	u, err := d.Begin(t.Context(), objstore.Upload{Key: "u", Size: -1, Plan: objstore.Plan{First: segment}}, objstore.PutOptions{})
	require.NoError(t, err)
	wrong, err := objstore.WithEncryption(store, cheap("wrong"))
	require.NoError(t, err)
	_, err = read(t, wrong, "k", 0, -1)
	require.ErrorIs(t, err, objstore.ErrPassphrase)
	_, err = wrong.PutPart(t.Context(), u, objstore.PartSpec{Last: true}, section([]byte("x")))
	require.ErrorIs(t, err, objstore.ErrPassphrase)
	parts, err := d.Parts(t.Context(), u)
	require.NoError(t, err)
	require.Empty(t, parts, "nothing was written")
	for _, e := range []objstore.Encryption{{}, {Passphrase: "x", Memory: 1 << 40}, {Passphrase: "x", Time: -1}} {
		_, err := objstore.WithEncryption(store, e)
		require.Equal(t, objstore.Invalid, objstore.KindOf(err))
	}
}

// TestEncryptedResume goes on in a second Driver, with a last part that was not known to be the last.
func TestEncryptedResume(t *testing.T) {
	data, _ := randomBytes(t, 4*segment)
	store := memstore.New()
	d, second := encrypted(t, store), encrypted(t, store)
	u, err := d.Begin(t.Context(), objstore.Upload{Key: "k", Size: -1, Plan: objstore.Plan{First: 2 * segment}}, objstore.PutOptions{})
	require.NoError(t, err)
	_, err = d.PutPart(t.Context(), u, objstore.PartSpec{N: 1, Off: 2 * segment}, section(data[2*segment:]))
	require.NoError(t, err)
	kept, err := json.Marshal(u)
	require.NoError(t, err)
	var v objstore.Upload
	require.NoError(t, json.Unmarshal(kept, &v))
	_, err = second.PutPart(t.Context(), v, objstore.PartSpec{}, section(data[:2*segment]))
	require.NoError(t, err)
	parts, err := second.Parts(t.Context(), v)
	require.NoError(t, err)
	o, err := second.Complete(t.Context(), v, parts, objstore.PutOptions{})
	require.NoError(t, err)
	require.EqualValues(t, len(data), o.Size)
	for _, r := range []objstore.Driver{d, second, encrypted(t, store)} {
		got, err := read(t, r, "k", 0, -1)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
	}
}
