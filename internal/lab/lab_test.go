package lab

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClientsOwnState: twcp would take the user's state for a relative folder, and know paths of other runs.
func TestClientsOwnState(t *testing.T) {
	here, err := os.Getwd()
	require.NoError(t, err)
	l := &Lab{Bin: "bin", Dir: "work"}
	copying, err := l.Copy(t.Context(), &Node{Token: "secret"}, "127.0.0.1:1", "NODE:/a", "b")
	require.NoError(t, err)
	require.Contains(t, copying.Env, "ASPERA_SCP_TOKEN=secret")
	for _, env := range [][]string{copying.Env, l.Twcp(t.Context()).Env} {
		require.Contains(t, env, "XDG_STATE_HOME="+filepath.Join(here, "work", "client-state"))
		require.Contains(t, env, "XDG_CONFIG_HOME="+filepath.Join(here, "work", "client-config"))
	}
}
