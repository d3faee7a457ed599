package nodeapi

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/api"
)

func TestPages(t *testing.T) {
	b := newBed(t)
	for i := range 25 {
		b.file(fmt.Sprintf("alpha/d/f%02d", i), "")
	}
	c := b.client(b.alpha)
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
			b.file("alpha/d/a-late-one", "") // lies before
			b.file("alpha/d/f22b", "")       // lies ahead
		}
	}
	require.Len(t, names, 26)
	require.IsIncreasing(t, names, "each once, in order")
	require.Contains(t, names, "f22b")
}

func TestPageTokenIsBound(t *testing.T) {
	b := newBed(t)
	for _, name := range []string{"alpha/a", "alpha/b", "alpha/d/a", "alpha/d/b", "beta/a", "beta/b"} {
		b.file(name, "")
	}
	count := 1
	first := func(auth string, in api.PageRequest) string {
		in.Count = &count
		p, err := b.client(auth).Page(t.Context(), in)
		require.NoError(t, err)
		require.NotEmpty(t, p.NextIterationToken)
		return p.NextIterationToken
	}
	token := first(b.alpha, api.PageRequest{Path: "/"})
	try := func(auth string, in api.PageRequest) error {
		in.Count = &count
		_, err := b.client(auth).Page(t.Context(), in)
		return err
	}
	require.NoError(t, try(b.alpha, api.PageRequest{Path: "//", IterationToken: token}), "the same folder")
	refused := func(name string, err error) {
		var e *api.Error
		require.ErrorAs(t, err, &e, name)
		require.Equal(t, 400, e.Code, name)
	}
	refused("another key", try(b.beta, api.PageRequest{Path: "/", IterationToken: token}))
	refused("another folder", try(b.alpha, api.PageRequest{Path: "/d", IterationToken: token}))
	refused("other filters", try(b.alpha, api.PageRequest{Path: "/", IterationToken: token, Filters: &api.Filters{Types: []string{"file"}}}))
	refused("changed", try(b.alpha, api.PageRequest{Path: "/", IterationToken: token[:len(token)-1] + "A"}))
	refused("noise", try(b.alpha, api.PageRequest{Path: "/", IterationToken: "noise!"}))
}

func TestSelection(t *testing.T) {
	by, err := orderOf("size_d", true)
	require.NoError(t, err)
	for keep := range 12 {
		s := Select(by, keep)
		for i := range 10 {
			s.Add(entry{name: fmt.Sprint(i * 7 % 10), size: int64(i * 7 % 10 / 2)})
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
