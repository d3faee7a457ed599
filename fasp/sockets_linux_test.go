package fasp

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Sessions of many peers go by several sockets of one address, and end in order; nobody else gets the address.
func TestSockets(t *testing.T) {
	cfg := Config{Identity: testIdentity, Sockets: 3}
	e, err := Listen("127.0.0.1:0", cfg)
	require.NoError(t, err)
	defer e.Close()
	require.Len(t, e.readers, 3)
	_, err = Listen(e.LocalAddr().String(), cfg)
	require.Error(t, err, "the address is taken")

	const n = 12
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range n {
		client, err := Dial(t.Context(), e.LocalAddr().String(), testConfig())
		require.NoError(t, err)
		server, err := e.Accept(t.Context())
		require.NoError(t, err)
		defer client.Close(CodeDone, "")
		from, to := client, server
		if i%2 == 1 {
			from, to = server, client
		}
		wg.Go(func() {
			for range 5 {
				b, err := from.NewBlock(t.Context(), 100_000)
				if err == nil {
					copy(b.Data, fmt.Sprint("block of ", i))
					err = from.SendBlock(t.Context(), b)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		for range 5 {
			b, err := to.ReceiveBlock(t.Context())
			require.NoError(t, err)
			require.Contains(t, string(b.Data[:20]), fmt.Sprint("block of ", i))
			b.Release()
		}
	}
	all := e.Stats().Socket.DatagramsIn
	came, went, sum := 0, 0, uint64(0)
	for _, r := range e.readers {
		s := r.sock.Stats()
		sum += s.DatagramsIn
		if s.DatagramsIn > 0 {
			came++
		}
		if s.DatagramsOut > 0 {
			went++
		}
	}
	// Twelve ports that all fall to one of three sockets are one case in 170,000.
	require.Greater(t, came, 1)
	require.Greater(t, went, 1)
	require.GreaterOrEqual(t, sum, all)
	require.Positive(t, all)
}

func TestSocketsOfAConfig(t *testing.T) {
	require.Equal(t, 1, (&Config{Sockets: 5}).sockets(), "an endpoint that only dials")
	require.Equal(t, 5, (&Config{Sockets: 5, Identity: testIdentity}).sockets())
	require.Equal(t, maxSockets, (&Config{Sockets: 500, Identity: testIdentity}).sockets())
	require.Positive(t, (&Config{Identity: testIdentity}).sockets())
}

// A session does not wait for who hands out packets by another socket: that one may wait for the buffers that the session has.
func TestHelpDoesNotWait(t *testing.T) {
	e, err := Listen("127.0.0.1:0", Config{Identity: testIdentity, Sockets: 2})
	require.NoError(t, err)
	defer e.Close()
	var servers []*Conn
	for range 2 {
		client, err := Dial(t.Context(), e.LocalAddr().String(), testConfig())
		require.NoError(t, err)
		defer client.Close(CodeDone, "")
		server, err := e.Accept(t.Context())
		require.NoError(t, err)
		servers = append(servers, server)
	}
	e.taking.Lock()
	late := e.now() + time.Minute
	for _, c := range servers {
		c.help(late)
		require.Less(t, c.reader().readAt.Load(), int64(late), "it left the socket alone")
	}
	e.taking.Unlock()
}
