package transfer

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// paced is a session that sends no block before it was told to send as fast as wanted; then it is cut, the first time.
type paced struct {
	*transfertest.Conn
	wanted fasp.Rate
	cut    bool

	mu   sync.Mutex // guards what follows
	seen []fasp.Rates
	told chan struct{}
	once sync.Once
}

func (p *paced) SetRates(r fasp.Rates) {
	p.mu.Lock()
	p.seen = append(p.seen, r)
	p.mu.Unlock()
	if r.Target == p.wanted {
		p.once.Do(func() { close(p.told) })
	}
	p.Conn.SetRates(r)
}

func (p *paced) SendBlock(ctx context.Context, b *fasp.Block) error {
	select {
	case <-p.told:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if p.cut {
		p.Cut()
	}
	return p.Conn.SendBlock(ctx, b)
}

// TestControl: new rates hold at once, at whichever side sends, and in later sessions of the Run.
func TestControl(t *testing.T) {
	for _, d := range []Direction{Send, Receive} {
		t.Run(d.String(), func(t *testing.T) {
			local, root := t.TempDir(), t.TempDir()
			spec := Spec{Direction: d, Destination: "in", CreateDir: true, Rates: fasp.Rates{Target: 10 * fasp.Mbps}}
			if d == Send {
				write(t, filepath.Join(local, "f"), 300_000, 1)
				spec.Paths = []Path{{Source: filepath.Join(local, "f")}}
			} else {
				write(t, filepath.Join(root, "f"), 300_000, 1)
				spec.Paths, spec.Destination = []Path{{Source: "f"}}, local
			}
			store, err := OpenDir(root)
			require.NoError(t, err)
			defer store.Close()
			var control Control
			var sessions []*paced
			var dialed []fasp.Rate
			var serving, setting sync.WaitGroup
			limit := fasp.Rate(50 * fasp.Mbps)
			cfg := Config{Control: &control, RetryWait: 1, StateDir: t.TempDir(), Dial: func(_ context.Context, s *Spec) (fasp.Session, error) {
				dialed = append(dialed, s.Rates.Target)
				c, v := transfertest.Pair(transfertest.Options{Seed: uint64(len(sessions))})
				p := &paced{Conn: c, wanted: 20 * fasp.Mbps, cut: len(sessions) == 0, told: make(chan struct{})}
				client, server := fasp.Session(p), fasp.Session(v)
				if d == Receive {
					p.Conn = v
					client, server = c, p
				}
				sessions = append(sessions, p)
				serving.Go(func() {
					_ = Serve(context.Background(), server, ServeConfig{Store: store, Limits: Limits{Read: true, Write: true, List: true, Delete: true, MaxRate: limit}})
				})
				return client, nil
			}, Events: func(e Event) {
				if e.Kind == EventSessionStarted && e.Session.Attempt == 1 {
					setting.Go(func() { require.NoError(t, control.SetRates(fasp.Rates{Target: 20 * fasp.Mbps, Policy: fasp.Low})) })
				}
			}}
			_, err = Run(t.Context(), cfg, spec)
			require.NoError(t, err)
			setting.Wait()
			serving.Wait()
			require.Equal(t, []fasp.Rate{10 * fasp.Mbps, 20 * fasp.Mbps}, dialed)
			require.Equal(t, fasp.Rates{Target: 10 * fasp.Mbps}, sessions[0].seen[0])
			for _, p := range sessions {
				require.Equal(t, fasp.Rates{Target: 20 * fasp.Mbps, Policy: fasp.Low}, p.seen[len(p.seen)-1])
			}
			require.NoError(t, control.SetRates(fasp.Rates{}), "after the Run nobody hears of it")
		})
	}
}

func TestControlRefuses(t *testing.T) {
	var c Control
	require.ErrorContains(t, c.SetRates(fasp.Rates{Policy: fasp.Fixed}), "policy fixed needs a target rate")
	require.Error(t, c.SetRates(fasp.Rates{Target: -1}))
	require.Error(t, c.SetRates(fasp.Rates{Policy: 99}))
	require.ErrorContains(t, c.SetRates(fasp.Rates{Target: MaxRate + 1}), "rates are at most")
	require.ErrorContains(t, c.SetRates(fasp.Rates{Min: MaxRate + 1}), "rates are at most")
	_, ok := c.Rates()
	require.False(t, ok)

	// What is taken here is taken by the server.
	_, err := decodeRates(encodeRates(fasp.Rates{Target: MaxRate, Min: MaxRate}))
	require.NoError(t, err)

	// At the server the limits hold.
	require.Equal(t, fasp.Rates{Target: 5, Min: 5}, limited(fasp.Rates{Target: 9, Min: 7}, 5))
	require.Equal(t, fasp.Rates{Target: 5}, limited(fasp.Rates{}, 5))
	require.Equal(t, fasp.Rates{Target: 9}, limited(fasp.Rates{Target: 9}, 0))
	v := &server{sess: new(transfertest.Conn)}
	_, err = v.repace(recRates, encodeRates(fasp.Rates{Policy: fasp.Fixed}))
	require.Error(t, err)
	handled, err := v.repace(recTotals, nil)
	require.NoError(t, err)
	require.False(t, handled)
}
