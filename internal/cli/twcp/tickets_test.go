package twcp

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTicketFile(t *testing.T) {
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	dir := filepath.Join(t.TempDir(), "new", "tradewind")
	f := openTickets(dir, log)
	f.save()
	info, err := os.Stat(f.name)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Empty(t, logged.String())

	// What is well formed comes back; whoever starts has it alone.
	const one = `{"192.0.2.7:33001":[{"server":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","ticket":"AA==","state":"","sum":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","got":"2026-01-02T03:04:05Z"}]}`
	require.NoError(t, os.WriteFile(f.name, []byte(one), 0o600))
	f = openTickets(dir, log)
	require.NoFileExists(t, f.name)
	other := openTickets(dir, log)
	other.save()
	b, err := os.ReadFile(f.name)
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(b))
	f.save()
	b, err = os.ReadFile(f.name)
	require.NoError(t, err)
	require.JSONEq(t, one, string(b))
	require.Empty(t, logged.String())

	// A damaged or foreign file is as none, is warned of and replaced, and nothing of it is told.
	for _, text := range []string{`{"secret`, `["secret"]`, `{"192.0.2.7:33001":[{"ticket":"c2VjcmV0"}]}`} {
		logged.Reset()
		require.NoError(t, os.WriteFile(f.name, []byte(text), 0o644))
		openTickets(dir, log).save()
		require.Contains(t, logged.String(), "level=WARN")
		require.NotContains(t, logged.String(), "ecret")
		require.NotContains(t, logged.String(), "c2VjcmV0")
		b, err = os.ReadFile(f.name)
		require.NoError(t, err)
		require.JSONEq(t, `{}`, string(b))
		info, err = os.Stat(f.name)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{f.name}, left)
	openTickets("", log).save() // no home: nothing is kept
}
