package archtest

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// complain fails the test with every line found.
func complain(t *testing.T, found []string) {
	t.Helper()
	if len(found) > 0 {
		t.Errorf("%d places break the architecture (the rules and how to change them: internal/archtest):\n%s", len(found), strings.Join(found, "\n"))
	}
}

func TestImports(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			t.Parallel()
			g, err := load(root, goos)
			require.NoError(t, err)
			require.Contains(t, g, "./fasp")
			require.True(t, g["./fasp"].Module)
			require.True(t, g["fmt"].Std)
			complain(t, checkImports(g, architecture()))
		})
	}
}

func TestSource(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	all, err := loadSource(os.DirFS(root))
	require.NoError(t, err)
	require.NotEmpty(t, all)
	complain(t, checkSource(all, architecture().source))
}

func TestText(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	found, err := checkText(os.DirFS(root), architecture().text)
	require.NoError(t, err)
	complain(t, found)
}
