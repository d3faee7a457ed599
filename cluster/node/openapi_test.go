package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

// TestRoutesAreDocumented: the calls that a node serves are those of the OpenAPI document, neither more nor less. What it answers 501 is there without any other answer.
func TestRoutesAreDocumented(t *testing.T) {
	a := startReal(t, "a", nil)
	d := apibed.Document(t)
	var served, refused []string
	for _, pattern := range a.node.desk.api.Routes() {
		if strings.HasPrefix(pattern, "/") {
			refused = append(refused, pattern)
			continue
		}
		served = append(served, pattern)
	}
	var works, none []string
	for _, o := range d.Operations() {
		if slices.ContainsFunc(d.Statuses(o), func(s string) bool { return strings.HasPrefix(s, "2") }) {
			works = append(works, o)
		} else {
			_, path, _ := strings.Cut(o, " ")
			none = append(none, path)
		}
	}
	require.Equal(t, works, served)
	require.Equal(t, none, refused)
}
