package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUsageID(t *testing.T) {
	for tags, want := range map[string]string{
		``: "", `null`: "", `{}`: "", `[1]`: "", `{"aspera":7}`: "", `{"aspera":{}}`: "", `{"aspera":{"usage_id":null}}`: "", `{"aspera":{"usage_id":""}}`: "", `{"usage_id":"x"}`: "",
		`{"aspera":{"usage_id":"film/é"}}`: "film/é", `{"aspera":{"usage_id": 17 }}`: "17", `{"aspera":{"usage_id":-1.5e3}}`: "-1.5e3",
		`{"a":[],"aspera":{"node":{},"usage_id":"` + strings.Repeat("x", MaxUsageID) + `"}}`: strings.Repeat("x", MaxUsageID),
	} {
		got, err := UsageID(json.RawMessage(tags))
		require.NoError(t, err, tags)
		require.Equal(t, want, got, tags)
	}
	for _, value := range []string{`true`, `{}`, `["x"]`, `"` + strings.Repeat("x", MaxUsageID+1) + `"`, strings.Repeat("1", MaxUsageID+1), `"a\u0000"`} {
		_, err := UsageID(json.RawMessage(`{"aspera":{"usage_id":` + value + `}}`))
		require.ErrorContains(t, err, "tags.aspera.usage_id", value)
	}
}

// FuzzUsageID: an id that is taken can be kept, and is what an application gets when it writes it as text.
func FuzzUsageID(f *testing.F) {
	for _, s := range []string{`{"aspera":{"usage_id":"x"}}`, `{"aspera":{"usage_id":1}}`, `{"aspera":{"usage_id":{}}}`, `{`, `{"aspera":{"usage_id":"\ud800"}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, tags string) {
		id, err := UsageID(json.RawMessage(tags))
		if err != nil || id == "" {
			return
		}
		b, err := json.Marshal(map[string]any{"aspera": map[string]any{"usage_id": id}})
		require.NoError(t, err)
		again, err := UsageID(b)
		require.NoError(t, err)
		require.Equal(t, id, again)
		require.LessOrEqual(t, len(id), MaxUsageID)
	})
}
