package objstore

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUploadAsJSON(t *testing.T) {
	for _, key := range []string{"", "a/b", "\xff\x00", "日本", "<&>\u2028"} {
		u := Upload{Key: key, ID: "i", Size: -1, Plan: Plan{First: 5, Step: 1, Group: 2, Max: 9}}
		b, err := json.Marshal(u)
		require.NoError(t, err)
		var back Upload
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, u, back, "%s", b)
	}
}
