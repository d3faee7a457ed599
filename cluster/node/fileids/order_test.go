package fileids

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

// TestPages goes through a folder page by page, in several orders, and by page number.
func TestPages(t *testing.T) {
	b := newBed(t)
	var names []string
	for i := range 23 {
		name := fmt.Sprintf("%02d", i*7%23)
		names = append(names, name)
		b.File("alpha/"+name, strings.Repeat("x", i%3))
	}
	slices.Sort(names)
	c := b.Client(b.Alpha)
	for _, sort := range []string{"", "name", "-name", "size", "-size,name", "type,-size,-name", "modified_time"} {
		var all []api.Entry
		for token, pages := "", 0; ; pages++ {
			require.Less(t, pages, 5)
			list, next, err := c.Entries(t.Context(), api.RootID, api.EntryQuery{Sort: sort, PerPage: 5, After: token})
			require.NoError(t, err)
			all = append(all, list...)
			if token = next; next == "" {
				break
			}
		}
		require.Len(t, all, len(names), sort)
		var got []string
		for i, e := range all {
			got = append(got, e.Name)
			if strings.HasPrefix(sort, "size") && i > 0 {
				require.GreaterOrEqual(t, *e.Size, *all[i-1].Size)
			}
			if strings.HasPrefix(sort, "-size") && i > 0 {
				require.LessOrEqual(t, *e.Size, *all[i-1].Size)
			}
		}
		if sort == "-name" {
			slices.Reverse(got)
			require.Equal(t, names, got)
		}
		slices.Sort(got)
		require.Equal(t, names, got, sort)
	}
	// With the Link of an answer, too, and with page numbers.
	at, got := "/files/1/files?per_page=9&sort=-name", 0
	for at != "" {
		a := b.Do(b.Alpha, http.MethodGet, at, "")
		require.Equal(t, 200, a.Status, a.Body)
		require.Equal(t, "23", a.Header.Get("X-Total-Count"))
		got += strings.Count(a.Body, `"name"`)
		link, ok := strings.CutSuffix(a.Header.Get("Link"), `>; rel="next"`)
		require.Equal(t, ok, a.Header.Get("X-Aspera-Next-Iteration-Token") != "")
		at = strings.TrimPrefix(link, "<")
	}
	require.Equal(t, 23, got)
	for page, want := range map[int]int{1: 9, 2: 9, 3: 5, 4: 0} {
		require.Equal(t, want, strings.Count(b.Do(b.Alpha, http.MethodGet, fmt.Sprintf("/files/1/files?per_page=9&page=%d", page), "").Body, `"name"`))
	}
	// A name that goes while somebody reads takes none with it.
	_, next, err := c.Entries(t.Context(), api.RootID, api.EntryQuery{PerPage: 5})
	require.NoError(t, err)
	require.NoError(t, c.DeleteEntry(t.Context(), b.id("04")))
	list, _, err := c.Entries(t.Context(), api.RootID, api.EntryQuery{PerPage: 5, After: next})
	require.NoError(t, err)
	require.Equal(t, "05", list[0].Name)
	// Where names alone decide, the listing is that of looking at everything.
	require.NoError(t, os.Mkdir(filepath.Join(b.Base, "alpha", "folder"), 0o755))
	require.NoError(t, os.Symlink("01", filepath.Join(b.Base, "alpha", "link")))
	b.File("alpha/.01.tw-part", "")
	m, release, err := places{must(New(Config{State: b.state, Places: b.places, Keys: b.Keys}))}.Open(t.Context(), accesskey.Grant{KeyID: "ak_alpha", Root: "alpha"})
	require.NoError(t, err)
	require.Implements(t, (*transfer.NameLister)(nil), m)
	release()
	for _, sort := range []string{"", "-name"} {
		quick, _, err := c.Entries(t.Context(), api.RootID, api.EntryQuery{Sort: sort})
		require.NoError(t, err)
		every, _, err := c.Entries(t.Context(), api.RootID, api.EntryQuery{Sort: sort, Type: "file,folder,link"})
		require.NoError(t, err)
		require.Len(t, quick, 24)
		require.Equal(t, every, quick)
	}
	// A token of another order.
	_, _, err = c.Entries(t.Context(), api.RootID, api.EntryQuery{Sort: "size", After: next})
	apibed.Code(t, 400, err)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func FuzzToken(f *testing.F) {
	for _, i := range []item{{name: "a"}, {name: "b c\xff", mode: fs.ModeDir, mtime: -5}, {name: "x", size: 1 << 40, mtime: 1 << 60}} {
		for _, sort := range []string{"", "type,-size"} {
			f.Add(sort, token(sort, &i))
		}
	}
	f.Add("", "")
	f.Add("", "AQ")
	f.Add("", "AQAAAAAv")
	f.Add("", "AQAAAABh\n")
	f.Fuzz(func(t *testing.T, sort, text string) {
		last, err := parseToken(sort, text)
		if err != nil {
			require.ErrorIs(t, err, errToken)
			return
		}
		require.Equal(t, text, token(sort, &last))
		require.NotEmpty(t, last.name)
		by, err := orderOf("type,size,modified_time")
		require.NoError(t, err)
		require.Zero(t, by(&last, &last))
	})
}

func FuzzQuery(f *testing.F) {
	f.Add("per_page=3&page=2&sort=type,-size&type[]=file&name_glob=*.x&min_size=1&min_modified_time=2026-01-31T12:00:00Z")
	f.Add("sort=-&name_glob=[&max_size=-1&page=99999999999999999999&iteration_token=AQ")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		r := &http.Request{URL: &url.URL{Path: "/files/1/files", RawQuery: v.Encode()}}
		l, err := newListing(r)
		if err == nil {
			require.LessOrEqual(t, l.skip+l.count, maxReach)
			require.LessOrEqual(t, l.count, maxPage)
			l.filter.pass(&item{name: "a"})
		}
		_, _ = newPermissionFilter(v)
	})
}

