package fasp

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/udp"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// inboxOf returns a session that takes nothing, and a source of trains of n bytes for it.
func inboxOf(t *testing.T, n int) (c *Conn, next func() delivery) {
	t.Helper()
	net := simnet.NewNet(1)
	pc, err := net.Listen(serverAddr)
	require.NoError(t, err)
	from, err := net.Listen(clientAddr)
	require.NoError(t, err)
	sock, err := udp.New(pc, udp.Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, sock.Close())
		require.NoError(t, from.Close())
		net.Close()
	})
	b := sock.NewBatch()
	c = &Conn{inbox: make(chan delivery, inboxTrains), lighter: sync.NewCond(new(sync.Mutex))}
	return c, func() delivery {
		_, err := from.WriteTo(make([]byte, n), pc.LocalAddr())
		require.NoError(t, err)
		require.NoError(t, sock.ReadBatch(b))
		var d delivery
		d.train, d.buf = b.Keep(0, b.Trains[0])
		return d
	}
}

// A session has room for so many large trains, and for more small ones; what it has taken makes room again.
func TestInboxIsBounded(t *testing.T) {
	for n, room := range map[int]int{5000: inboxLarge, 1000: inboxTrains} {
		synctest.Test(t, func(t *testing.T) {
			c, next := inboxOf(t, n)
			for range room {
				require.True(t, c.put(next()))
			}
			d := next()
			require.False(t, c.put(d))
			c.done(<-c.inbox)
			require.True(t, c.put(d))
			c.empty()
			require.Zero(t, c.queued.Load())
			require.Zero(t, c.large.Load())
		})
	}
}

// The reader of an endpoint with one session waits before that has no room, until it has half of it again or has ended.
func TestReaderHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, next := inboxOf(t, 5000)
		held := func() bool {
			done := make(chan struct{})
			go func() { c.hold(); close(done) }()
			synctest.Wait()
			select {
			case <-done:
				return false
			default:
			}
			for range 2 {
				c.done(<-c.inbox)
			}
			<-done
			return true
		}
		for range inboxLarge / 2 {
			require.False(t, held())
			require.True(t, c.put(next()))
		}
		require.False(t, held())
		require.True(t, c.put(next()))
		require.True(t, held())
		for range 5 {
			require.True(t, c.put(next()))
		}
		go func() { // as the session's end does
			synctest.Wait()
			c.gone.Store(true)
			c.empty()
			c.unhold()
		}()
		c.hold()
		synctest.Wait() // it may return as soon as there is room, or as the session is gone
		require.Zero(t, c.large.Load())
	})
}
