package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "a.md")
	require.NoError(t, os.WriteFile(from, []byte("info: {title: A}"), 0o644))
	out := &bytes.Buffer{}
	require.Equal(t, 2, run(nil, out))
	require.Equal(t, 2, run([]string{"--check", from}, out))
	require.Equal(t, 1, run([]string{"--check", from, to}, out), "there is none")
	require.Equal(t, 0, run([]string{from, to}, out))
	require.Equal(t, 0, run([]string{"--check", from, to}, out))
	require.NoError(t, os.WriteFile(to, []byte("other"), 0o644))
	require.Equal(t, 1, run([]string{"--check", from, to}, out))
	require.Contains(t, out.String(), "run make apidoc")
	require.Equal(t, 1, run([]string{to, from}, out))
}
