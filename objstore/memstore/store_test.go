package memstore

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/leaktest"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/storetest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestConformance(t *testing.T) {
	storetest.Run(t, storetest.Target{
		Open:  func(testing.TB) objstore.Driver { return New() },
		Again: func(_ testing.TB, d objstore.Driver) objstore.Driver { return &Store{p: d.(*Store).p} },
		Big:   true,
	})
}

func TestHostSharesByName(t *testing.T) {
	var h, other Host
	schemes := objstore.Schemes{"mem": h.Open}
	a, key, err := schemes.Open(t.Context(), "mem://one/dir/key")
	require.NoError(t, err)
	require.Equal(t, "dir/key", key)
	_, err = a.Put(t.Context(), key, section("x"), objstore.PutOptions{})
	require.NoError(t, err)
	require.NoError(t, a.Close())
	_, err = a.Stat(t.Context(), key)
	require.ErrorIs(t, err, objstore.ErrClosed)

	b, _, err := schemes.Open(t.Context(), "mem://one")
	require.NoError(t, err)
	_, err = b.Stat(t.Context(), key)
	require.NoError(t, err, "closing loses nothing")
	for _, s := range []*Store{h.Store("two"), other.Store("one")} {
		_, err = s.Stat(t.Context(), key)
		require.ErrorIs(t, err, objstore.ErrNotFound)
	}
	_, _, err = schemes.Open(t.Context(), "mem://one/?size=1")
	require.Equal(t, objstore.Invalid, objstore.KindOf(err))
}

func TestKeys(t *testing.T) {
	for _, key := range []string{"", "/a", strings.Repeat("x", maxKey+1)} {
		_, err := New().Put(t.Context(), key, section("x"), objstore.PutOptions{})
		require.Equal(t, objstore.Invalid, objstore.KindOf(err), "%q", key)
	}
}

func TestShortBody(t *testing.T) {
	s := New()
	body := strings.NewReader("abc")
	_, err := s.Put(t.Context(), "key", sectionOf(body, 5), objstore.PutOptions{})
	require.ErrorContains(t, err, "read the body at 3")
	_, err = s.Stat(t.Context(), "key")
	require.ErrorIs(t, err, objstore.ErrNotFound)
}

func TestCallersMayChangeMetadata(t *testing.T) {
	s := New()
	meta := map[string]string{"a": "1"}
	_, err := s.Put(t.Context(), "key", section("x"), objstore.PutOptions{Attr: objstore.Attr{Metadata: meta}})
	require.NoError(t, err)
	meta["a"] = "2"
	o, err := s.Stat(t.Context(), "key")
	require.NoError(t, err)
	require.Equal(t, "1", o.Attr.Metadata["a"])
	o.Attr.Metadata["a"] = "3"
	o, err = s.Stat(t.Context(), "key")
	require.NoError(t, err)
	require.Equal(t, "1", o.Attr.Metadata["a"])
}
