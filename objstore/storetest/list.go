package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// list returns the keys of all pages, in order if the platform sorts, else sorted. It checks what every listing must
// keep to.
func (s *suite) list(o objstore.ListOptions) []string {
	s.Helper()
	keys := []string{}
	for pages := 0; ; pages++ {
		require.Less(s, pages, 10_000, "the listing does not end")
		p, err := s.d.List(s.Context(), o)
		require.NoError(s, err, "list %+v", o)
		if o.Max > 0 {
			require.LessOrEqual(s, len(p.Objects), o.Max, "entries of a page")
		}
		for _, obj := range p.Objects {
			require.True(s, strings.HasPrefix(obj.Key, o.Prefix), "%q is not below %q", obj.Key, o.Prefix)
			if obj.Folder {
				require.True(s, o.Delimited, "folder %q in a recursive listing", obj.Key)
				require.True(s, strings.HasSuffix(obj.Key, "/"), "folder %q", obj.Key)
			} else {
				require.False(s, obj.Modified.IsZero(), "Modified of %q", obj.Key)
			}
			keys = append(keys, obj.Key)
		}
		if p.Next == "" {
			break
		}
		o.Token, o.After = p.Next, ""
	}
	if s.caps.Sorted {
		require.True(s, slices.IsSorted(keys), "not sorted: %q", keys)
	} else {
		slices.Sort(keys)
	}
	return keys
}

// tree stores some objects. A "/" sorts between "." and "0", which is where listings of folders go wrong.
func (s *suite) tree() []string {
	keys := []string{"a-x", "a.txt", "a/1", "a/2", "a/b.c", "a/b/3", "a/b/4", "a/b0", "a/c/d/e", "a0", "b/1", "c", "c0/c", "é/ü"}
	for _, key := range keys {
		s.put(key, []byte(key))
	}
	return keys
}

func testList(s *suite) {
	require.Empty(s, s.list(objstore.ListOptions{}), "an empty place")
	keys := s.tree()
	below := func(prefix string) []string {
		list := []string{}
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				list = append(list, k)
			}
		}
		return list
	}
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/b/", "a/b/3", "a/c/d/e", "é", "c", "nothing", "a/nothing/"} {
		for _, most := range []int{0, 1, 2, 3, 1000} {
			require.Equal(s, below(prefix), s.list(objstore.ListOptions{Prefix: prefix, Max: most}), "prefix %q, %d at a time", prefix, most)
		}
	}
	p, err := s.d.List(s.Context(), objstore.ListOptions{Prefix: "a/b/3"})
	require.NoError(s, err)
	require.Len(s, p.Objects, 1)
	stat, err := s.d.Stat(s.Context(), "a/b/3")
	require.NoError(s, err)
	require.EqualValues(s, 5, p.Objects[0].Size)
	require.Equal(s, stat.ETag, p.Objects[0].ETag, "ETag by List and Stat")
}

func testListFolders(s *suite) {
	s.tree()
	for prefix, want := range map[string][]string{
		"":          {"a-x", "a.txt", "a/", "a0", "b/", "c", "c0/", "é/"},
		"a":         {"a-x", "a.txt", "a/", "a0"},
		"a/":        {"a/1", "a/2", "a/b.c", "a/b/", "a/b0", "a/c/"},
		"a/b":       {"a/b.c", "a/b/", "a/b0"},
		"a/b/":      {"a/b/3", "a/b/4"},
		"a/c/":      {"a/c/d/"},
		"é/":        {"é/ü"},
		"nothing/":  {},
		"a/nothing": {},
	} {
		for _, most := range []int{0, 1, 2, 5} {
			require.Equal(s, want, s.list(objstore.ListOptions{Prefix: prefix, Delimited: true, Max: most}), "prefix %q, %d at a time", prefix, most)
		}
	}
}

func testListAfter(s *suite) {
	s.need(s.caps.Sorted, "Sorted")
	keys := s.tree()
	for i, after := range keys {
		for _, most := range []int{0, 2} {
			require.Equal(s, append([]string{}, keys[i+1:]...), s.list(objstore.ListOptions{After: after, Max: most}), "after %q", after)
		}
	}
	require.Equal(s, keys[6:], s.list(objstore.ListOptions{After: "a/b/3z"}), "after what is not there")
	require.Equal(s, []string{"a/b/4"}, s.list(objstore.ListOptions{Prefix: "a/b/", After: "a/b/3"}))
	require.Equal(s, []string{"a/", "a0", "b/", "c", "c0/", "é/"}, s.list(objstore.ListOptions{After: "a.txt", Delimited: true}))
	require.Empty(s, s.list(objstore.ListOptions{Prefix: "a/b/", After: "b"}))
	require.Equal(s, []string{"a/b/3", "a/b/4"}, s.list(objstore.ListOptions{Prefix: "a/b/", After: "a"}))
}

func testNameAndFolder(s *suite) {
	if s.caps.Folders {
		s.put("a/b", []byte("1"))
		_, err := s.d.Put(s.Context(), "a", section([]byte("2")), objstore.PutOptions{})
		s.fails(err, objstore.Invalid, "a")
		_, err = s.d.Put(s.Context(), "a/b/c", section([]byte("2")), objstore.PutOptions{})
		s.fails(err, objstore.Invalid, "a/b/c")
		s.missing("a/b/c")
		s.holds("a/b", []byte("1"))
		s.Skip("Caps: Folders, so a key cannot be both")
	}
	s.put("a", []byte("1"))
	s.put("a/b", []byte("2"))
	s.put("a/b/c", []byte("3"))
	s.holds("a", []byte("1"))
	s.holds("a/b", []byte("2"))
	s.holds("a/b/c", []byte("3"))
	require.Equal(s, []string{"a", "a/b", "a/b/c"}, s.list(objstore.ListOptions{Max: 1}))
	require.Equal(s, []string{"a", "a/"}, s.list(objstore.ListOptions{Delimited: true}))
	require.Equal(s, []string{"a/b", "a/b/"}, s.list(objstore.ListOptions{Prefix: "a/", Delimited: true, Max: 1}))
	require.NoError(s, s.d.Delete(s.Context(), "a"))
	require.Equal(s, []string{"a/b", "a/b/c"}, s.list(objstore.ListOptions{}))
}

// testListMany makes more objects than platforms put into one page.
func testListMany(s *suite) {
	n := 120
	if s.target.Big {
		n = 2100
	}
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("dir%d/%05d", i%3, i)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for w := range errs {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += len(errs) {
				_, errs[w] = s.d.Put(s.Context(), keys[i], section([]byte(keys[i])), objstore.PutOptions{})
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(s, err)
	}
	slices.Sort(keys)
	require.Equal(s, keys, s.list(objstore.ListOptions{}))
	require.Equal(s, keys, s.list(objstore.ListOptions{Max: 7}))
	require.Equal(s, []string{"dir0/", "dir1/", "dir2/"}, s.list(objstore.ListOptions{Delimited: true}))
	require.NoError(s, s.d.Delete(s.Context(), keys[:min(n, 1000)]...))
	require.Equal(s, append([]string{}, keys[min(n, 1000):]...), s.list(objstore.ListOptions{}))
}
