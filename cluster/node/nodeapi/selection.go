package nodeapi

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/tradewind-io/tradewind/cluster/api"
)

// order compares entries; entries of different names are never equal.
type order = func(a, b *entry) int

// orderOf returns the order that a request asks for.
func orderOf(sort string, caseSensitive bool) (order, error) {
	byName := func(a, b *entry) int { return strings.Compare(a.name, b.name) }
	if !caseSensitive {
		byName = func(a, b *entry) int {
			return cmp.Or(strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)), strings.Compare(a.name, b.name))
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

// namesOrder says whether the order needs names alone.
func namesOrder(sort string) bool { return sort == "" || sort == "path" }

// Selection keeps the first of many values, whatever order they come in, and counts the others: its memory is that of what it keeps. It is used by one goroutine.
type Selection[T any] struct {
	by    func(a, b *T) int
	own   func(*T)
	keep  int
	kept  []T // a heap whose top is the last of them
	total int64
}

// Select makes a Selection of the first keep values by an order in which no two are equal. own makes what a value has borrowed its own; it is called with those that are kept.
func Select[T any](by func(a, b *T) int, keep int, own func(*T)) *Selection[T] {
	return &Selection[T]{by: by, keep: keep, own: own}
}

// Add takes a copy of a value.
func (s *Selection[T]) Add(v *T) {
	s.total++
	switch {
	case len(s.kept) < s.keep:
		s.kept = append(s.kept, *v)
		s.own(&s.kept[len(s.kept)-1])
		s.up(len(s.kept) - 1)
	case s.keep > 0 && s.by(v, &s.kept[0]) < 0:
		s.kept[0] = *v
		s.own(&s.kept[0])
		s.down()
	}
}

// Total is how many values were added.
func (s *Selection[T]) Total() int64 { return s.total }

// Sorted returns what is kept, in order, without the first skip. The Selection must not be used afterwards.
func (s *Selection[T]) Sorted(skip int) []T {
	slices.SortFunc(s.kept, func(a, b T) int { return s.by(&a, &b) })
	return s.kept[min(skip, len(s.kept)):]
}

// up moves the value at i towards the top until the one above it is behind it in the order. Package heap would have the Selection export its methods.
func (s *Selection[T]) up(i int) {
	for i > 0 {
		above := (i - 1) / 2
		if s.by(&s.kept[i], &s.kept[above]) < 0 {
			return
		}
		s.kept[i], s.kept[above] = s.kept[above], s.kept[i]
		i = above
	}
}

// down moves the value at the top to where it belongs.
func (s *Selection[T]) down() {
	for i := 0; ; {
		last := i
		for _, below := range []int{2*i + 1, 2*i + 2} {
			if below < len(s.kept) && s.by(&s.kept[below], &s.kept[last]) > 0 {
				last = below
			}
		}
		if last == i {
			return
		}
		s.kept[i], s.kept[last] = s.kept[last], s.kept[i]
		i = last
	}
}
