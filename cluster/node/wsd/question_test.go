package wsd

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

func TestReadQuestion(t *testing.T) {
	for text, want := range map[string]Question{
		`{"for":"upload","paths":["/in/./a//"]}`:          {For: "upload", Paths: []string{"in/a"}},
		` {"paths":["a","/"],"for":"download"} ` + "\r\n": {For: "download", Paths: []string{"a", "."}},
		`{"for":"manage"}`:                                {For: "manage"},
		`{"for":"manage","paths":[]}`:                     {For: "manage", Paths: []string{}},
	} {
		got, d, err := readQuestion([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		require.NotEqual(t, accesskey.Both, d)
	}
	for _, text := range []string{
		"", "null", "{}", "[]", `"upload"`, `{"for":"upload"}`, `{"for":"upload","paths":[]}`, `{"for":"manage","paths":["a"]}`, `{"for":"both","paths":["a"]}`, `{"for":"upload","paths":"a"}`, `{"for":"upload","paths":[1]}`,
		`{"for":"upload","paths":["a"],"until":"noon"}`, `{"for":"upload","paths":["a"]}{}`, `{"for":"upload","paths":["a"]} x`, `{"for":"upload","paths":["a"`, "{\"for\":\"upload\",\"paths\":[\"\xff\"]}",
		`{"for":"upload","paths":` + strings.Repeat("[", 12000) + strings.Repeat("]", 12000) + `}`, strings.Repeat(`{"for":`, 2300) + "1" + strings.Repeat("}", 2300),
	} {
		_, _, err := readQuestion([]byte(text))
		require.Equal(t, errQuestion, err, "%.60s", text)
	}
	for _, p := range []string{"..", "a/../b", `a\u0000b`, ".f.tw-part", strings.Repeat("x", 5000)} {
		_, _, err := readQuestion([]byte(`{"for":"upload","paths":["` + p + `"]}`))
		require.ErrorContains(t, err, "path", "%.60s", p)
	}
}

// TestAllow: what a token is for bounds the ticket that it gets.
func TestAllow(t *testing.T) {
	all := accesskey.AllRights()
	up, down, manage := Question{"upload", []string{"in/x"}}, Question{"download", []string{"in", "in/y"}}, Question{"manage", nil}
	for _, c := range []struct {
		name             string
		g                accesskey.Grant
		up, down, manage bool
	}{
		{"all", accesskey.Grant{Rights: all}, true, true, true},
		{"nothing", accesskey.Grant{}, false, false, true}, // what may be looked at is for the session to say
		{"read", accesskey.Grant{Rights: accesskey.Rights{Read: true}}, false, true, true},
		{"write", accesskey.Grant{Rights: accesskey.Rights{Write: true}}, true, false, true},
		{"uploads", accesskey.Grant{Rights: all, Direction: accesskey.Upload, Within: []string{"in"}}, true, false, false},
		{"uploads elsewhere", accesskey.Grant{Rights: all, Direction: accesskey.Upload, Within: []string{"other", "i", "in/x/y"}}, false, false, false},
		{"uploads there", accesskey.Grant{Rights: all, Direction: accesskey.Upload, Within: []string{"in/x"}}, true, false, false},
		{"uploads everywhere", accesskey.Grant{Rights: all, Direction: accesskey.Upload, Within: []string{""}}, true, false, false},
		{"downloads", accesskey.Grant{Rights: all, Direction: accesskey.Download, Within: []string{"other", "in"}}, false, true, false},
		{"downloads of a part", accesskey.Grant{Rights: all, Direction: accesskey.Download, Within: []string{"in/y"}}, false, false, false},
		{"looking", accesskey.Grant{Rights: all, Direction: accesskey.Manage}, false, false, true},
	} {
		require.Equal(t, c.up, allow(c.g, accesskey.Upload, up) == nil, c.name)
		require.Equal(t, c.down, allow(c.g, accesskey.Download, down) == nil, c.name)
		require.Equal(t, c.manage, allow(c.g, accesskey.Manage, manage) == nil, c.name)
	}
	require.Error(t, allow(accesskey.Grant{Rights: all, Direction: accesskey.Download, Within: []string{"in"}}, accesskey.Download, Question{"download", []string{"."}}), "the place is more than a folder in it")
}

func FuzzQuestion(f *testing.F) {
	for _, text := range []string{`{"for":"upload","paths":["in","a b"]}`, `{"for":"download","paths":["/","\u00e9\ud800"]}`, `{"for":"manage"}`, `{"FOR":"manage","for":"upload","paths":[""]}`, `{"for":"upload","paths":[[[[`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, d, err := readQuestion(b)
		if err != nil {
			require.Zero(t, q)
			return
		}
		for _, p := range q.Paths {
			clean, err := transfer.CleanPath(p)
			require.NoError(t, err)
			require.Equal(t, p, clean)
		}
		text, err := json.Marshal(q)
		require.NoError(t, err)
		again, d2, err := readQuestion(text)
		require.NoError(t, err)
		require.Equal(t, d, d2)
		require.Len(t, again.Paths, len(q.Paths))
		for i := range q.Paths {
			require.Equal(t, q.Paths[i], again.Paths[i])
		}
	})
}
