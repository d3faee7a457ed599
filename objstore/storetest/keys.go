package storetest

import (
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// keyCase is a key that platforms and drivers trip over.
type keyCase struct{ name, key string }

// keyCases returns them; none is a folder of another.
func keyCases(caps objstore.Caps) []keyCase {
	most := 1024
	if caps.MaxKey > 0 {
		most = min(most, caps.MaxKey)
	}
	long := strings.Repeat(strings.Repeat("x", 199)+"/", most/200+1)[:most-1] + "y"
	return []keyCase{
		{"space", "a b c"},
		{"space at the ends", " a "},
		{"percent", "100%"},
		{"percent code", "a%2Fb%20c%zz"},
		{"plus", "a+b +"},
		{"question mark", "a?b=c&d"},
		{"hash", "a#b"},
		{"unicode composed", "caf\u00e9"},
		{"unicode decomposed", "cafe\u0301"},
		{"unicode wide", "日本語/😀"},
		{"quotes", `it's "so" called`},
		{"angles", "<a> & b"},
		{"punctuation", "!$&(),-.:;=@[]^_`{|}~*"},
		{"backslash", `a\b\\c`},
		{"tab", "a\tb"},
		{"newline", "a\nb\r\nc"},
		{"control", "a\x01\x1f\x7fb"},
		{"not utf-8", "a\xff\xfeb"},
		{"dots in names", "...a/..b/c..."},
		{"dot segment", "dots/./a"},
		{"dot dot segment", "dots/../a"},
		{"double slash", "double//slash"},
		{"trailing slash", "trailing/"},
		{"drive", "C:/x"},
		{"device", "con/nul.txt"},
		{"long", long},
	}
}

func testKeys(s *suite) {
	var taken []keyCase
	for _, c := range keyCases(s.caps) {
		_, err := s.d.Put(s.Context(), c.key, section([]byte(c.name)), objstore.PutOptions{})
		if slices.Contains(s.target.Refuses, c.name) {
			s.fails(err, objstore.Invalid, c.key)
			continue
		}
		require.NoError(s, err, "%s: put %q", c.name, c.key)
		taken = append(taken, c)
	}
	var want []string
	for _, c := range taken {
		s.holds(c.key, []byte(c.name))
		want = append(want, c.key)
	}
	slices.Sort(want)
	require.Equal(s, want, s.list(objstore.ListOptions{}))
	require.Equal(s, want, s.list(objstore.ListOptions{Max: 2}), "tokens hold any key")
	for _, c := range taken {
		require.Contains(s, s.list(objstore.ListOptions{Prefix: c.key}), c.key, "%s as a prefix", c.name)
		if s.caps.Copy {
			_, err := s.d.Copy(s.Context(), c.key, "", "copy/"+c.name, nil)
			require.NoError(s, err, "%s: copy", c.name)
			s.holds("copy/"+c.name, []byte(c.name))
		}
	}
	for _, c := range taken {
		if s.caps.MaxParts == 1 || s.caps.Ordered {
			break
		}
		u := s.begin(c.key, 4)
		s.putParts(u, []byte("part"))
		s.complete(u)
		s.holds(c.key, []byte("part"))
	}
	require.NoError(s, s.d.Delete(s.Context(), want...))
	for _, c := range taken {
		s.missing(c.key)
	}
}
