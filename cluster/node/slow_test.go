package node

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSlowClientsOfTheAPI: who sends a request a byte at a time, takes an answer not at all, or says nothing more, is cut, each in its time.
func TestSlowClientsOfTheAPI(t *testing.T) {
	for name, c := range map[string]struct {
		send  string
		drip  bool // sends a byte each second behind that
		ended time.Duration
	}{
		"nothing":        {"", false, apiHeaderTimeout},
		"half a header":  {"POST /x HTTP/1.1\r\nHost: x\r\n", false, apiHeaderTimeout},
		"a slow header":  {"POST /x HTTP/1.1\r\nHost: x\r\nX-Slow: ", true, apiHeaderTimeout},
		"a slow body":    {"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", true, apiReadTimeout},
		"no answer read": {"GET /large HTTP/1.1\r\nHost: x\r\n\r\n", false, apiWriteTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPipe()
				s := newAPIServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/large" {
						_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
				}))
				ended := make(chan error, 1)
				go func() { ended <- s.Serve(l) }()
				began := time.Now()
				conn, err := l.dial(t.Context())
				require.NoError(t, err)
				_, err = io.WriteString(conn, c.send)
				require.NoError(t, err)
				var dripping sync.WaitGroup
				if c.drip {
					dripping.Go(func() { drip(conn) })
				}
				if name == "no answer read" {
					time.Sleep(2 * apiWriteTimeout) // in virtual time
				}
				got, err := io.Copy(io.Discard, bufio.NewReader(conn))
				require.NoError(t, err)
				require.Less(t, got, int64(1<<20))
				if name != "no answer read" {
					require.InDelta(t, c.ended.Seconds(), time.Since(began).Seconds(), 1.5)
				}
				require.NoError(t, conn.Close())
				dripping.Wait()
				require.NoError(t, s.Close())
				require.ErrorIs(t, <-ended, http.ErrServerClosed)
			})
		})
	}
}

// drip writes a byte each second until the connection ends.
func drip(conn net.Conn) {
	for {
		time.Sleep(time.Second) // in virtual time
		if _, err := conn.Write([]byte("x")); err != nil {
			return
		}
	}
}
