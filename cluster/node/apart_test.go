package node

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStateAndDocrootAreApart(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	require.NoError(t, os.MkdirAll(at("root/sub"), 0o755))
	require.NoError(t, os.MkdirAll(at("state/sub"), 0o755))
	refused := [][2]string{
		{"root", "root"}, {"root/state", "root"}, {"root/sub/a/b", "root"}, {"root/../root/x", "root"}, {"state", "state/sub"},
	}
	allowed := [][2]string{{"state", "root"}, {"new/state", "root"}, {"rootstate", "root"}, {"root/../x", "root"}}
	if runtime.GOOS != "windows" {
		require.NoError(t, os.Symlink(at("root/sub"), at("in")))
		require.NoError(t, os.Symlink(at("state"), at("root/out")))
		require.NoError(t, os.Symlink(at("nowhere"), at("dangling")))
		refused = append(refused, [2]string{"in/state", "root"}, [2]string{"in", "root"}, [2]string{"state", "root/out"}, [2]string{"dangling/x", "root"})
		allowed = append(allowed, [2]string{"root/out", "root"})
	}
	for _, c := range refused {
		require.Error(t, apart(at(c[0]), at(c[1])), c)
	}
	for _, c := range allowed {
		require.NoError(t, apart(at(c[0]), at(c[1])), c)
	}
	_, err := New(Config{DocRoot: at("root"), StateDir: at("root/state")})
	require.ErrorContains(t, err, "lies in the docroot")
	require.NoDirExists(t, at("root/state"), "nothing was made")
	_, err = New(Config{DocRoot: at("root"), StateDir: at("state"), MaxSessions: -1})
	require.ErrorContains(t, err, "negative")
	_, err = New(Config{DocRoot: at("root"), StateDir: at("state"), Datagram: 100})
	require.ErrorContains(t, err, "1200 to 65507")
}
