package transfer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCapacity(t *testing.T) {
	d, err := OpenDir(t.TempDir())
	require.NoError(t, err)
	defer d.Close()
	total, err := d.Capacity(t.Context())
	require.NoError(t, err)
	free, err := d.Free(t.Context())
	require.NoError(t, err)
	if free >= 0 {
		require.GreaterOrEqual(t, total, free)
	} else {
		require.EqualValues(t, -1, total)
	}
}
