package objstore_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

// writerAt takes all and keeps nothing.
type writerAt struct{}

func (writerAt) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// TestNothingIsTakenForEmpty reads what is no whole encrypted object in every way that asks for the size first: with size 0
// no byte would be asked for, and what was lost would look like an empty object.
func TestNothingIsTakenForEmpty(t *testing.T) {
	data, _ := randomBytes(t, 2*segment+100)
	store := memstore.New()
	d := encrypted(t, store)
	put(t, d, "good", data)
	put(t, d, "empty", nil)
	good, err := read(t, store, "good", 0, -1)
	require.NoError(t, err)
	empty, err := read(t, store, "empty", 0, -1)
	require.NoError(t, err)
	require.Len(t, empty, 552)

	b := objstore.NewBucket(d, objstore.Config{})
	defer func() { require.NoError(t, b.Close()) }()
	to := objstore.NewBucket(memstore.New(), objstore.Config{})
	defer func() { require.NoError(t, to.Close()) }()
	for name, c := range map[string]struct {
		stored []byte
		err    error
		listed int64 // size
	}{
		"nothing left":                    {nil, objstore.ErrNotEncrypted, 0},
		"some bytes left":                 {good[:5], objstore.ErrNotEncrypted, 5},
		"cut within the header":           {good[:300], objstore.ErrTampered, 300},
		"cut behind the header":           {good[:512], objstore.ErrTampered, 512},
		"cut within the nonce":            {good[:530], objstore.ErrTampered, 530},
		"cut to the size of an empty one": {good[:552], objstore.ErrTampered, 0},
		"cut behind that":                 {good[:553], objstore.ErrTampered, 1},
		"cut to whole segments":           {good[:512+segment+40], objstore.ErrTampered, 512 + segment + 40},
		"cut within a later nonce":        {good[:512+segment+40+17], objstore.ErrTampered, 512 + segment + 40 + 17},
		"never encrypted":                 {[]byte("the only copy"), objstore.ErrNotEncrypted, 13},
		"never encrypted, as an empty":    {bytes.Repeat([]byte("x"), 552), objstore.ErrNotEncrypted, 0},
		"an empty one with a bit changed": {append(bytes.Clone(empty[:551]), empty[551]^1), objstore.ErrTampered, 0},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, store, "bad", c.stored)
			_, err := b.Download(t.Context(), "bad", writerAt{}, objstore.ReadOptions{})
			require.ErrorIs(t, err, c.err, "Download")
			_, _, err = b.Get(t.Context(), "bad", 1<<20)
			require.ErrorIs(t, err, c.err, "Get")
			_, err = objstore.Copy(t.Context(), to, "copy", b, "bad", objstore.CopyOptions{})
			require.ErrorIs(t, err, c.err, "Copy")
			_, err = to.Stat(t.Context(), "copy")
			require.ErrorIs(t, err, objstore.ErrNotFound)
			if o, err := b.Stat(t.Context(), "bad"); err == nil {
				require.NotZero(t, o.Size)
			}
			p, err := d.List(t.Context(), objstore.ListOptions{Prefix: "bad"})
			require.NoError(t, err)
			require.Equal(t, c.listed, p.Objects[0].Size)
		})
	}
	for range 2 { // the second time it is known
		o, err := b.Stat(t.Context(), "empty")
		require.NoError(t, err)
		require.Zero(t, o.Size)
	}
	_, err = objstore.Copy(t.Context(), to, "copy", b, "empty", objstore.CopyOptions{})
	require.NoError(t, err)

	other, err := objstore.WithEncryption(store, cheap("wrong"))
	require.NoError(t, err)
	_, err = other.Stat(t.Context(), "empty")
	require.ErrorIs(t, err, objstore.ErrPassphrase)
	put(t, d, "folder/", nil)
	p, _, err := b.Get(t.Context(), "folder/", 10)
	require.NoError(t, err, "markers are read as they are put")
	require.Empty(t, p)
}

// TestEncryptedPartsOfAnotherPlan completes parts whose segments are counted otherwise than a reader would.
func TestEncryptedPartsOfAnotherPlan(t *testing.T) {
	data, _ := randomBytes(t, 2*segment)
	d := encrypted(t, memstore.New())
	u, err := d.Begin(t.Context(), objstore.Upload{Key: "k", Size: -1, Plan: objstore.Plan{First: segment}}, objstore.PutOptions{})
	require.NoError(t, err)
	other := u
	other.Plan.First = 2 * segment
	var parts []objstore.Part
	for n, u := range []objstore.Upload{u, other} {
		p, err := d.PutPart(t.Context(), u, objstore.PartSpec{N: n, Off: u.Plan.Offset(n)}, section(data[:u.Plan.First]))
		require.NoError(t, err)
		parts = append(parts, p)
	}
	_, err = d.Complete(t.Context(), u, parts, objstore.PutOptions{})
	require.Equal(t, objstore.BadPart, objstore.KindOf(err))
	parts[1], err = d.PutPart(t.Context(), u, objstore.PartSpec{N: 1, Off: segment}, section(data[segment:]))
	require.NoError(t, err, "the upload is still there")
	_, err = d.Complete(t.Context(), u, parts, objstore.PutOptions{})
	require.NoError(t, err)
	got, err := read(t, d, "k", 0, -1)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
}

// TestPartPutAgainWithOtherBytes puts a part twice with different bytes, as a retry of a source that changed does: both are
// sealed under nonces of their own, and either can be part of the object.
func TestPartPutAgainWithOtherBytes(t *testing.T) {
	data, _ := randomBytes(t, 2*segment)
	store := memstore.New()
	d := encrypted(t, store)
	stored := map[string]bool{}
	for _, body := range [][]byte{data[:segment], data[segment:], data[:segment]} {
		u, err := d.Begin(t.Context(), objstore.Upload{Key: "k", Size: -1, Plan: objstore.Plan{First: 2 * segment}}, objstore.PutOptions{})
		require.NoError(t, err)
		for _, b := range [][]byte{data[:segment], data[segment:], body} {
			_, err := d.PutPart(t.Context(), u, objstore.PartSpec{Last: true}, section(b))
			require.NoError(t, err)
		}
		parts, err := d.Parts(t.Context(), u)
		require.NoError(t, err)
		_, err = d.Complete(t.Context(), u, parts, objstore.PutOptions{})
		require.NoError(t, err)
		got, err := read(t, d, "k", 0, -1)
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, got))
		raw, err := read(t, store, "k", 512, 24)
		require.NoError(t, err)
		require.False(t, stored[string(raw)], "a nonce is used once")
		stored[string(raw)] = true
	}
}
