package objstore_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

func TestPrefixHidesTheRest(t *testing.T) {
	store := memstore.New()
	for _, key := range []string{"a", "p/", "p/x", "p/y/z", "q"} {
		put(t, store, key, []byte(key))
	}
	d := objstore.WithPrefix(store, "p/")
	require.Equal(t, store.Caps().MaxKey-2, d.Caps().MaxKey)
	p, err := d.List(t.Context(), objstore.ListOptions{After: "x"})
	require.NoError(t, err)
	require.Len(t, p.Objects, 1)
	require.Equal(t, "y/z", p.Objects[0].Key)
	require.NoError(t, d.Delete(t.Context(), "", "a", "x"))
	_, err = store.Stat(t.Context(), "a")
	require.NoError(t, err)
	_, err = store.Stat(t.Context(), "p/")
	require.NoError(t, err)
	_, err = d.Stat(t.Context(), "x")
	var e *objstore.Error
	require.True(t, errors.As(err, &e))
	require.Equal(t, "x", e.Key)
	require.NotContains(t, err.Error(), "p/")
}
