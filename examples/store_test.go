package examples

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/testservers"
)

// TestHTTPToBucketAndCopy streams an upload of unknown length into a bucket and copies that to another, on a real server.
func TestHTTPToBucketAndCopy(t *testing.T) {
	s := testservers.VersityGW(t)
	s.MakeBucket(t, "first")
	s.MakeBucket(t, "second")
	bin, dir := build(t), t.TempDir()
	creds := filepath.Join(dir, "credentials")
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", s.AccessKey, s.SecretKey)
	require.NoError(t, os.WriteFile(creds, []byte(text), 0o600))

	server := exec.Command(filepath.Join(bin, "http-to-bucket"), "-listen", "127.0.0.1:0", "-bucket", "s3://"+s.Endpoint+"/first/in?insecure=true", "-credentials", creds)
	server.Stderr = os.Stderr
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	addr := strings.Fields(line)[1]

	content := bytes.Repeat([]byte("tradewind "), 4_000_000) // three parts
	for name, body := range map[string]io.Reader{
		"known":   bytes.NewReader(content),
		"unknown": io.MultiReader(bytes.NewReader(content)), // net/http does not see its length
		"empty":   strings.NewReader(""),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+addr+"/dir/"+name, body)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		answer, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode, "%s", answer)
		require.Contains(t, string(answer), "in/dir/"+name)
	}

	copyAll := func() string {
		out, err := exec.Command(filepath.Join(bin, "copy-bucket"), "-credentials", creds,
			"s3://"+s.Endpoint+"/first/in/?insecure=true", "s3://"+s.Endpoint+"/second/out/?insecure=true").CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	require.Contains(t, copyAll(), "3 objects, 80000000 bytes copied")
	for name, want := range map[string][]byte{"known": content, "unknown": content, "empty": {}} {
		got, err := os.ReadFile(filepath.Join(s.Dir, "root", "second", "out", "dir", name)) // where versitygw keeps it
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), name)
	}
}
