package objstore

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWrappersCopyBetweenPlaces copies from wrapped places to wrapped ones: by the store where the bytes that it has may stay
// as they are.
func TestWrappersCopyBetweenPlaces(t *testing.T) {
	seal := func(passphrase string) func(Driver) Driver {
		return func(d Driver) Driver {
			w, err := WithEncryption(d, Encryption{Passphrase: passphrase, Time: 1, Memory: 8 << 10, Threads: 1})
			require.NoError(t, err)
			return w
		}
	}
	plain := func(d Driver) Driver { return WithLimit(WithRetry(WithPrefix(d, "p/"), 0, nil), Limits{Requests: 2}) }
	for _, c := range []struct {
		name     string
		dst, src func(Driver) Driver
		inside   bool
	}{
		{"not encrypted", plain, plain, true},
		{"one passphrase", seal("a"), seal("a"), true},
		{"one passphrase, below and above others", func(d Driver) Driver { return plain(seal("a")(plain(d))) }, func(d Driver) Driver { return plain(seal("a")(plain(d))) }, true},
		{"two passphrases", seal("a"), seal("b"), false},
		{"from encrypted", plain, seal("a"), false},
		{"to encrypted", seal("a"), plain, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsrc, fdst := newFake(), newFake()
			src, dst := c.src(crossing{fake: fsrc}), c.dst(crossing{fake: fdst})
			text := strings.Repeat("text", 40_000)
			put := func(key string) {
				_, err := src.Put(t.Context(), key, io.NewSectionReader(strings.NewReader(text), 0, int64(len(text))), PutOptions{})
				require.NoError(t, err)
			}
			put("a")
			cross, ok := dst.(CrossCopier)
			require.True(t, ok)
			o, err := cross.CopyFrom(t.Context(), src, "a", "", "b", nil)
			if !c.inside {
				require.ErrorIs(t, err, ErrUnsupported)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "b", o.Key)
			require.EqualValues(t, len(text), o.Size)
			rc, _, err := dst.Read(t.Context(), "b", 0, -1, "")
			require.NoError(t, err)
			got, err := io.ReadAll(rc)
			require.NoError(t, err)
			require.NoError(t, rc.Close())
			require.True(t, string(got) == text)
		})
	}
	_, err := WithPrefix(newFake(), "p/").(CrossCopier).CopyFrom(t.Context(), newFake(), "a", "", "b", nil)
	require.ErrorIs(t, err, ErrUnsupported, "what is below cannot")
}

// TestRetriedCompleteWhoseAnswerIsLost says in its error that the upload may be the object by now.
func TestRetriedCompleteWhoseAnswerIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.after = func(_ context.Context, c call) error {
			if c.op == "Complete" && c.try == 1 {
				return &Error{Op: c.op, Key: c.key, Kind: Temporary}
			}
			return nil
		}
		d := WithRetry(f, time.Minute, nil)
		begin := func() (Upload, []Part) {
			u, err := d.Begin(t.Context(), Upload{Key: "k", Size: 4, Plan: Plan{First: 4}}, PutOptions{})
			require.NoError(t, err)
			p, err := d.PutPart(t.Context(), u, PartSpec{Last: true}, io.NewSectionReader(strings.NewReader("text"), 0, 4))
			require.NoError(t, err)
			return u, []Part{p}
		}
		u, parts := begin()
		_, err := d.Complete(t.Context(), u, parts, PutOptions{})
		require.ErrorIs(t, err, ErrNoUpload)
		require.ErrorContains(t, err, lostHint)
		require.Equal(t, "text", string(f.data("k")))

		// One that never was there is just that.
		_, err = d.Complete(t.Context(), u, parts, PutOptions{})
		require.ErrorIs(t, err, ErrNoUpload)
		require.NotContains(t, err.Error(), lostHint)
		var e *Error
		require.True(t, errors.As(err, &e))
		require.Equal(t, "k", e.Key)
		require.NoError(t, d.Close())
	})
}

func TestKeysThatLeaveAPrefix(t *testing.T) {
	for _, c := range []struct {
		prefix, key string
		leaves      bool
	}{
		{"p/", "a", false},
		{"p/", "..a/b..", false},
		{"p/", "a/../b", false},
		{"p/", "./a", false},
		{"p/", "a//..", false},
		{"p/", "..", true},
		{"p/", "../q", true},
		{"p/", "../p/a", true},
		{"p/", "a/../../q", true},
		{"p/", "./../q", true},
		{"p/", "//../q", true},
		{"p/", `..\q`, true},
		{"p/", `a\..\..\q`, true},
		{"p/r/", "../q", true},
		{"p/nam", "e/a", false},
		{"p/nam", "e/../q", true},
		{"p/nam", "e/a/../b", false},
		{"p/nam", "/../q", true},
		{"p/.", "./q", true},
		{"p/.", "/q", true},
		{"p/.", "hidden/a", false},
	} {
		require.Equal(t, c.leaves, leaves(c.prefix, c.key), "%q with %q", c.prefix, c.key)
	}
	f := newFake()
	d := WithPrefix(f, "p/")
	body := io.NewSectionReader(strings.NewReader(""), 0, 0)
	u := Upload{Key: "../q", ID: "id", Plan: Plan{First: 1}}
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"stat":     func() error { _, err := d.Stat(ctx, u.Key); return err },
		"read":     func() error { _, _, err := d.Read(ctx, u.Key, 0, -1, ""); return err },
		"put":      func() error { _, err := d.Put(ctx, u.Key, body, PutOptions{}); return err },
		"delete":   func() error { return d.Delete(ctx, u.Key) },
		"copy":     func() error { _, err := d.Copy(ctx, "a", "", u.Key, nil); return err },
		"copy of":  func() error { _, err := d.Copy(ctx, u.Key, "", "a", nil); return err },
		"begin":    func() error { _, err := d.Begin(ctx, u, PutOptions{}); return err },
		"put part": func() error { _, err := d.PutPart(ctx, u, PartSpec{}, body); return err },
		"parts":    func() error { _, err := d.Parts(ctx, u); return err },
		"complete": func() error { _, err := d.Complete(ctx, u, nil, PutOptions{}); return err },
		"abort":    func() error { return d.Abort(ctx, u) },
	} {
		err := call()
		var e *Error
		require.True(t, errors.As(err, &e), name)
		require.Equal(t, Invalid, e.Kind, name)
		require.Equal(t, "../q", e.Key, name)
	}
	require.NoError(t, d.Delete(ctx, "absent"))
	for _, c := range f.find("Delete") {
		require.NotContains(t, c.key, "..")
	}
}
