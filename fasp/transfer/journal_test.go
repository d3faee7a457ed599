package transfer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

func TestJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	open := func() *journal {
		j, err := openJournal(dir, id16{1})
		require.NoError(t, err)
		return j
	}
	require.False(t, open().interrupted)
	first := open()
	require.False(t, first.interrupted, "opening it does not set it")
	require.NoError(t, first.begin())
	require.NoError(t, first.begin())
	second := open()
	require.True(t, second.interrupted, "the first did not end")
	require.NoError(t, second.begin())
	require.NoError(t, second.forget())
	require.True(t, open().interrupted, "what another run has set stays")
	require.NoError(t, second.done())
	require.False(t, open().interrupted)
	first = open()
	require.NoError(t, first.begin())
	require.NoError(t, first.forget())
	require.False(t, open().interrupted)
	nowhere, err := openJournal("", id16{1})
	require.NoError(t, err)
	require.True(t, nowhere.interrupted, "without a place nothing is known")
	require.NoError(t, nowhere.begin())
	require.NoError(t, nowhere.done())
}

func TestMarkersOfJobsThatNeverBegan(t *testing.T) {
	for name, c := range map[string]struct {
		dial func(context.Context, *Spec) (fasp.Session, error)
		left int
	}{
		"no server": {func(context.Context, *Spec) (fasp.Session, error) { return nil, fasp.ErrHandshakeTimeout }, 0},
		"refused": {func(context.Context, *Spec) (fasp.Session, error) {
			c, s := transfertest.Pair(transfertest.Options{})
			s.Close(fasp.CodeAuth, "no")
			return c, nil
		}, 0},
		"broken off": {func(context.Context, *Spec) (fasp.Session, error) {
			c, s := transfertest.Pair(transfertest.Options{})
			s.Close(fasp.CodeApplication, "no")
			return c, nil
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			state, src := t.TempDir(), filepath.Join(t.TempDir(), "f")
			require.NoError(t, os.WriteFile(src, []byte("x"), 0o600))
			res, err := Run(t.Context(), Config{RetryTimeout: -1, StateDir: state, Dial: c.dial}, Spec{Paths: []Path{{Source: src}}, Destination: "x"})
			require.Error(t, err)
			marks, err := os.ReadDir(state)
			require.NoError(t, err)
			require.Len(t, marks, c.left, fmt.Sprint(marks))
			require.Equal(t, c.left > 0, res.Durable)
		})
	}
}
