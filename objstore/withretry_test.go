package objstore

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetriedDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		data := bytes.Repeat([]byte("0123456789"), 100)
		fail := func(ctx context.Context, c call) error {
			if c.try <= 2 {
				return &Error{Op: c.op, Key: c.key, Kind: Temporary}
			}
			return nil
		}
		f.before = fail
		d := WithRetry(f, time.Minute, nil)
		body := io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data)))
		_, err := d.Put(t.Context(), "k", body, PutOptions{})
		require.NoError(t, err)
		require.Equal(t, 3, f.count("Put"))

		f.before = nil
		breaks := 0
		f.body = func(_ context.Context, _ call, rc io.ReadCloser) io.ReadCloser {
			if breaks++; breaks > 3 {
				return rc
			}
			return struct {
				io.Reader
				io.Closer
			}{io.MultiReader(io.LimitReader(rc, 100), iotest.ErrReader(io.ErrUnexpectedEOF)), rc}
		}
		rc, _, err := d.Read(t.Context(), "k", 10, -1, "")
		require.NoError(t, err)
		got, err := io.ReadAll(rc)
		require.NoError(t, err)
		require.NoError(t, rc.Close())
		require.True(t, bytes.Equal(data[10:], got))
		require.Equal(t, 4, breaks)

		f.body = nil
		f.after = func(_ context.Context, c call) error {
			if c.try == 1 {
				return &Error{Op: c.op, Key: c.key, Kind: Temporary}
			}
			return nil
		}
		_, err = d.Put(t.Context(), "new", body, PutOptions{IfAbsent: true})
		require.ErrorIs(t, err, ErrExists)
		require.ErrorContains(t, err, "may have succeeded")
		_, err = d.Stat(t.Context(), "none")
		require.ErrorIs(t, err, ErrNotFound)
		require.NoError(t, d.Close())
	})
}
