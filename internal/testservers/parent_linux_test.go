package testservers

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// helperEnv makes TestHelperProcess the process that is killed.
const helperEnv = "TESTSERVERS_HELPER_DIR"

func TestHelperProcess(t *testing.T) {
	dir := os.Getenv(helperEnv)
	if dir == "" {
		t.Skip("only as a process of TestServerDiesWithItsParent")
	}
	s, err := Start(t.Context(), VersityGWName, Options{Dir: dir})
	require.NoError(t, err)
	fmt.Println("\nendpoint=" + s.Endpoint)
	select {} // until it is killed
}

func TestServerDiesWithItsParent(t *testing.T) {
	if _, err := Path("", VersityGWName); err != nil {
		missing(t, VersityGWName, err)
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, "-test.run=^TestHelperProcess$")
	cmd.Env = append(cmd.Environ(), helperEnv+"="+t.TempDir())
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	killed := false
	defer func() {
		if !killed {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	endpoint := ""
	lines := bufio.NewScanner(out)
	for endpoint == "" {
		require.True(t, lines.Scan(), "the helper ended early: %v", lines.Err())
		endpoint, _ = strings.CutPrefix(lines.Text(), "endpoint=")
		if endpoint == lines.Text() {
			endpoint = ""
		}
	}
	conn, err := net.Dial("tcp", endpoint)
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	killed = true
	require.Error(t, cmd.Wait())
	// Connections end with the server, sooner than this. One may still be made while it goes.
	for deadline := time.Now().Add(30 * time.Second); err == nil; conn, err = net.Dial("tcp", endpoint) {
		require.NoError(t, conn.SetReadDeadline(deadline))
		_, err := conn.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server lives on")
		require.NoError(t, conn.Close())
	}
}
