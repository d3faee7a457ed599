package twcp

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCompatOptions: of the options of ascp this program has those that docs/compat.md says it has, and refuses the others by name.
func TestCompatOptions(t *testing.T) {
	b, err := os.ReadFile("../../../docs/compat.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(b), "| option | here | what to know |\n|---|---|---|\n")
	require.True(t, found)
	option := regexp.MustCompile("`(-[^`]+)`")
	flags := flagSet(&options{})
	seen := map[string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		require.Len(t, cells, 3, line)
		here := strings.TrimSpace(cells[1])
		require.Contains(t, []string{"honoured", "differently", "not offered"}, here, line)
		for _, m := range option.FindAllStringSubmatch(cells[0], -1) {
			name := m[1]
			require.False(t, seen[name], name)
			seen[name] = true
			long, isLong := strings.CutPrefix(name, "--")
			known := isLong && flags.Lookup(long) != nil || !isLong && flags.ShorthandLookup(name[1:]) != nil
			require.Equal(t, here != "not offered" || name == "-W", known, name)
			require.Equal(t, !known, later(name), name)
		}
	}
	require.Greater(t, len(seen), 90)
	require.True(t, seen["-M"] && seen["--keepalive"])
}
