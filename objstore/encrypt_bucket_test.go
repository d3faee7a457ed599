package objstore_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/filestore"
)

// TestEncryptedBucket writes streams and parts through a Bucket into a Driver that holds every part to its plan.
func TestEncryptedBucket(t *testing.T) {
	data, _ := randomBytes(t, 10*segment+77)
	files, err := filestore.Open(t.TempDir(), filestore.Config{})
	require.NoError(t, err)
	b := objstore.NewBucket(encrypted(t, files), objstore.Config{PartSize: 2 * segment})
	defer func() { require.NoError(t, b.Close()) }()
	for _, size := range []int{0, 5, 2 * segment, 4 * segment, 4*segment + 1, len(data)} {
		for _, known := range []int64{-1, int64(size)} {
			o, err := b.Write(t.Context(), "k", io.LimitReader(bytes.NewReader(data), int64(size)), objstore.CreateOptions{Size: known})
			require.NoError(t, err, "%d bytes", size)
			require.EqualValues(t, size, o.Size)
			got, _, err := b.Get(t.Context(), "k", int64(len(data)))
			require.NoError(t, err)
			require.True(t, bytes.Equal(data[:size], got), "%d bytes", size)
		}
	}
	// A last part that is put before anybody knows that it is the last.
	w, err := b.Create(t.Context(), "late", objstore.CreateOptions{Size: -1})
	require.NoError(t, err)
	for n := range 2 {
		require.NoError(t, w.PutPart(t.Context(), n, false, bytes.NewReader(data[n*2*segment:]), 2*segment))
	}
	_, err = w.Complete(t.Context(), 4*segment)
	require.NoError(t, err)
	got, _, err := b.Get(t.Context(), "late", int64(len(data)))
	require.NoError(t, err)
	require.True(t, bytes.Equal(data[:4*segment], got))
}
