package filestore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/leaktest"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/storetest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func open(t testing.TB, dir string) *Store {
	s, err := Open(dir, Config{})
	require.NoError(t, err)
	return s
}

func TestConformance(t *testing.T) {
	dirs := map[objstore.Driver]string{}
	storetest.Run(t, storetest.Target{
		Open: func(t testing.TB) objstore.Driver {
			dir := t.TempDir()
			s := open(t, dir)
			dirs[s] = dir
			return s
		},
		Again:   func(t testing.TB, d objstore.Driver) objstore.Driver { return open(t, dirs[d]) },
		Refuses: []string{"dot segment", "dot dot segment", "double slash", "trailing slash"},
		Big:     true,
	})
}
