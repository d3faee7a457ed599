package nodeapi

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/tradewind-io/tradewind/cluster/api"
)

// TestDocument: both forms of the OpenAPI document say the same, to everybody.
func TestDocument(t *testing.T) {
	b := newBed(t)
	a := b.Do("", "GET", "/openapi.yaml", "")
	require.Equal(t, 200, a.Status)
	require.Equal(t, "application/yaml", a.Header.Get("Content-Type"))
	require.Equal(t, string(api.OpenAPI()), a.Body)
	var fromYAML, fromJSON any
	require.NoError(t, yaml.Unmarshal([]byte(a.Body), &fromYAML))
	a = b.Do("", "GET", "/openapi.json", "")
	require.Equal(t, 200, a.Status)
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	require.NoError(t, json.Unmarshal([]byte(a.Body), &fromJSON))
	again, err := json.Marshal(fromYAML)
	require.NoError(t, err)
	require.JSONEq(t, string(again), a.Body)
	require.Empty(t, b.Do("", "HEAD", "/openapi.json", "").Body)
	require.Equal(t, 405, b.Do("", "POST", "/openapi.yaml", "").Status)
}
