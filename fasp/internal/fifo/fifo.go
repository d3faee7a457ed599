// Package fifo has what queues in slices need that are taken from at the front by s = s[1:].
package fifo

// least is the capacity that a slice gets at least: taken from at the front, one of a few elements would be made anew with nearly every element.
const least = 64

// Push appends v, and moves the elements to another array only once in so many calls that its cost is nothing.
func Push[T any](s []T, v T) []T {
	if len(s) < cap(s) {
		return append(s, v)
	}
	grown := make([]T, len(s), max(least, 2*len(s)))
	copy(grown, s)
	return append(grown, v)
}
