package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestRelayCommand(t *testing.T) {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer server.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{
			"relay", "--to", server.LocalAddr().String(), "--rate", "300M", "--rtt", "2ms", "--loss-back", "100%",
		}, in, io.Discard)
		in.Close()
	}()
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	var ready struct{ Event, Addr string }
	require.NoError(t, json.Unmarshal(lines.Bytes(), &ready))
	require.Equal(t, "ready", ready.Event)

	client, err := net.Dial("udp4", ready.Addr)
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, server.SetReadDeadline(time.Now().Add(20*time.Second)))
	buf := make([]byte, 100)
	n, _, err := server.ReadFrom(buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:n]))

	cancel()
	require.True(t, lines.Scan())
	var stats struct {
		Event    string
		Forward  struct{ Sent int }
		Overruns *int
	}
	require.NoError(t, json.Unmarshal(lines.Bytes(), &stats), lines.Text())
	require.Equal(t, "stats", stats.Event)
	require.Equal(t, 1, stats.Forward.Sent)
	require.NotNil(t, stats.Overruns)
	require.False(t, lines.Scan())
	require.Zero(t, <-code)
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"relay"},
		{"relay", "--to", "127.0.0.1:1", "--loss", "2"},
		{"relay", "--to", "127.0.0.1:1", "--rate", "fast"},
		{"nonsense"},
	} {
		var stderr bytes.Buffer
		require.Equal(t, exitUsage, run(context.Background(), args, io.Discard, &stderr), "%v", args)
		require.NotEmpty(t, stderr.String())
	}
	require.Equal(t, exitError, run(context.Background(), []string{"relay", "--to", "nowhere"}, io.Discard, io.Discard))
}

func TestTunCommand(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: wanlink tun needs root")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("SKIPPED: no TUN devices: %v", err)
	}
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), []string{
		"tun", "--settle", "0", "--rtt", "2ms", "--timeout", "30s",
		"--server", "exec sleep 60", "--client", "echo $CLIENT to $SERVER; exit 7",
	}, &stdout, &stderr)
	require.Equal(t, 7, code, stderr.String())
	require.Contains(t, stdout.String(), "10.77.0.1 to 10.77.0.2\n")
	require.Contains(t, stdout.String(), `"event":"stats"`)

	code = run(context.Background(), []string{"tun", "--timeout", "100ms", "--client", "exec sleep 60"}, io.Discard, &stderr)
	require.Equal(t, exitError, code)
	require.Contains(t, stderr.String(), context.DeadlineExceeded.Error())
}

func TestParseRate(t *testing.T) {
	for in, want := range map[string]float64{
		"300M": 300e6, "1.5G": 1.5e9, "512k": 512e3, "512K": 512e3, "0": 0, "1e6": 1e6, "9600": 9600,
	} {
		got, err := parseRate(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "M", "-1", "nan", "inf", "1T", "1e300", "3 M", "2e6G"} {
		_, err := parseRate(in)
		require.Error(t, err, in)
	}
}

func TestParseProbability(t *testing.T) {
	for in, want := range map[string]float64{"1%": 0.01, "0.3": 0.3, "100%": 1, "0": 0, "0%": 0} {
		got, err := parseProbability(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "%", "101%", "1.1", "-1", "nan%"} {
		_, err := parseProbability(in)
		require.Error(t, err, in)
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"300M", "1.5g", "", "1e400", "-0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseRate(s)
		if err != nil {
			return
		}
		require.True(t, v >= 0 && v <= 1e15)
		again, err := parseRate(strconv.FormatFloat(v, 'g', -1, 64))
		require.NoError(t, err)
		require.Equal(t, v, again)
	})
}

func FuzzParseProbability(f *testing.F) {
	for _, s := range []string{"1%", "0.5", "", "1e-400%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseProbability(s)
		if err == nil {
			require.True(t, v >= 0 && v <= 1)
		}
	})
}
