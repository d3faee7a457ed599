package nodeapi

import (
	"cmp"
	"container/heap"
	"net/http"
	"slices"
	"strings"

	"github.com/tradewind-io/tradewind/cluster/api"
)

// order compares entries; entries of different names are never equal.
type order func(a, b *entry) int

// orderOf returns the order that a request asks for.
func orderOf(sort string, caseSensitive bool) (order, error) {
	byName := func(a, b *entry) int { return cmp.Compare(a.name, b.name) }
	if !caseSensitive {
		byName = func(a, b *entry) int {
			return cmp.Or(cmp.Compare(strings.ToLower(a.name), strings.ToLower(b.name)), cmp.Compare(a.name, b.name))
		}
	}
	first := func(by order) order { return func(a, b *entry) int { return cmp.Or(by(a, b), byName(a, b)) } }
	switch sort {
	case "", "path":
		return byName, nil
	case "type":
		return first(func(a, b *entry) int { return cmp.Compare(a.kind(), b.kind()) }), nil
	case "size_a":
		return first(func(a, b *entry) int { return cmp.Compare(a.size, b.size) }), nil
	case "size_d":
		return first(func(a, b *entry) int { return cmp.Compare(b.size, a.size) }), nil
	case "mtime_a":
		return first(func(a, b *entry) int { return cmp.Compare(a.mtime, b.mtime) }), nil
	case "mtime_d":
		return first(func(a, b *entry) int { return cmp.Compare(b.mtime, a.mtime) }), nil
	}
	return nil, api.Errorf(http.StatusBadRequest, "sort %q: want path, type, size_a, size_d, mtime_a or mtime_d", clip(sort))
}

// selection keeps the first entries of many, whatever order they come in, and counts the others: its memory is that of what it keeps.
type selection struct {
	by    order
	keep  int
	kept  []entry // a heap whose top is the last of them
	total int64
}

// add takes an entry.
func (s *selection) add(e entry) {
	s.total++
	switch {
	case len(s.kept) < s.keep:
		heap.Push(s, e)
	case s.keep > 0 && s.by(&e, &s.kept[0]) < 0:
		s.kept[0] = e
		heap.Fix(s, 0)
	}
}

// sorted returns what is kept, in order, without the first skip. The selection must not be used afterwards.
func (s *selection) sorted(skip int) []entry {
	slices.SortFunc(s.kept, func(a, b entry) int { return s.by(&a, &b) })
	return s.kept[min(skip, len(s.kept)):]
}

// Len, Less, Swap, Push and Pop are for package heap.
func (s *selection) Len() int           { return len(s.kept) }
func (s *selection) Less(i, j int) bool { return s.by(&s.kept[i], &s.kept[j]) > 0 }
func (s *selection) Swap(i, j int)      { s.kept[i], s.kept[j] = s.kept[j], s.kept[i] }
func (s *selection) Push(x any)         { s.kept = append(s.kept, x.(entry)) }

// Pop is never called: what is kept is only replaced.
func (s *selection) Pop() any { panic("BUG: nodeapi: a selection gives nothing back") }
