package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/leaktest"
	"github.com/tradewind-io/tradewind/internal/testservers"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"", 2, "a command is missing"},
		{"fly", 2, "unknown command"},
		{"install nothing", 2, "unknown name"},
		{"path", 2, "path wants one name"},
		{"path nothing", 1, "known are"},
		{"run", 2, "run wants a name"},
		{"run minio --colour", 2, "flag provided but not defined"},
		{"run minio extra", 2, "unexpected"},
		{"run rclone", 1, "not a server"},
		{"help", 0, ""},
	} {
		var out, errs bytes.Buffer
		require.Equal(t, c.code, run(t.Context(), strings.Fields(c.args), &out, &errs), "%q: %s", c.args, &errs)
		require.Contains(t, errs.String(), c.says)
	}
}

// TestRun runs a server until its context ends, as a signal ends it.
func TestRun(t *testing.T) {
	testservers.VersityGW(t).Stop() // skips where it is not installed
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int)
	go func() {
		c := run(ctx, []string{"run", "versitygw", "--data", t.TempDir()}, w, &errs)
		w.Close()
		code <- c
	}()
	values := map[string]string{}
	buf := make([]byte, 4096)
	n, err := r.Read(buf)
	require.NoError(t, err)
	for line := range strings.Lines(string(buf[:n])) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	require.NotEmpty(t, values["access_key"])
	require.NotEmpty(t, values["secret_key"])
	resp, err := http.Get(values["endpoint"] + "/health")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	cancel()
	require.Zero(t, <-code, errs.String())
}
