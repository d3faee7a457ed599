package vlink

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// world is a host with vlinks and its peers, in a simulated network, in a synctest bubble.
type world struct {
	t      *testing.T
	net    *simnet.Net
	at     netip.AddrPort
	server *fasp.Endpoint
	id     *fasp.Identity
	links  *Links
	peers  int
	busy   sync.WaitGroup
}

// member is a session of a world, seen from both ends.
type member struct {
	w     *world
	sess  *Session   // the host's
	conn  *fasp.Conn // the host's
	peer  *fasp.Conn
	host  netip.Addr
	stop  context.CancelFunc
	pause atomic.Bool
	moved chan struct{} // capacity 1: pause has changed
}

const testRTT = 40 * time.Millisecond

func inWorld(t *testing.T, cfg Config, fn func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: simnet.NewNet(1), at: netip.MustParseAddrPort("10.0.0.1:33001")}
		var err error
		w.id, err = fasp.NewIdentity()
		require.NoError(t, err)
		pc, err := w.net.Listen(w.at)
		require.NoError(t, err)
		w.server, err = fasp.NewEndpoint(pc, fasp.Config{Identity: w.id, MaxDatagram: 1472})
		require.NoError(t, err)
		w.links, err = New(cfg)
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.links.Run(ctx) }()
		defer func() {
			stop()
			require.NoError(t, <-ended)
			w.server.Close()
			w.busy.Wait()
			w.net.Close()
		}()
		fn(w)
	})
}

// join opens a session of a peer of its own, over a path of the given rate.
func (w *world) join(m Member, path simnet.Impair) *member {
	w.peers++
	host := netip.AddrFrom4([4]byte{10, 1, byte(w.peers >> 8), byte(w.peers)})
	if path.Rate == 0 {
		path.Rate = 1e9
	}
	path.Delay = testRTT / 2
	w.net.SetPath(host, w.at.Addr(), path, path)
	pc, err := w.net.Listen(netip.AddrPortFrom(host, 4000))
	require.NoError(w.t, err)
	client, err := fasp.NewEndpoint(pc, fasp.Config{VerifyServer: fasp.PinnedKey(w.id.Fingerprint()), MaxDatagram: 1472})
	require.NoError(w.t, err)
	x := &member{w: w, host: host, moved: make(chan struct{}, 1)}
	x.pause.Store(true)
	x.peer, err = client.Dial(w.t.Context(), w.at)
	require.NoError(w.t, err)
	x.conn, err = w.server.Accept(w.t.Context())
	require.NoError(w.t, err)
	x.sess, err = w.links.Join(x.conn, m)
	require.NoError(w.t, err)
	ctx, stop := context.WithCancel(context.Background())
	x.stop = stop
	w.busy.Go(func() { // a member that nobody ends goes with the world
		select {
		case <-ctx.Done():
		case <-x.conn.Done():
		}
		stop()
		client.Close()
	})
	w.busy.Go(func() { x.send(ctx, x.peer) })
	w.busy.Go(func() { x.take(ctx, x.sess) })
	w.busy.Go(func() { x.take(ctx, x.peer) })
	return x
}

// send sends blocks as fast as they go, except while the member pauses.
func (x *member) send(ctx context.Context, s fasp.Session) {
	for ctx.Err() == nil {
		if s == fasp.Session(x.peer) && x.pause.Load() {
			select {
			case <-x.moved:
			case <-ctx.Done():
			}
			continue
		}
		b, err := s.NewBlock(ctx, 16<<10)
		if err == nil {
			if err = s.SendBlock(ctx, b); err != nil {
				b.Release()
			}
		}
		if err != nil {
			return
		}
	}
}

func (x *member) take(ctx context.Context, s fasp.Session) {
	for {
		b, err := s.ReceiveBlock(ctx)
		if err != nil {
			return
		}
		b.Release()
	}
}

// download makes the host send to the peer.
func (x *member) download(r fasp.Rates) *member {
	x.sess.SetRates(r)
	x.w.busy.Go(func() { x.send(context.Background(), x.sess) })
	return x
}

// upload makes the peer send to the host, or cease to.
func (x *member) upload(r fasp.Rates, on bool) *member {
	x.peer.SetRates(r)
	x.pause.Store(!on)
	select {
	case x.moved <- struct{}{}:
	default:
	}
	return x
}

// leave ends the session.
func (x *member) leave() {
	x.sess.Leave()
	x.conn.Close(fasp.CodeDone, "")
	x.stop()
}

// cut makes the peer fall silent, without a word to the host.
func (x *member) cut() {
	x.w.net.SetPath(x.host, x.w.at.Addr(), simnet.Impair{Loss: 1}, simnet.Impair{Loss: 1})
}

// rates returns what members are sent, and what they send, bit/s, over some time.
func (w *world) rates(d time.Duration, members ...*member) (out, in []float64) {
	type count struct{ out, in uint64 }
	look := func() (c []count) {
		for _, x := range members {
			c = append(c, count{x.conn.Stats().BytesSent, x.peer.Stats().BytesSent})
		}
		return c
	}
	before := look()
	time.Sleep(d)
	for i, after := range look() {
		out = append(out, 8*float64(after.out-before[i].out)/d.Seconds())
		in = append(in, 8*float64(after.in-before[i].in)/d.Seconds())
	}
	return out, in
}

func total(list []float64) (s float64) {
	for _, x := range list {
		s += x
	}
	return s
}

// near checks a rate, within a part of what it should be.
func (w *world) near(want, got, part float64, what string) {
	w.t.Helper()
	w.t.Logf("%-60s %8.3f Mbit/s, %.4f of %.3f", what, got/1e6, got/want, want/1e6)
	require.InDelta(w.t, want, got, part*want, what)
}

var fixed = fasp.Rates{Policy: fasp.Fixed, Target: 500 * fasp.Mbps}
