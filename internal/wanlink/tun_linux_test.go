package wanlink

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// startTun runs a Tun until the test ends, or skips the test where the machine does not allow it.
func startTun(t testing.TB, cfg TunConfig) *Tun {
	t.Helper()
	if os.Geteuid() != 0 {
		_, err := NewTun(t.Context(), cfg)
		require.ErrorIs(t, err, ErrNeedRoot)
		t.Skip("SKIPPED: a Tun needs root")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("SKIPPED: no TUN devices: %v", err)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("SKIPPED: no ip command: %v", err)
	}
	tun, err := NewTun(t.Context(), cfg)
	if errors.Is(err, ErrNeedRoot) {
		t.Skipf("SKIPPED: root without the right to make namespaces: %v", err)
	}
	require.NoError(t, err)
	done := make(chan error)
	go func() { done <- tun.Run(context.Background()) }()
	t.Cleanup(func() {
		tun.Close()
		require.NoError(t, <-done)
		out, err := exec.Command("ip", "netns", "list").Output()
		require.NoError(t, err)
		require.NotContains(t, string(out), tun.A.Namespace, "everything is removed")
		require.NotContains(t, string(out), tun.B.Namespace)
	})
	return tun
}

// TestTunCarriesKernelTCP sends a stream between two namespaces by kernel TCP, whose segmentation offload must not let
// packets above the MTU into the link.
func TestTunCarriesKernelTCP(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	tun := startTun(t, TunConfig{
		Forward:  simnet.Impair{Delay: ms, MTU: 1500},
		Backward: simnet.Impair{Delay: ms, MTU: 1500},
	})
	var listener net.Listener
	require.NoError(t, tun.B.Do(func() (err error) {
		listener, err = net.Listen("tcp4", netip.AddrPortFrom(tun.B.Addr4, 0).String())
		return err
	}))
	defer listener.Close()
	data := randomBytes(rand.New(rand.NewPCG(seed, 0)), 1<<20)
	var client net.Conn
	sent := make(chan error, 1)
	require.NoError(t, tun.A.Do(func() (err error) {
		client, err = net.DialTimeout("tcp4", listener.Addr().String(), patience)
		return err
	}))
	go func() {
		_, err := client.Write(data)
		client.Close()
		sent <- err
	}()
	server, err := listener.Accept()
	require.NoError(t, err)
	defer server.Close()
	require.NoError(t, server.SetDeadline(time.Now().Add(patience)))
	got, err := io.ReadAll(server)
	require.NoError(t, err)
	require.NoError(t, <-sent)
	require.True(t, bytes.Equal(data, got))
	s := tun.Stats()
	require.Greater(t, s.Forward.DeliveredBytes, int64(len(data)))
	require.Zero(t, s.Forward.LostMTU, "only packets of the MTU cross")
	require.Greater(t, s.Backward.Delivered, int64(10))
}

func TestTunCutAndStart(t *testing.T) {
	tun := startTun(t, TunConfig{})
	require.True(t, tun.A.Addr6.Is6() || !tun.A.Addr6.IsValid())
	var out strings.Builder
	cmd := exec.Command("ip", "-o", "addr", "show", "dev", tun.A.Device)
	cmd.Stdout = &out
	require.NoError(t, tun.A.Start(cmd))
	require.NoError(t, cmd.Wait())
	require.Contains(t, out.String(), tun.A.Addr4.String(), "the command runs inside the namespace")

	require.NoError(t, tun.Cut(true))
	var c net.PacketConn
	require.NoError(t, tun.A.Do(func() (err error) {
		c, err = net.ListenPacket("udp4", netip.AddrPortFrom(tun.A.Addr4, 0).String())
		return err
	}))
	defer c.Close()
	before := tun.Stats().Forward.LostCut
	_, err := c.WriteTo([]byte("lost"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(tun.B.Addr4, 9)))
	require.NoError(t, err)
	until(t, "the packet meets the cut", func() bool { return tun.Stats().Forward.LostCut > before })
	require.NoError(t, tun.Set(simnet.Impair{Delay: ms}, simnet.Impair{}))
	require.NoError(t, tun.Cut(false))
	require.ErrorContains(t, Endpoint{Namespace: "wanlink-absent"}.Do(func() error { return nil }), "wanlink-absent")
}

func TestTxDrops(t *testing.T) {
	const line = "  wan0: 1 2 3 4 5 6 7 8 900 90 1 42 0 0 0 0"
	n, ok := txDrops(line, "wan0")
	require.True(t, ok)
	require.EqualValues(t, 42, n)
	for _, s := range []string{"", "wan0", "wan0: 1 2", "wan00: 1 2 3 4 5 6 7 8 900 90 1 42", "wan0: 1 2 3 4 5 6 7 8 9 9 9 x"} {
		_, ok := txDrops(s, "wan0")
		require.False(t, ok, s)
	}
}

func FuzzTxDrops(f *testing.F) {
	f.Add("wan0: 1 2 3 4 5 6 7 8 900 90 1 42 0 0 0 0", "wan0")
	f.Fuzz(func(_ *testing.T, line, device string) { txDrops(line, device) })
}
