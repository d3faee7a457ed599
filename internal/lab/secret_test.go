package lab

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNoSecretInWhatProgramsPrint makes the programs fail and succeed in every way that comes to mind, with logs at their
// most talkative, and looks for the secrets in what they print and in what they are started with.
func TestNoSecretInWhatProgramsPrint(t *testing.T) {
	l := newStoreLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	file := filepath.Join(l.Dir, "file.bin")
	require.NoError(t, WriteFile(file, 20<<20, 1))
	right := strings.TrimPrefix(l.Env[1], "AWS_SECRET_ACCESS_KEY=")
	const wrong, session, sse = "wrong-Secret-0123456789", "session-Token-0123456789", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U="
	good := l.Env
	bad := []string{l.Env[0], "AWS_SECRET_ACCESS_KEY=" + wrong, "AWS_SESSION_TOKEN=" + session, "TRADEWIND_SSE_C_KEY=" + sse}
	place := fmt.Sprintf(l.uri, "secrets")
	elsewhere := strings.Replace(place, "lab-bucket", "no-such-bucket", 1)
	var printed strings.Builder
	for _, c := range []struct {
		program string
		env     []string
		fails   bool
		args    []string
	}{
		{"twcp", good, false, []string{"-vv", "--progress=never", file, JoinURI(place, "file.bin")}},
		{"twcp", good, false, []string{"--json", "-vv", JoinURI(place, "file.bin"), JoinURI(place, "copy.bin")}},
		{"twcp", good, true, []string{"-vv", JoinURI(place, "nothing"), file + ".back"}},
		{"twcp", good, true, []string{"-vv", file, JoinURI(elsewhere, "file.bin")}},
		{"twcp", bad, true, []string{"-vv", file, JoinURI(place, "file.bin")}},
		{"twcp", bad, true, []string{"--json", "-vv", JoinURI(place, "file.bin"), file + ".back"}},
		{"twcp", bad, true, []string{"ls", place}},
		{"twcp", bad, true, []string{"stat", JoinURI(place, "file.bin") + "&sse=C"}},
		{"twcp", bad, true, []string{"ls", strings.Replace(place, "s3://", "s3://x:"+wrong+"@", 1)}},
		{"twcp", bad, true, []string{"ls", place + "&secret-key=" + wrong}},
		{"twcp", bad, true, []string{"ls", "s3://127.0.0.1:1/bucket?insecure=true&password=" + wrong}},
		{"twnode", bad, true, []string{"serve", "--docroot", place, "--state", filepath.Join(l.Dir, "state"), "--listen", "127.0.0.1:0", "--log-level", "debug"}},
	} {
		cmd := exec.CommandContext(ctx, filepath.Join(l.Bin, c.program), c.args...)
		cmd.Env = append(append(cmd.Environ(), c.env...), "XDG_STATE_HOME="+l.Dir, "XDG_CONFIG_HOME="+l.Dir)
		out, err := cmd.CombinedOutput()
		if c.fails {
			require.Error(t, err, "%v", c.args)
			require.NotEmpty(t, out, "%v", c.args)
		} else {
			require.NoError(t, err, "%v: %s", c.args, out)
		}
		printed.Write(out)
	}
	require.NoError(t, ctx.Err())
	for _, secret := range []string{right, wrong, session, sse} {
		if secret == strings.TrimPrefix(l.Env[0], "AWS_ACCESS_KEY_ID=") {
			continue // a test server whose secret is its name
		}
		require.NotContains(t, printed.String(), secret)
	}
}
