package twcp

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/cli"
)

func TestFileCommandOf(t *testing.T) {
	for _, c := range fileCommands() {
		require.Equal(t, c.name, fileCommandOf([]string{c.name, "x"}).name)
		require.Nil(t, fileCommandOf([]string{"./" + c.name, "h:"}))
		require.Nil(t, fileCommandOf([]string{"-q", c.name, "h:"}), "only as the first argument")
	}
	require.Nil(t, fileCommandOf(nil))
}

func TestShown(t *testing.T) {
	for name, want := range map[string]string{
		"plain ü \"q\"": "plain ü \"q\"", "a\x1b[2J": `"a\x1b[2J"`, "a\nb": `"a\nb"`, "a\u009b": `"a\u009b"`, "a\x9b": `"a\x9b"`,
	} {
		require.Equal(t, want, cli.Shown(name))
	}
}

func TestRealParent(t *testing.T) {
	tmp, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(tmp, "real"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(tmp, "real"), filepath.Join(tmp, "link")))
	tmp = filepath.ToSlash(tmp)
	for p, want := range map[string]string{
		"/link":             "/link", // what is named is not followed
		"/link/f":           "/real/f",
		"/link/new/inner/f": "/real/new/inner/f",
		"/real/f":           "/real/f",
	} {
		require.Equal(t, tmp+want, realParent(tmp+p), p)
	}
	require.Equal(t, "/", realParent("/"))
}

// What fails is told on both outputs, in the user's words, and a URI that may hold a secret not at all.
func TestFileCommandFails(t *testing.T) {
	t.Chdir(t.TempDir())
	for target, want := range map[string][2]string{
		"nosuch":                        {"nosuch", "NO_SUCH_FILE"},
		"s3://k:SECRETWORD@host/bucket": {"s3://...", "USAGE"},
	} {
		var stdout, stderr bytes.Buffer
		p := cli.Process{Args: []string{"stat", "--json", target}, Stdout: &stdout, Stderr: &stderr}
		require.Equal(t, 1, Run(context.Background(), p))
		var got struct{ Target, Error, Mnemonic string }
		require.NoError(t, json.Unmarshal(stdout.Bytes(), &got), stdout.String())
		require.Equal(t, want[0], got.Target)
		require.Contains(t, stderr.String(), want[0]+": "+got.Error)
		require.NotContains(t, stdout.String()+stderr.String(), "SECRETWORD")
		require.Equal(t, want[1], got.Mnemonic)
	}
}
