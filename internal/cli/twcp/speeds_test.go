package twcp

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPathFile(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	dir := filepath.Join(t.TempDir(), "new", "tradewind")
	f := openPaths(dir, log)
	f.save()
	b, err := os.ReadFile(f.name)
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(b))
	const known = `{"192.0.2.7":{"rate":300000000,"rtt_ns":100000000,"seen":"2026-01-02T03:04:05Z"}}`
	require.NoError(t, os.WriteFile(f.name, []byte(known), 0o600))
	f = openPaths(dir, log)
	f.save()
	b, err = os.ReadFile(f.name)
	require.NoError(t, err)
	require.JSONEq(t, known, string(b))
	left, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
	require.NoError(t, err)
	require.Empty(t, left)

	// A damaged file is as none, and is written anew.
	require.NoError(t, os.WriteFile(f.name, []byte(`{"192.0.2.7":`), 0o600))
	f = openPaths(dir, log)
	f.save()
	b, err = os.ReadFile(f.name)
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(b))
	openPaths("", log).save() // no home: nothing is kept
}
