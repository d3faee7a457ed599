package pipe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/pipe"
)

func TestStreamInOrder(t *testing.T) {
	var out bytes.Buffer
	b := objstore.NewBucket(pipe.New(&out, 0), objstore.Config{PartSize: 1000})
	defer b.Close()
	w, err := b.Create(t.Context(), "x", objstore.CreateOptions{Size: 2500})
	require.NoError(t, err)
	text := strings.Repeat("0123456789", 250)
	put := func(n, from, to int) error {
		return w.PutPart(t.Context(), n, to == 2500, strings.NewReader(text[from:to]), int64(to-from))
	}
	require.Error(t, put(1, 1000, 2000), "parts have an order")
	require.NoError(t, put(0, 0, 1000))
	require.NoError(t, put(1, 1000, 2000))
	require.NoError(t, put(2, 2000, 2500))
	_, err = w.Complete(t.Context(), 2500)
	require.NoError(t, err)
	require.Equal(t, text, out.String())
	_, err = b.Put(t.Context(), "y", strings.NewReader("more"), 4, objstore.PutOptions{})
	require.NoError(t, err)
	require.Equal(t, text+"more", out.String())
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestFailedWriterIsNotTriedAgain(t *testing.T) {
	b := objstore.NewBucket(pipe.New(broken{}, 0), objstore.Config{})
	defer b.Close()
	for range 2 {
		_, err := b.Put(t.Context(), "y", strings.NewReader("more"), 4, objstore.PutOptions{})
		require.ErrorContains(t, err, "gone")
	}
}

func TestSecondUploadWaits(t *testing.T) {
	var out bytes.Buffer
	d := pipe.New(&out, 0)
	u, err := d.Begin(t.Context(), objstore.Upload{Key: "a"}, objstore.PutOptions{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.Begin(ctx, objstore.Upload{Key: "b"}, objstore.PutOptions{})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, d.Abort(t.Context(), u))
	_, err = d.Begin(t.Context(), objstore.Upload{Key: "b"}, objstore.PutOptions{})
	require.NoError(t, err)
}

// TestBegunAgain: who was interrupted and sends an object again does not wait for the end of what he began, and repeats nothing that was written.
func TestBegunAgain(t *testing.T) {
	var out bytes.Buffer
	d := pipe.New(&out, 1)
	begin := func(key string) (objstore.Upload, error) {
		return d.Begin(t.Context(), objstore.Upload{Key: key}, objstore.PutOptions{})
	}
	part := func(u objstore.Upload) error {
		_, err := d.PutPart(t.Context(), u, objstore.PartSpec{}, io.NewSectionReader(strings.NewReader("ab"), 0, 2))
		return err
	}
	old, err := begin("a")
	require.NoError(t, err)
	u, err := begin("a")
	require.NoError(t, err, "nothing was written")
	require.Error(t, part(old))
	require.NoError(t, part(u))
	for range 2 {
		_, err = begin("a")
		require.ErrorContains(t, err, "begin upload")
	}
	require.Error(t, part(u))
	require.Equal(t, "ab", out.String())

	out.Reset()
	d = pipe.New(&out, 0)
	u, err = begin("a")
	require.NoError(t, err)
	require.NoError(t, part(u))
	_, err = begin("a")
	require.ErrorContains(t, err, "cannot be taken back")
	u, err = begin("b")
	require.NoError(t, err, "it waits for nobody")
	require.ErrorContains(t, part(u), "cannot be taken back", "what would come behind a torn object is not written")
	require.Equal(t, "ab", out.String())
}

func TestLimit(t *testing.T) {
	var out bytes.Buffer
	d := objstore.NewBucket(pipe.New(&out, 1), objstore.Config{})
	_, err := d.Put(t.Context(), "a", strings.NewReader("a"), 1, objstore.PutOptions{})
	require.NoError(t, err)
	_, err = d.Put(t.Context(), "b", strings.NewReader("b"), 1, objstore.PutOptions{})
	require.ErrorContains(t, err, "takes 1 object")
	require.Equal(t, "a", out.String())
}
