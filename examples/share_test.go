package examples

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestShareApp: an application moves a file from one tenant to another on a node that it reaches over its API.
func TestShareApp(t *testing.T) {
	bin, dir := build(t), t.TempDir()
	root, state := filepath.Join(dir, "root"), filepath.Join(dir, "state")
	require.NoError(t, os.Mkdir(root, 0o755))
	node := exec.Command(filepath.Join(bin, "twnode"), "serve", "--docroot", root, "--state", state, "--listen", "127.0.0.1:0", "--api", "127.0.0.1:0")
	node.Env = append(os.Environ(), "TWNODE_API_USER=admin:correct horse battery")
	node.Stderr = os.Stderr
	out, err := node.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, node.Start())
	t.Cleanup(func() {
		_ = node.Process.Signal(syscall.SIGTERM)
		require.NoError(t, node.Wait())
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err)
	var ready struct{ API string }
	require.NoError(t, json.Unmarshal(line, &ready))

	login, file := filepath.Join(dir, "login"), filepath.Join(dir, "report.pdf")
	require.NoError(t, os.WriteFile(login, []byte("admin:correct horse battery\n"), 0o600))
	require.NoError(t, os.WriteFile(file, make([]byte, 123_456), 0o644))
	got, err := exec.Command(filepath.Join(bin, "share-app"), "-api", "https://"+ready.API, "-ca", filepath.Join(state, "api.crt"), "-login", login, "-from", "acme", "-to", "globex", file).CombinedOutput()
	require.NoError(t, err, "%s", got)
	require.Contains(t, string(got), "completed: 123456 bytes from acme to globex")
	require.Contains(t, string(got), "inbox of globex: report.pdf, 123456 bytes")
	require.FileExists(t, filepath.Join(root, "tenants/globex/inbox/report.pdf"))
}
