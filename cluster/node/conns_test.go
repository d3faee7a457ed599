package node

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/api"
)

// marked is a connection that knows whether it was closed.
type marked struct {
	net.Conn
	closed bool
}

func (m *marked) Close() error { m.closed = true; return nil }

// TestConns: the one that has been silent for longest gives way, and never one that speaks.
func TestConns(t *testing.T) {
	c := newConns(3)
	open := map[string]*marked{}
	dial := func(name string) {
		open[name] = &marked{}
		c.state(open[name], http.StateNew)
	}
	closed := func(name string) bool { return open[name].closed }
	for _, name := range []string{"a", "b", "c"} {
		dial(name)
	}
	c.state(open["a"], http.StateActive)
	dial("d")
	require.True(t, closed("b"))
	require.False(t, closed("a"))
	c.state(open["b"], http.StateClosed)
	c.state(open["a"], http.StateIdle)
	dial("e")
	require.True(t, closed("c"), "who made a request stays longer")
	c.state(open["c"], http.StateClosed)
	for _, name := range []string{"a", "d", "e"} {
		c.state(open[name], http.StateActive)
	}
	c.state(open["d"], http.StateIdle)
	c.state(open["a"], http.StateIdle)
	dial("g")
	require.True(t, closed("d"))
	c.state(open["d"], http.StateClosed)
	c.state(open["g"], http.StateClosed)
	dial("d")
	for _, name := range []string{"a", "d"} {
		c.state(open[name], http.StateActive)
	}
	dial("f")
	for _, name := range []string{"a", "d", "e"} {
		require.False(t, closed(name), "who speaks is not cut")
	}
	require.True(t, closed("f"))
	for _, name := range []string{"a", "d", "e", "f"} {
		c.state(open[name], http.StateClosed)
	}
	require.Zero(t, c.total)
	require.Zero(t, c.silent[0].Len()+c.silent[1].Len())
	require.Empty(t, c.at)
}

const idleVariable = "TRADEWIND_TEST_IDLE" // address that the child of TestTenThousandIdleConnections connects to

const idleConns = 10_000

// beIdle opens connections until it is killed: most say nothing, some have shaken hands, some have made a request. It prints a line when all are there.
func beIdle(addr string) error {
	made := make([]net.Conn, 0, idleConns)
	for i := range idleConns {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		made = append(made, conn)
		if i%20 != 0 {
			continue
		}
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		if err := secure.Handshake(); err != nil {
			return err
		}
		if i%40 == 0 {
			if _, err := io.WriteString(secure, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return err
			}
		}
	}
	if _, err := fmt.Fprintln(os.Stderr, "ready", len(made)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin) // until the parent goes
	runtime.KeepAlive(made)
	return err
}

// TestTenThousandIdleConnections: a client of the API gets its answers while ten thousand others say nothing, and memory stays bounded.
func TestTenThousandIdleConnections(t *testing.T) {
	if addr := os.Getenv(idleVariable); addr != "" {
		require.NoError(t, beIdle(addr))
		return
	}
	if testing.Short() {
		t.Skip("SKIPPED: ten thousand connections take some seconds")
	}
	if n := openFiles(); n < idleConns+2000 {
		why := fmt.Sprintf("this process may have %d open files, and needs %d", n, idleConns+2000)
		if slices.Contains(strings.Split(os.Getenv("TRADEWIND_REQUIRE"), ","), "connections") {
			t.Fatal("TRADEWIND_REQUIRE wants connections: " + why)
		}
		t.Skip("SKIPPED: " + why)
	}
	a := startReal(t, "a", nil)
	anna := a.key("anna")
	before := heap()
	exe, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), exe, "-test.run=^TestTenThousandIdleConnections$", "-test.count=1")
	child.Env = append(os.Environ(), idleVariable+"="+a.node.APIAddr().String())
	in, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintln("ready", idleConns), line)
	for range 20 {
		_, err := a.client(anna).Info(t.Context())
		require.NoError(t, err)
		a.http.CloseIdleConnections() // so that each is a connection of its own
	}
	_, err = a.client(anna).Browse(t.Context(), api.Browse{Path: "/"})
	require.NoError(t, err)
	used := heap() - before
	t.Logf("%d idle connections take %d KiB of heap each", idleConns, used/idleConns>>10)
	require.Less(t, used, int64(idleConns*64<<10))
	require.NoError(t, in.Close())
	require.NoError(t, child.Wait())
	_, err = a.client(anna).Info(t.Context())
	require.NoError(t, err)
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// TestStats: what a node does beside transfers is counted.
func TestStats(t *testing.T) {
	a := startReal(t, "a", func(c *Config) { c.SSH = "127.0.0.1:0" })
	anna := a.key("anna")
	before := a.node.Stats()
	_, err := a.client(anna).Info(t.Context())
	require.NoError(t, err)
	_, err = a.client(anna).AccessKey(t.Context(), "other")
	require.Error(t, err)
	wrong := anna
	wrong.Secret = "wrong"
	_, err = a.client(wrong).Info(t.Context())
	require.Error(t, err)
	s := a.node.Stats()
	require.EqualValues(t, 1, s.API.Answers[2]-before.API.Answers[2])
	require.EqualValues(t, 2, s.API.Answers[4]-before.API.Answers[4])
	require.Zero(t, s.API.Active)
	require.EqualValues(t, 1, s.Logins.Wrong)
	j, err := a.node.Jobs(t.Context())
	require.NoError(t, err)
	require.Zero(t, j)
}
