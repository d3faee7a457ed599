package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestErrorMatches(t *testing.T) {
	sentinels := []error{ErrNotFound, ErrDenied, ErrExists, ErrChanged, ErrNoUpload, ErrUnsupported, ErrPassphrase, ErrClosed, fs.ErrNotExist, fs.ErrExist, fs.ErrPermission}
	want := map[Kind][]error{
		NotFound: {ErrNotFound, fs.ErrNotExist}, Denied: {ErrDenied, fs.ErrPermission}, Auth: {ErrDenied, fs.ErrPermission},
		Exists: {ErrExists, fs.ErrExist}, Changed: {ErrChanged}, NoUpload: {ErrNoUpload}, Unsupported: {ErrUnsupported}, Closed: {ErrClosed},
	}
	for kind := Other; kind <= Closed+1; kind++ {
		err := fmt.Errorf("above: %w", &Error{Op: "stat", Key: "a", Kind: kind, Err: io.ErrUnexpectedEOF})
		require.Equal(t, kind, KindOf(err))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		for _, s := range sentinels {
			matches := false
			for _, w := range want[kind] {
				matches = matches || s == w
			}
			require.Equal(t, matches, errors.Is(err, s), "%v and %v", kind, s)
		}
		require.Equal(t, kind == Busy || kind == Temporary || kind == Corrupt, kind.Temporary())
		require.NotEmpty(t, kind.String())
	}
	require.Equal(t, Other, KindOf(nil))
	require.Equal(t, Other, KindOf(context.Canceled))
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		e    Error
		want string
	}{
		{Error{}, "error"},
		{Error{Kind: Full}, "storage is full"},
		{Error{Op: "put", Kind: Full}, "put: storage is full"},
		{Error{Op: "put", Key: "a\n", Kind: Full, Err: io.EOF}, `put "a\n": storage is full: EOF`},
		{Error{Op: "put", Key: "a", Err: io.EOF}, `put "a": EOF`},
		{Error{Op: "put", Key: "a", Err: errors.New("an error")}, `put "a": an error`},
		{Error{Op: "put", Key: "a", Kind: Clock}, `put "a": clocks differ (set this machine's clock)`},
		{Error{Op: "put", Key: "a", Kind: Clock, Hint: "wait"}, `put "a": clocks differ (wait)`},
		{Error{Kind: 99}, "kind 99"},
	} {
		require.Equal(t, c.want, c.e.Error())
	}
}

func TestFailureIsOneError(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	inner := &Error{Op: "put part", Key: "k", Kind: Full}
	require.Same(t, inner, failure(ctx, "op", "key", inner), "the driver knew it all")
	require.Equal(t, &Error{Op: "op", Key: "key", Kind: Full}, failure(ctx, "op", "key", &Error{Kind: Full}))
	require.Equal(t, &Error{Op: "own", Key: "key", Kind: Full}, failure(ctx, "op", "key", &Error{Op: "own", Kind: Full}))
	wrapped := fmt.Errorf("on the way: %w", inner)
	require.Equal(t, &Error{Op: "op", Key: "key", Kind: Full, Err: wrapped}, failure(ctx, "op", "key", wrapped))
	require.Equal(t, &Error{Op: "op", Key: "key", Err: io.EOF}, failure(ctx, "op", "key", io.EOF))
	gone := errors.New("gone")
	cancel(gone)
	require.Equal(t, &Error{Op: "op", Key: "key", Err: gone}, failure(ctx, "op", "key", &Error{Kind: Busy}))
	require.Same(t, inner, failure(ctx, "op", "key", inner), "a better reason than that the context has ended")
}
