package nodeapi

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/api"
)

func TestPages(t *testing.T) {
	b := newBed(t)
	for i := range 25 {
		b.File(fmt.Sprintf("alpha/d/f%02d", i), "")
	}
	c := b.Client(b.Alpha)
	count := 10
	in := api.PageRequest{Path: "/d", Count: &count}
	var names []string
	for {
		p, err := c.Page(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, len(p.Items), p.ItemCount)
		for _, f := range p.Items {
			names = append(names, f.Basename)
		}
		if p.NextIterationToken == "" {
			break
		}
		in.IterationToken = p.NextIterationToken
		if len(names) == 10 {
			b.File("alpha/d/a-late-one", "") // lies before
			b.File("alpha/d/f22b", "")       // lies ahead
		}
	}
	require.Len(t, names, 26)
	require.IsIncreasing(t, names, "each once, in order")
	require.Contains(t, names, "f22b")
}

func TestPageTokenIsBound(t *testing.T) {
	b := newBed(t)
	for _, name := range []string{"alpha/a", "alpha/b", "alpha/d/a", "alpha/d/b", "beta/a", "beta/b"} {
		b.File(name, "")
	}
	count := 1
	first := func(auth string, in api.PageRequest) string {
		in.Count = &count
		p, err := b.Client(auth).Page(t.Context(), in)
		require.NoError(t, err)
		require.NotEmpty(t, p.NextIterationToken)
		return p.NextIterationToken
	}
	token := first(b.Alpha, api.PageRequest{Path: "/"})
	try := func(auth string, in api.PageRequest) error {
		in.Count = &count
		_, err := b.Client(auth).Page(t.Context(), in)
		return err
	}
	require.NoError(t, try(b.Alpha, api.PageRequest{Path: "//", IterationToken: token}), "the same folder")
	refused := func(name string, err error) {
		var e *api.Error
		require.ErrorAs(t, err, &e, name)
		require.Equal(t, 400, e.Code, name)
	}
	refused("another key", try(b.Beta, api.PageRequest{Path: "/", IterationToken: token}))
	refused("another folder", try(b.Alpha, api.PageRequest{Path: "/d", IterationToken: token}))
	refused("other filters", try(b.Alpha, api.PageRequest{Path: "/", IterationToken: token, Filters: &api.Filters{Types: []string{"file"}}}))
	refused("changed", try(b.Alpha, api.PageRequest{Path: "/", IterationToken: token[:len(token)-1] + "A"}))
	refused("noise", try(b.Alpha, api.PageRequest{Path: "/", IterationToken: "noise!"}))
}

func TestSelection(t *testing.T) {
	by, err := orderOf("size_d", true)
	require.NoError(t, err)
	for keep := range 12 {
		s := Select(by, keep, (*entry).own)
		for i := range 10 {
			s.Add(&entry{name: fmt.Sprint(i * 7 % 10), size: int64(i * 7 % 10 / 2)})
		}
		require.EqualValues(t, 10, s.Total())
		var got string
		for _, e := range s.Sorted(2) {
			got += e.name
		}
		want := "8967452301"[:min(keep, 10)]
		require.Equal(t, want[min(2, len(want)):], got, "keep %d", keep)
	}
}

// TestPageByName: where names alone decide, pages are those that looking at everything gives.
func TestPageByName(t *testing.T) {
	b := newBed(t)
	dir := filepath.Join(b.Base, "alpha", "mixed")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "folder"), 0o755))
	for i := range 50 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), make([]byte, i), 0o644))
	}
	require.NoError(t, os.Symlink("f1", filepath.Join(dir, "link")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".f1.tw-part"), nil, 0o644))
	pages := func(filters string) (all []string) {
		token := ""
		for {
			w := b.serve(http.MethodPost, "/files/page", fmt.Sprintf(`{"path":"/mixed","count":7,"iteration_token":%q%s}`, token, filters))
			require.Equal(t, http.StatusOK, w.Code, w.Body.String())
			var p api.Page
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
			for _, f := range p.Items {
				all = append(all, fmt.Sprint(f.Path, f.Type, f.Size, f.Mtime, f.Target))
			}
			if token = p.NextIterationToken; token == "" {
				return all
			}
		}
	}
	every := pages(`,"filters":{"types":["file","directory","symbolic_link","special"]}`)
	require.Len(t, every, 52)
	require.Equal(t, every, pages(""))
	require.Equal(t, pages(`,"filters":{"types":["file","directory","symbolic_link","special"],"basenames":["f1*"]}`), pages(`,"filters":{"basenames":["f1*"]}`))
}

// TestPagesWhileNamesComeAndGo: of 10,000 files that stay each is on one page, while others come and go.
func TestPagesWhileNamesComeAndGo(t *testing.T) {
	const n = 10_000
	b := newBed(t)
	dir := filepath.Join(b.Base, "alpha", "busy")
	require.NoError(t, os.Mkdir(dir, 0o755))
	for i := range n {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d", i)), nil, 0o644))
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		r := rand.New(rand.NewPCG(seed, 0))
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d-goes", r.IntN(n))), nil, 0o644); err != nil {
				panic(err)
			}
			_ = os.Remove(filepath.Join(dir, fmt.Sprintf("%05d-goes", r.IntN(n)))) // if it is there
		}
	})
	defer others.Wait()
	defer close(stop)
	for _, filters := range []string{"", `,"filters":{"types":["file"]}`} { // by names alone, and looking at all
		var stay []string
		last := ""
		for token := ""; ; {
			w := b.serve(http.MethodPost, "/files/page", fmt.Sprintf(`{"path":"/busy","count":1000,"iteration_token":%q%s}`, token, filters))
			require.Equal(t, http.StatusOK, w.Code, w.Body.String())
			var p api.Page
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
			for _, f := range p.Items {
				require.Greater(t, f.Basename, last)
				if last = f.Basename; !strings.HasSuffix(last, "-goes") {
					stay = append(stay, last)
				}
			}
			if token = p.NextIterationToken; token == "" {
				break
			}
		}
		require.Len(t, stay, n)
	}
}

// TestBrowseByName: where names alone decide, a listing is that of looking at everything.
func TestBrowseByName(t *testing.T) {
	b := newBed(t)
	dir := filepath.Join(b.Base, "alpha", "mixed")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "folder"), 0o755))
	for i := range 50 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint([]string{"f", "F"}[i%2], i)), make([]byte, i), 0o644))
	}
	require.NoError(t, os.Symlink("f1", filepath.Join(dir, "link")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".f1.tw-part"), nil, 0o644))
	browse := func(in string) string {
		w := b.serve(http.MethodPost, "/files/browse", `{"path":"/mixed",`+in+`}`)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		return w.Body.String()
	}
	const every = `"types":["file","directory","symbolic_link","special"]`
	for _, in := range []string{`"sort":"path"`, `"count":7,"skip":9`, `"count":0`, `"case_sensitive":false,"count":20`} {
		got := browse(in)
		require.Contains(t, got, `"total_count":52`)
		require.Equal(t, browse(in+`,"filters":{`+every+`}`), got, in)
		require.Equal(t, browse(in+`,"filters":{"basenames":["f1*"],`+every+`}`), browse(in+`,"filters":{"basenames":["f1*"]}`), in)
	}
}
