package node

import (
	"context"
	"crypto/rand"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// earlyClient is a client of a world that keeps tickets.
type earlyClient struct {
	*world
	endpoint *fasp.Endpoint
}

var earlyClientAddr = netip.MustParseAddrPort("10.0.0.2:4001")

func (w *world) earlyClient() *earlyClient {
	pc, err := w.net.Listen(earlyClientAddr)
	require.NoError(w.t, err)
	e, err := fasp.NewEndpoint(pc, fasp.Config{
		VerifyServer: fasp.PinnedKey(w.node.Fingerprint()), Tickets: new(fasp.Tickets),
		Opening: func(x fasp.Exporter) ([]byte, error) { return alice.Opening(x) },
	})
	require.NoError(w.t, err)
	return &earlyClient{w, e}
}

// times is when what was first seen, from the call of Dial on.
type times struct{ answer, data, done time.Duration }

// run does a transfer and returns when the ticket for the next one is there.
func (c *earlyClient) run(spec transfer.Spec) (at times, err error) {
	begin := time.Now()
	var first atomic.Int64
	c.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
		if to == earlyClientAddr && len(data) > 60 && data[0]&0xa0 == 0x20 {
			first.CompareAndSwap(0, int64(time.Since(begin)+oneWay)) // it is there after the delay of the path
		}
		return simnet.Verdict{}
	})
	defer c.net.Tap(nil)
	cfg := transfer.Config{
		RetryTimeout: -1, StateDir: c.t.TempDir(),
		Dial: func(ctx context.Context, _ *transfer.Spec) (fasp.Session, error) { return c.endpoint.Dial(ctx, c.at) },
		Events: func(e transfer.Event) {
			switch e.Kind {
			case transfer.EventSessionStarted:
				at.answer = time.Since(begin)
			case transfer.EventFileDone:
				at.done = time.Since(begin)
			}
		},
	}
	if spec.Rates == (fasp.Rates{}) {
		spec.Rates = fasp.Rates{Policy: fasp.Fixed, Target: 50 * fasp.Mbps}
	}
	_, err = transfer.Run(c.t.Context(), cfg, spec)
	at.data = time.Duration(first.Load())
	return at, err
}

// ready gives the client a ticket.
func (c *earlyClient) ready() {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(filepath.Join(c.docroot, "f"), make([]byte, 20_000), 0o644))
	_, err := c.run(c.download())
	require.NoError(c.t, err)
	c.settle()
}

func (c *earlyClient) settle() { time.Sleep(time.Second) }

func (c *earlyClient) download() transfer.Spec {
	return transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: "f"}}, Destination: filepath.Join(c.t.TempDir(), "f")}
}

func (c *earlyClient) upload(name string) transfer.Spec {
	src := filepath.Join(c.t.TempDir(), "up")
	b := make([]byte, 20_000)
	_, _ = rand.Read(b)
	require.NoError(c.t, os.WriteFile(src, b, 0o644))
	return transfer.Spec{Paths: []transfer.Path{{Source: src}}, Destination: name}
}

const (
	rtt   = 2 * oneWay
	slack = 15 * time.Millisecond // serialization, reading and writing in real files
)

func TestEarlyDownloadTakesARoundTripLess(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		c := w.earlyClient()
		defer c.endpoint.Close()
		require.NoError(t, os.WriteFile(filepath.Join(w.docroot, "f"), make([]byte, 20_000), 0o644))
		full, err := c.run(c.download())
		require.NoError(t, err)
		c.settle()
		early, err := c.run(c.download())
		require.NoError(t, err)
		t.Logf("first data after %v, then %v; done after %v, then %v", full.data, early.data, full.done, early.done)
		require.GreaterOrEqual(t, full.data, 2*rtt)
		require.InDelta(t, rtt, early.data, float64(slack))
		require.Contains(t, w.log.String(), "early=true")
		c.settle()
	})
}

func TestEarlyUploadIsAnsweredARoundTripSooner(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		c := w.earlyClient()
		defer c.endpoint.Close()
		full, err := c.run(c.upload("one"))
		require.NoError(t, err)
		c.settle()
		early, err := c.run(c.upload("two"))
		require.NoError(t, err)
		t.Logf("answer after %v, then %v; done after %v, then %v", full.answer, early.answer, full.done, early.done)
		require.GreaterOrEqual(t, full.answer, 2*rtt)
		require.InDelta(t, rtt, early.answer, float64(slack))
		require.FileExists(t, filepath.Join(w.docroot, "two"))
		c.settle()
	})
}

func TestEarlyDataSwitchedOff(t *testing.T) {
	inWorld(t, Config{NoEarlyData: true}, func(w *world) {
		c := w.earlyClient()
		defer c.endpoint.Close()
		c.ready()
		at, err := c.run(c.download())
		require.NoError(t, err)
		require.GreaterOrEqual(t, at.data, 2*rtt)
		require.NotContains(t, w.log.String(), "early=true")
		c.settle()
	})
}

// The key is disabled between two sessions: what is sent early is refused like anything.
func TestEarlyDataKeyRevoked(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		c := w.earlyClient()
		defer c.endpoint.Close()
		c.ready()
		w.addKey(alice, func(k *accesskey.Key) { k.Disabled = true })
		at, err := c.run(c.download())
		require.ErrorContains(t, err, "disabled")
		require.Zero(t, at.data)
		require.Contains(t, w.log.String(), "early=true")
		c.settle()
	})
}

// An upload that somebody recorded and kept from the node changes nothing there when it is sent later; a download sends little.
func TestEarlyDataHeldBackDoesNothing(t *testing.T) {
	for _, up := range []bool{true, false} {
		inWorld(t, Config{}, func(w *world) {
			w.addKey(alice, func(k *accesskey.Key) { k.Root = "home" })
			require.NoError(t, os.Mkdir(filepath.Join(w.docroot, "home"), 0o755))
			c := w.earlyClient()
			defer c.endpoint.Close()
			require.NoError(t, os.WriteFile(filepath.Join(w.docroot, "home", "f"), make([]byte, 5_000_000), 0o644))
			_, err := c.run(c.download())
			require.NoError(t, err)
			c.settle()

			var record [][]byte
			w.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
				if from == earlyClientAddr {
					record = append(record, slices.Clone(data))
					return simnet.Verdict{Drop: true}
				}
				return simnet.Verdict{}
			})
			spec := c.download()
			if up {
				spec = c.upload("sub/new/")
				require.NoError(t, os.RemoveAll(filepath.Join(w.docroot, "home"))) // not even the key's own folder is made
			}
			cfg := transfer.Config{RetryTimeout: -1, StateDir: w.t.TempDir(), Dial: func(ctx context.Context, _ *transfer.Spec) (fasp.Session, error) {
				return c.endpoint.Dial(ctx, c.at)
			}}
			_, err = transfer.Run(w.t.Context(), cfg, spec)
			require.ErrorIs(t, err, fasp.ErrHandshakeTimeout)

			sent := 0
			w.net.Tap(func(from, to netip.AddrPort, data []byte) simnet.Verdict {
				if from == w.at {
					sent += len(data) + 28
				}
				return simnet.Verdict{}
			})
			for range 2 {
				for _, b := range record {
					w.net.Inject(earlyClientAddr, w.at, b)
				}
				synctest.Wait()
			}
			time.Sleep(time.Minute)
			require.Contains(t, w.log.String(), "early=true")
			require.Zero(t, w.node.Sessions())
			t.Logf("sent %d bytes", sent)
			require.Less(t, sent, 160<<10)
			if up {
				require.NoDirExists(t, filepath.Join(w.docroot, "home"))
			}
		})
	}
}
