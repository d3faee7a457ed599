package sshd

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWords(t *testing.T) {
	for line, want := range map[string][]string{
		``:                          nil,
		" \t ":                      nil,
		`as_ls "/a b"`:              {"as_ls", "/a b"},
		`as_mv "a\"b\\c" d\ e`:      {"as_mv", `a"b\c`, "d e"},
		`a"b c"d ""`:                {"ab cd", ""},
		`as_ls "\/\x"`:              {"as_ls", "/x"},
		`as_session_init  --host=h`: {"as_session_init", "--host=h"},
	} {
		got, err := splitWords(line)
		require.NoError(t, err, line)
		require.Equal(t, want, got, line)
	}
	for line, want := range map[string]error{`as_ls "a`: errQuote, `as_ls a\`: errBackslash, `"a\`: errBackslash, "a\x00b": errControl, "a\nb": errControl} {
		_, err := splitWords(line)
		require.Equal(t, want, err, line)
	}
}

// FuzzWords: no line panics, and what was read is read again from how it is written.
func FuzzWords(f *testing.F) {
	for _, s := range []string{`as_ls "/a b"`, `a\"b "c\\d"`, `"`, `\`, ` "" `} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitWords(line)
		if err != nil {
			return
		}
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = Quote(w)
		}
		again, err := splitWords(strings.Join(quoted, " "))
		require.NoError(t, err)
		require.Equal(t, words, again)
	})
}
