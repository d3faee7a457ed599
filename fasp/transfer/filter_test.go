package transfer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMalformedFilters(t *testing.T) {
	for _, bad := range []string{"[", "a[b", "[]", "[!]", "[^]", "x[]y", `a\`, "[z-a]", `[\`} {
		require.Error(t, Filter{Pattern: bad}.check(), bad)
		_, err := Run(t.Context(), Config{Dial: nil}, Spec{Paths: []Path{{Source: "a"}}, Destination: "x", Filters: []Filter{{Pattern: bad}}})
		var e *Error
		require.ErrorAs(t, err, &e, bad)
		require.Equal(t, CodeUsage, e.Code, bad)
		require.ErrorContains(t, err, "filter", bad)
	}
	for _, good := range []string{"", "*", "**", "/**/", "[a]", "[a-z]x", "[!a-c]", "[^a]", `\[`, `\\`, "]", "a]b", "[a-]", "[-a]", "[[]"} {
		require.NoError(t, Filter{Pattern: good}.check(), good)
	}
}
