// Package examples holds page-long programs that use the library; its test builds them and runs one against the other.
package examples

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// build compiles the programs and returns the folder they are in.
func build(t *testing.T) string {
	bin := t.TempDir()
	// Reading the sources here makes the test's cached result depend on them.
	for _, dir := range []string{
		"send-tree", "embed-receiver", "http-to-bucket", "copy-bucket", "share-app", "../accesskey", "../cluster/api", "../cluster/node/nodeapi", "../cluster/node/jobs", "../internal/cli/twnode", "../cmd/twnode", "../cluster/node", "../fasp", "../fasp/transfer", "../objstore", "../objstore/s3",
	} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, f := range files {
			_, err := os.ReadFile(f)
			require.NoError(t, err)
		}
	}
	out, err := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./send-tree", "./embed-receiver", "./http-to-bucket", "./copy-bucket", "./share-app", "../cmd/twnode").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bin
}

func TestUsage(t *testing.T) {
	bin := build(t)
	for _, args := range [][]string{{"send-tree"}, {"send-tree", "folder"}, {"embed-receiver"}, {"embed-receiver", "-dir", t.TempDir()}, {"http-to-bucket"}, {"copy-bucket", "s3://a/b"}, {"share-app", "file"}} {
		out, err := exec.Command(filepath.Join(bin, args[0]), args[1:]...).CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, args)
		require.Equal(t, 2, exit.ExitCode(), args)
		require.Contains(t, string(out), "usage: "+args[0], args)
	}
}

func TestSendTreeToEmbedReceiver(t *testing.T) {
	bin, dir := build(t), t.TempDir()
	src, dst, state := filepath.Join(dir, "src"), filepath.Join(dir, "dst"), filepath.Join(dir, "state")
	require.NoError(t, os.MkdirAll(filepath.Join(src, "a", "b"), 0o755))
	content := bytes.Repeat([]byte("tradewind "), 200_000)
	require.NoError(t, os.WriteFile(filepath.Join(src, "big"), content, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(src, "a", "b", "small"), []byte("hello"), 0o644))

	receiver := exec.Command(filepath.Join(bin, "embed-receiver"), "-dir", dst, "-state", state)
	receiver.Stderr = os.Stderr
	stdout, err := receiver.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, receiver.Start())
	t.Cleanup(func() { receiver.Process.Kill(); receiver.Wait() })
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	fields := strings.Fields(line)
	require.Len(t, fields, 3, line)
	require.Equal(t, "listening", fields[0])

	out, err := exec.Command(filepath.Join(bin, "send-tree"), "-to", fields[1], "-fingerprint", fields[2],
		"-credential", filepath.Join(state, "credential"), src).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), fmt.Sprintf("%x  src/big", sha256.Sum256(content)))
	require.Contains(t, string(out), "2 files, ")
	got, err := os.ReadFile(filepath.Join(dst, "src", "big"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.FileExists(t, filepath.Join(dst, "src", "a", "b", "small"))

	if runtime.GOOS == "windows" {
		return // no signals
	}
	require.NoError(t, receiver.Process.Signal(syscall.SIGTERM))
	rest, err := io.ReadAll(lines)
	require.NoError(t, err)
	require.NoError(t, receiver.Wait())
	require.Contains(t, string(rest), "received src/big, 2000000 bytes")
	require.Contains(t, string(rest), "received src/a/b/small, 5 bytes")
}
