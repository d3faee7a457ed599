package twnode

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/api"
)

// TestRowsStayInLine: what is printed later stands below what was printed before.
func TestRowsStayInLine(t *testing.T) {
	var out strings.Builder
	var c columns
	row := func(id string, status api.TransferStatus, bytes int64) api.Transfer {
		return api.Transfer{ID: id, Status: status, BytesTransferred: bytes, Spec: api.StartSpec{SourcePaths: []string{"what"}, AccessKey: "anna", Initiator: "node", Direction: "send"}}
	}
	require.NoError(t, printTransfers(&out, []api.Transfer{row("0123", api.Completed, 123_456), row("4567", api.Running, 1)}, &c))
	require.NoError(t, printTransfers(&out, nil, &c))
	require.NoError(t, printTransfers(&out, []api.Transfer{row("4567", api.Paused, 20)}, &c))
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Len(t, lines, 4)
	at := strings.Index(lines[0], "WHAT")
	for _, line := range lines[1:] {
		require.Equal(t, at, strings.Index(line, "what"), out.String())
	}
	require.NoError(t, printTransfers(&out, []api.Transfer{row("a longer one", api.Failed, 1)}, &c))
}
