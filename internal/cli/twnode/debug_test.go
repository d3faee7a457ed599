package twnode

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/node"
)

func TestDebug(t *testing.T) {
	n, err := node.New(node.Config{DocRoot: t.TempDir(), StateDir: t.TempDir(), MaxSessions: 7})
	require.NoError(t, err)
	var out strings.Builder
	d, err := listenDebug("0", n, slog.New(slog.NewTextHandler(&out, nil)))
	require.NoError(t, err)
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(out.String())
	require.NotEmpty(t, url, "a port alone is one of the loopback interface; the log says which: %s", out.String())

	// A client of its own, whose connections do not outlive the test.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, []byte) {
		r, err := client.Get(url + path)
		require.NoError(t, err)
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		return r.StatusCode, b
	}
	code, body := get("/debug/vars")
	require.Equal(t, http.StatusOK, code)
	var v vars
	require.NoError(t, json.Unmarshal(body, &v))
	require.Equal(t, 7, v.Node.MaxSessions)
	require.NotZero(t, v.Runtime.Goroutines)
	require.NotZero(t, v.Memory.Sys)
	code, body = get("/debug/pprof/heap")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, []byte{0x1f, 0x8b}, body[:2])
	code, body = get("/metrics")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, string(body), "\ntradewind_sessions_max 7\n")
	require.Contains(t, string(body), `tradewind_content_bytes_total{direction="out"} 0`)
	require.Contains(t, string(body), "\ngo_goroutines ")
	code, body = get("/healthz")
	require.Equal(t, http.StatusOK, code)
	require.JSONEq(t, `{"status":"starting"}`, string(body))
	code, _ = get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, code)
	code, _ = get("/")
	require.Equal(t, http.StatusNotFound, code)

	_, err = listenDebug(strings.TrimPrefix(url, "http://"), n, slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "--debug", "in use")
	require.NoError(t, d.close())
	_, err = client.Get(url)
	require.Error(t, err)
}
