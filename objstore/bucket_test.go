package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestListGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		for i := range 7 {
			f.set(fmt.Sprint("k", i), nil, Attr{})
		}
		f.before = fail("List", 1, Temporary)
		b := NewBucket(f, Config{})
		list := func(o ListOptions, limit int) (keys []string) {
			for o, err := range b.List(t.Context(), o) {
				require.NoError(t, err)
				if keys = append(keys, o.Key); len(keys) == limit {
					break
				}
			}
			return keys
		}
		require.Equal(t, []string{"k0", "k1", "k2", "k3", "k4", "k5", "k6"}, list(ListOptions{Prefix: "k"}, 0))
		require.Equal(t, []string{"k4", "k5", "k6"}, list(ListOptions{After: "k3"}, 0))
		require.Equal(t, []string{"k4", "k5"}, list(ListOptions{Token: "k3", Max: 3}, 2))
		require.Empty(t, list(ListOptions{Prefix: "x"}, 0))

		f.before = fail("List", 1<<30, Denied)
		n := 0
		for _, err := range b.List(t.Context(), ListOptions{Prefix: "k"}) {
			require.ErrorIs(t, err, ErrDenied)
			n++
		}
		require.Equal(t, 1, n, "an error comes once, and last")
	})
}

// circling is a store whose listings never end.
type circling struct{ *fake }

func (circling) List(context.Context, ListOptions) (Page, error) {
	return Page{Objects: []Object{{Key: "a"}}, Next: "here"}, nil
}

func (circling) Uploads(context.Context, string, string) ([]UploadInfo, string, error) {
	return []UploadInfo{{Key: "a"}}, "here", nil
}

func TestListingThatRunsInACircle(t *testing.T) {
	b := NewBucket(circling{newFake()}, Config{})
	var last error
	for _, err := range b.List(t.Context(), ListOptions{}) {
		last = err
	}
	require.ErrorContains(t, last, "repeats a page")
	for _, err := range b.Uploads(t.Context(), "") {
		last = err
	}
	require.ErrorContains(t, last, "repeats a page")
}

func TestDeleteInBatches(t *testing.T) {
	f := newFake()
	var keys []string
	for i := range 2500 {
		keys = append(keys, fmt.Sprint(i))
		f.set(keys[i], nil, Attr{})
	}
	b := NewBucket(f, Config{})
	require.NoError(t, b.Delete(t.Context()))
	f.before = func(_ context.Context, c call) error {
		if c.try == 1 && c.n == 1000 {
			return &Error{Op: "delete", Kind: Denied}
		}
		return nil
	}
	require.ErrorIs(t, b.Delete(t.Context(), keys...), ErrDenied)
	require.Len(t, f.objects, 1000, "the others are gone")
	require.NoError(t, b.Delete(t.Context(), keys...))
	require.Empty(t, f.objects)
	require.Equal(t, 500, f.find("Delete")[2].n)
}

func TestUploadsAndAbort(t *testing.T) {
	f := newFake()
	b := NewBucket(f, Config{})
	for range 3 {
		upload(t, b, 1)
	}
	var got []UploadInfo
	for u, err := range b.Uploads(t.Context(), "a") {
		require.NoError(t, err)
		got = append(got, u)
	}
	require.Len(t, got, 3)
	for _, u := range got {
		require.NoError(t, b.Abort(t.Context(), Upload{Key: u.Key, ID: u.ID}))
	}
	require.Zero(t, f.open())
	for range b.Uploads(t.Context(), "a") {
		require.Fail(t, "an upload is left")
	}
}

func TestKeysAreChecked(t *testing.T) {
	f := newFake()
	f.caps.MaxKey = 10
	b := NewBucket(f, Config{})
	for _, key := range []string{"", "12345678901"} {
		_, err := b.Put(t.Context(), key, bytes.NewReader(nil), 0, PutOptions{})
		require.Equal(t, Invalid, KindOf(err))
		_, err = b.Create(t.Context(), key, CreateOptions{})
		require.Equal(t, Invalid, KindOf(err))
		_, err = b.Write(t.Context(), key, bytes.NewReader(nil), CreateOptions{})
		require.Equal(t, Invalid, KindOf(err))
		_, err = b.Copy(t.Context(), "a", key)
		require.Equal(t, Invalid, KindOf(err))
	}
	require.Empty(t, f.calls)
}

func TestConfigDefaults(t *testing.T) {
	b := NewBucket(newFake(), Config{})
	require.Equal(t, int64(DefaultPartSize), b.PartSize())
	require.Equal(t, int64(8*DefaultPartSize), b.Pool().Size())
	require.Equal(t, 64, b.cfg.Parallel)
	f := newFake()
	f.caps.Local = true
	pool := NewPool(1)
	b = NewBucket(f, Config{PartSize: 5, Pool: pool})
	require.Equal(t, 4, b.cfg.Parallel)
	require.Equal(t, int64(5), b.PartSize())
	require.Same(t, pool, b.Pool())
	require.Equal(t, f.caps, b.Caps())
	require.Equal(t, Driver(f), b.Driver())
	require.NoError(t, b.Close())
}

// TestLogSaysNoKey runs into retries and a failed abort with a logger that hears everything.
func TestLogSaysNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := newFake()
		f.before = func(_ context.Context, c call) error {
			switch {
			case c.op == "Begin" && c.try == 1:
				return &Error{Kind: Busy}
			case c.op == "PutPart":
				return &Error{Kind: Full}
			case c.op == "Abort":
				return &Error{Kind: Denied, Err: errors.New("no")}
			}
			return nil
		}
		b := NewBucket(f, Config{PartSize: testPart, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		_, err := b.Write(t.Context(), "private-name", strings.NewReader(strings.Repeat("x", 3*testPart)), CreateOptions{Size: 3 * testPart})
		require.Equal(t, Full, KindOf(err))
		require.Contains(t, log.String(), "store request is tried again")
		require.Contains(t, log.String(), "upload was not aborted")
		require.NotContains(t, log.String(), "private-name")
	})
}
