package state

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPrepared: statements that are kept answer as others do, for several at once, after one was broken off, and up to a bound.
func TestPrepared(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "state.db")})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	p := newPrepared(s.reader)
	ask := func(ctx context.Context, query string, args ...any) (got []int64, err error) {
		rows, err := p.QueryContext(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var n int64
			if err := rows.Scan(&n); err != nil {
				return nil, err
			}
			got = append(got, n)
		}
		return got, rows.Err()
	}
	const count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n LIMIT ? + 0"
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				want := int64(1 + (i+j)%7)
				got, err := ask(t.Context(), count, want)
				if err != nil || int64(len(got)) != want {
					t.Errorf("%v, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, p.stmts, 1)

	broken, cancel := context.WithCancel(t.Context())
	rows, err := p.QueryContext(broken, count, 1000)
	require.NoError(t, err)
	require.True(t, rows.Next())
	cancel()
	require.NoError(t, rows.Close())
	_, err = ask(broken, count, 5)
	require.ErrorIs(t, err, context.Canceled)
	got, err := ask(t.Context(), count, 3)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 2, 3}, got)

	_, err = ask(t.Context(), "SELECT nothing")
	require.ErrorContains(t, err, "nothing")
	many := "SELECT ?" + strings.Repeat(" + ?", maxPreparedArgs)
	_, err = ask(t.Context(), many, make([]any, maxPreparedArgs+1)...)
	require.Error(t, err, "NULL is no number")
	require.Len(t, p.stmts, 1, "neither what is wrong nor what has many arguments is kept")
	for i := range maxPrepared + 10 {
		got, err := ask(t.Context(), fmt.Sprintf("SELECT %d", i))
		require.NoError(t, err)
		require.Equal(t, []int64{int64(i)}, got)
	}
	require.Len(t, p.stmts, maxPrepared)
}
