package state

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// clock is the time that tests begin at. Stores made by openAt have it as their clock.
var clock = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// openAt opens the store at path until the test ends.
func openAt(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path, Now: func() time.Time { return clock }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// openNew opens an empty store.
func openNew(t testing.TB) *Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "state.db"))
}

func TestSQLite(t *testing.T) {
	suite(t, func(t *testing.T) *Store { return openNew(t) })
}
