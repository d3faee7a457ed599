package nodeapi

import (
	"context"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

func TestTurns(t *testing.T) {
	turns := NewListings()
	var done []func()
	take := func(key string) error {
		d, err := turns.Take(t.Context(), accesskey.Grant{KeyID: key})
		if err == nil {
			done = append(done, d)
		}
		return err
	}
	for range maxListingsKey {
		require.NoError(t, take("k0"))
	}
	require.ErrorContains(t, take("k0"), "429")
	for i := 1; len(done) < maxListings; i++ {
		require.NoError(t, take(fmt.Sprint("k", i)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := turns.Take(ctx, accesskey.Grant{KeyID: "late"})
	require.ErrorIs(t, err, context.Canceled, "all turns are taken")
	done[0]()
	done = done[1:]
	require.NoError(t, take("k0"))
	for _, d := range done {
		d()
	}
	require.Empty(t, turns.key, "nothing stays of keys that are gone")
	require.Empty(t, turns.all)
}

// slow is a place whose listing goes on until it is let go.
type slow struct{ entered, leave chan struct{} }

func (p slow) Open(context.Context, accesskey.Grant) (transfer.Manager, func(), error) {
	return slowPlace{slow: p}, func() {}, nil
}

type slowPlace struct {
	transfer.Manager
	slow
}

func (p slowPlace) Open(context.Context, string) (transfer.Source, error) { panic("not called") }

func (p slowPlace) Stat(context.Context, string, bool) (transfer.Info, error) {
	return transfer.Info{Mode: fs.ModeDir | 0o755}, nil
}

func (p slowPlace) Walk(context.Context, string, transfer.WalkOptions, func(transfer.Info) error) error {
	p.entered <- struct{}{}
	<-p.leave
	return nil
}

// TestListingsOfOneKeyAreBounded: every call that lists takes a turn.
func TestListingsOfOneKeyAreBounded(t *testing.T) {
	p := slow{make(chan struct{}), make(chan struct{})}
	b := newBed(t, func(c *Config) { c.Places = p })
	calls := []string{"/files/browse", "/files/search", "/files/page", "/files/du"}
	results := make(chan int)
	for i := range maxListingsKey {
		go func() { results <- b.serve("POST", calls[i%len(calls)], `{"path":"/"}`).Code }()
		<-p.entered
	}
	for _, call := range calls {
		require.Equal(t, 429, b.serve("POST", call, `{"path":"/"}`).Code, call)
	}
	close(p.leave)
	for range maxListingsKey {
		require.Equal(t, 200, <-results)
	}
}
