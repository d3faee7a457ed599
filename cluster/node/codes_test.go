package node

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// TestErrorCodes: the names of error codes in docs/api.md, and whether another try may help, are those of package transfer.
func TestErrorCodes(t *testing.T) {
	b, err := os.ReadFile("../../docs/api.md")
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^\| ([0-9]+)(\*?) \| ([A-Z_]+) \|`).FindAllStringSubmatch(string(b), -1)
	require.Greater(t, len(rows), 30)
	for _, r := range rows {
		n, err := strconv.ParseUint(r[1], 10, 16)
		require.NoError(t, err)
		code := transfer.Code(n)
		require.Equal(t, r[3], code.String(), r[1])
		require.Equal(t, r[2] == "*", code.Retryable(), r[1])
	}
}
