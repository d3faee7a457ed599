package s3

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// TestEncryptedOnMinIO uploads by parts, goes on in another Driver, and reads back; without the passphrase there is nothing
// of the content.
func TestEncryptedOnMinIO(t *testing.T) {
	cfg := place(t, servers.MinIO(t), MinIO)
	bucket := func(passphrase string) *objstore.Bucket {
		d, err := New(cfg)
		require.NoError(t, err)
		d, err = objstore.WithEncryption(d, objstore.Encryption{Passphrase: passphrase, Time: 1, Memory: 8 << 20, Threads: 1})
		require.NoError(t, err)
		b := objstore.NewBucket(d, objstore.Config{PartSize: faultPart})
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		return b
	}
	data := bytes.Repeat([]byte("plain text "), faultSize/11)
	size := int64(len(data))
	first := bucket("sesame")
	w, err := first.Create(t.Context(), "k", objstore.CreateOptions{Size: size})
	require.NoError(t, err)
	text, err := json.Marshal(w.Upload())
	require.NoError(t, err)
	part := func(w *objstore.Writer, n int) {
		u := w.Upload()
		spec, length := u.Spec(n)
		require.NoError(t, w.PutPart(t.Context(), n, spec.Last, io.NewSectionReader(bytes.NewReader(data), spec.Off, length), length))
	}
	part(w, 1)

	second := bucket("sesame")
	var u objstore.Upload
	require.NoError(t, json.Unmarshal(text, &u))
	w, err = second.Resume(t.Context(), u, objstore.PutOptions{})
	require.NoError(t, err)
	require.True(t, w.Has(1))
	for n := range u.Plan.Count(size) {
		if !w.Has(n) {
			part(w, n)
		}
	}
	_, err = w.Complete(t.Context(), size)
	require.NoError(t, err)
	o, err := second.Stat(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, size, o.Size)
	got, _, err := second.Get(t.Context(), "k", size)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
	require.NoError(t, objstore.NewTree(second, "").Mkdir(t.Context(), "folder", objstore.Attr{}), "markers of folders stay empty")

	_, _, err = bucket("mellon").Get(t.Context(), "k", size)
	require.ErrorIs(t, err, objstore.ErrPassphrase)
	require.NotContains(t, get(t, open(t, cfg), "k"), "plain text")
}
