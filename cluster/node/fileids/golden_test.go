package fileids

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
)

var update = flag.Bool("update", false, "rewrite testdata")

// now is a time of the file system, which is that of the test's run.
var now = regexp.MustCompile(`"modified_time":"[^"]*"`)

// TestTranscript makes the requests that stand in testdata and compares what comes back: "> WHO METHOD PATH", a line with the body if there is one, then the answer.
func TestTranscript(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			b := newBed(t)
			b.File("alpha/film/a.json", `{"a":1}`)
			b.File("alpha/film/b.bin", "0123456789")
			b.File("alpha/film/Clip.PNG", "")
			b.File("alpha/note", "hello")
			who := map[string]string{
				"alpha": b.Alpha, "beta": b.Beta, "nobody": "", "admin": b.Admin, "anna": b.Bearer("anna", "crew"), "bert": b.Bearer("bert"),
				"owner": b.Sealed(accesskey.Bearer{User: "olga", Key: "ak_alpha", Admin: true}),
			}
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			var out strings.Builder
			lines := strings.Split(string(text), "\n")
			for i, line := range lines {
				if strings.HasPrefix(line, "#") {
					fmt.Fprintln(&out, line)
					continue
				}
				if !strings.HasPrefix(line, "> ") {
					continue
				}
				f := strings.Fields(line[2:])
				require.Len(t, f, 3, line)
				auth, ok := who[f[0]]
				require.True(t, ok, line)
				fmt.Fprintln(&out, line)
				body := ""
				if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "  ") {
					body = strings.TrimSpace(lines[i+1])
					fmt.Fprintln(&out, lines[i+1])
				}
				a := b.Do(auth, f[1], f[2], body, "Accept-Version", "4.0")
				fmt.Fprintln(&out, "<", a.Status)
				for _, h := range []string{"Content-Type", "Content-Length", "Content-Range", "X-Total-Count", "X-Aspera-Next-Iteration-Token", "Link", "X-Tradewind-Ignored", "Allow"} {
					if v := a.Header.Get(h); v != "" && (h != "Content-Length" || strings.HasSuffix(f[2], "/content")) && v != "application/json" {
						fmt.Fprintf(&out, "< %s: %s\n", h, v)
					}
				}
				shown := now.ReplaceAllStringFunc(strings.TrimSpace(a.Body), func(s string) string {
					if strings.Contains(s, "2026-03-01T12:00:00Z") {
						return s
					}
					return `"modified_time":"NOW"`
				})
				if shown = strings.ReplaceAll(shown, "},{", "},\n {"); shown != "" {
					fmt.Fprintln(&out, shown)
				}
				fmt.Fprintln(&out)
			}
			if *update {
				require.NoError(t, os.WriteFile(name, []byte(out.String()), 0o644))
				return
			}
			require.Equal(t, string(text), out.String())
		})
	}
}
