package metrics

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/node"
)

// TestLint: names and help are as Prometheus wants them.
func TestLint(t *testing.T) {
	n, err := node.New(node.Config{DocRoot: t.TempDir(), StateDir: t.TempDir()})
	require.NoError(t, err)
	problems, err := testutil.CollectAndLint(Collector(n))
	require.NoError(t, err)
	require.Empty(t, problems)
}
