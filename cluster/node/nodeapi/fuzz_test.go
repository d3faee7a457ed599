package nodeapi

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// FuzzPageToken: what opens is what was sealed, and nothing else opens.
func FuzzPageToken(f *testing.F) {
	t := pageTokens{[]byte("0123456789abcdef0123456789abcdef")}
	scope := pageScope(accesskey.Grant{KeyID: "k"}, "d", nil)
	f.Add("", "name")
	f.Add(t.seal(scope, "name"), "name")
	f.Add(t.seal(scope, "a\x00b")+"=", "\xff")
	f.Fuzz(func(ft *testing.T, token, name string) {
		if got, err := t.open(scope, token); err == nil && token != "" {
			require.Equal(ft, token, t.seal(scope, got), "one token for a name")
		}
		if name == "" || len(name) > maxPageToken/2 {
			return
		}
		got, err := t.open(scope, t.seal(scope, name))
		require.NoError(ft, err)
		require.Equal(ft, name, got)
		_, err = t.open(append(scope, 0), t.seal(scope, name))
		require.Error(ft, err, "another scope")
	})
}

// FuzzClean: what passes is local to a folder, on any system, is its own clean form, and shows as what it was made of.
func FuzzClean(f *testing.F) {
	for _, way := range ways {
		f.Add(way)
	}
	f.Fuzz(func(t *testing.T, p string) {
		name, err := clean(p)
		if err != nil {
			var e *api.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, 400, e.Code)
			return
		}
		require.True(t, filepath.IsLocal(filepath.FromSlash(name)), "%q -> %q", p, name)
		require.NotContains(t, "/"+name+"/", "/../")
		require.NotContains(t, name, "\x00")
		again, err := clean(shown(name))
		require.NoError(t, err)
		require.Equal(t, name, again)
	})
}

// FuzzDecode: no body makes the decoder panic or take more than it should, and what is taken is nested as deep as it may be.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"path":"/","filters":{"types":["file"],"x":[{"y":[]}]},"count":1}`))
	f.Add([]byte(`{"transfer_requests":[{"transfer_request":{"paths":[{"source":"/"}],"tags":{"a":[1]}}}]}`))
	f.Add([]byte(`{"id":"a","storage":{"type":"local"},"tradewind":{"rights":["read"],"rate_cap_bps":1}}`))
	f.Add([]byte(`{"paths":[{"path":"a","contents":"AA=="}]}`))
	f.Add([]byte(strings.Repeat(`{"a":[`, 40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []any{&api.Browse{}, &api.PageRequest{}, &api.Setup{}, &api.AccessKeyRequest{}, &api.Create{}, &api.Delete{}, &api.Rename{}, &api.Paths{}} {
			unknown, err := decodeJSON(b, v)
			if err != nil {
				var e *api.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, 400, e.Code)
				continue
			}
			require.True(t, json.Valid(b))
			require.LessOrEqual(t, depth(b), maxDepth)
			require.NotContains(t, strings.Join(unknown, ""), "\n")
			if q, ok := v.(*api.Browse); ok && q.Filters != nil {
				if c, err := newFilter(q.Filters, false); err == nil {
					c.pass(&entry{name: "a/b.txt", size: 1, mtime: 1})
				}
			}
		}
	})
}

// FuzzRelative: a link that was made relative leads to where it was to lead.
func FuzzRelative(f *testing.F) {
	f.Add("a/b", "a/c/d")
	f.Add(".", ".")
	f.Fuzz(func(t *testing.T, dir, name string) {
		d, err := clean(dir)
		if err != nil {
			return
		}
		n, err := clean(name)
		if err != nil {
			return
		}
		require.Equal(t, filepath.Join(string(os.PathSeparator), n), filepath.Join(string(os.PathSeparator), d, relative(d, n)))
	})
}