// TestLevels: words, and what they stand for.
func TestLevels(t *testing.T) {
	all, err := parseLevels(levelNames[:])
	require.NoError(t, err)
	require.Equal(t, levels(levelsEdit), all)
	require.Equal(t, all, levelsOf(accesskey.AllRights()))
	for l := range levels(levelsEdit) + 1 {
		got, err := parseLevels(l.names())
		require.NoError(t, err)
		require.Equal(t, l, got)
	}
	require.Equal(t, "view", (canList | canRead | canPreview | canWrite).word())
	require.Empty(t, (canList | canRead).word())
}

// buckets are Places in one bucket.
type buckets struct{ b *objstore.Bucket }

func (b buckets) Open(_ context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	s := transfer.NewBucketStore(b.b, g.Root, 0, nil)
	return s, func() { _ = s.Close() }, nil
}

// TestBucket: the same in an object store, where folders are what names say.
func TestBucket(t *testing.T) {
	b := newBed(t)
	b.stop()
	bucket := objstore.NewBucket(memstore.New(), objstore.Config{})
	defer bucket.Close()
	b.places = buckets{bucket}
	b.start()
	c := b.Client(b.Alpha)
	e, err := c.Entry(t.Context(), api.RootID)
	require.NoError(t, err, "the root of a bucket is there even if nothing is in it")
	require.Equal(t, api.EntryFolder, e.Type)
	dir, err := c.CreateEntry(t.Context(), api.RootID, api.NewEntry{Name: "d", Type: api.EntryFolder})
	require.NoError(t, err)
	f, err := c.CreateEntry(t.Context(), dir.ID, api.NewEntry{Name: "f", Type: api.EntryFile, Contents: []byte("hello")})
	require.NoError(t, err)
	require.NoError(t, c.RenameEntry(t.Context(), dir.ID, "e"))
	got, err := c.EntryContent(t.Context(), f.ID)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.Equal(t, f.ID, b.id("e/f"))
	b.allow("e", api.AccessUser, "anna", "read", "list")
	got, err = b.Client(b.Bearer("anna")).EntryContent(t.Context(), f.ID)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	e, err = c.Entry(t.Context(), dir.ID, "recursive_counts")
	require.NoError(t, err)
	require.EqualValues(t, 5, *e.RecursiveSize)
	require.NoError(t, c.DeleteEntry(t.Context(), dir.ID))
	_, err = c.Entry(t.Context(), f.ID)
	apibed.Code(t, 404, err)
	require.NoDirExists(t, filepath.Join(b.Base, "alpha/d"))
}
