package objstore

import (
	"fmt"
)

// DefaultPartSize is the size of parts where nothing else is asked for.
const DefaultPartSize = 64 << 20

// Plan cuts an object into parts. All parts but the last have the size that their number says: First for the first
// Group of them, Step more for each Group that follows, and never more than Max. With a Step of 0 they are all of
// size First. Head is added to part 0 and moves all others; it is for wrappers that put something in front of an object.
type Plan struct {
	First int64 `json:"first"`           // bytes, above 0
	Step  int64 `json:"step,omitempty"`  // bytes
	Group int   `json:"group,omitempty"` // parts; above 0 where Step is
	Max   int64 `json:"max,omitempty"`   // bytes, without Head; 0 = no bound
	Head  int64 `json:"head,omitempty"`  // bytes that part 0 has more
}

// maxUnknown is how large an object of unknown size must be able to become, where the platform lets it.
const maxUnknown = 5 << 40

// Plan returns how an object of size bytes, -1 if that is not known yet, is cut into parts of about want bytes (0 means
// DefaultPartSize), all but the last multiples of align (0 means 1). Parts are larger than asked where the platform
// takes too few of them, or takes none so small. The error is an *Error of Kind Invalid or Unsupported.
func (c Caps) Plan(size, want, align int64) (Plan, error) {
	if want <= 0 {
		want = DefaultPartSize
	}
	align = lcm(max(align, 1), max(c.PartAlign, 1))
	maxPart := c.MaxPart
	if maxPart <= 0 {
		maxPart = 1 << 50
	}
	if maxPart = maxPart / align * align; maxPart == 0 {
		return Plan{}, &Error{Op: "plan parts", Kind: Invalid, Err: fmt.Errorf("parts of a multiple of %d bytes are larger than this storage takes", align)}
	}
	first := min(roundUp(min(max(want, c.MinPart), maxPart), align), maxPart)
	switch {
	case c.NeedSize && size < 0:
		return Plan{}, &Error{Op: "plan parts", Kind: Unsupported, Err: fmt.Errorf("this storage must know the size of an object before it takes it")}
	case c.MaxObject > 0 && size > c.MaxObject:
		return Plan{}, &Error{Op: "plan parts", Kind: Invalid, Err: fmt.Errorf("%d bytes; this storage takes objects of at most %d", size, c.MaxObject)}
	case c.MaxParts <= 0 || c.Ordered:
		return Plan{First: first}, nil
	case size >= 0:
		if least := roundUp(ceilDiv(size, int64(c.MaxParts)), align); least > first {
			first = least
		}
		if first > maxPart {
			return Plan{}, &Error{Op: "plan parts", Kind: Invalid, Err: fmt.Errorf("%d bytes do not fit into %d parts of at most %d", size, c.MaxParts, maxPart)}
		}
		return Plan{First: first}, nil
	}
	goal := int64(maxUnknown)
	if c.MaxObject > 0 {
		goal = min(goal, c.MaxObject)
	}
	p := Plan{First: first, Group: max(c.MaxParts/10, 1), Max: maxPart}
	for step := int64(0); ; step = max(2*step, 1) {
		p.Step = step * first
		if p.Offset(c.MaxParts) >= goal || p.Step >= maxPart {
			break
		}
	}
	if p.Step == 0 {
		p.Group, p.Max = 0, 0
	}
	return p, nil
}

// PartSize returns the size of part n, from 0, as if the object did not end in it.
func (p Plan) PartSize(n int) int64 {
	if n == 0 {
		return p.regular(0) + p.Head
	}
	return p.regular(n)
}

// regular is PartSize without Head.
func (p Plan) regular(n int) int64 {
	size := p.First
	if p.Step > 0 {
		groups := int64(n / p.Group)
		if p.Max > 0 {
			groups = min(groups, ceilDiv(p.Max, p.Step)) // it is Max by then; the product stays small
		}
		size += p.Step * groups
	}
	if p.Max > 0 {
		size = min(size, p.Max)
	}
	return size
}

// Offset returns where part n begins.
func (p Plan) Offset(n int) int64 {
	if n <= 0 {
		return 0
	}
	if p.Step == 0 {
		return p.Head + int64(n)*p.regular(0)
	}
	off := p.Head
	for size := p.regular(0); n > 0; size = p.grown(size) {
		k := min(n, p.Group)
		if size == p.Max {
			k = n // all that follow are as large
		}
		off += int64(k) * size
		n -= k
	}
	return off
}

// At returns the number of the part that the byte at off, 0 or more, lies in.
func (p Plan) At(off int64) int {
	off = max(off-p.Head, 0)
	if p.Step == 0 {
		return int(off / p.regular(0))
	}
	n := 0
	for size := p.regular(0); ; size = p.grown(size) {
		if k := off / size; k < int64(p.Group) || size == p.Max {
			return n + int(k)
		}
		off -= int64(p.Group) * size
		n += p.Group
	}
}

// grown is the size of the parts in the Group behind one with parts of size.
func (p Plan) grown(size int64) int64 {
	size += p.Step
	if p.Max > 0 {
		size = min(size, p.Max)
	}
	return size
}

// Count returns how many parts an object of size bytes has; an empty one has one.
func (p Plan) Count(size int64) int {
	if size <= 0 {
		return 1
	}
	return p.At(size-1) + 1
}

// Valid says whether the plan can be used, whoever made it.
func (p Plan) Valid() bool {
	return p.First > 0 && p.First <= 1<<50 && p.Step >= 0 && p.Step <= 1<<50 && p.Max >= 0 && p.Head >= 0 && p.Head <= 1<<50 && (p.Step == 0 || p.Group > 0 && p.Max >= p.First)
}

// Spec returns which bytes part n of the upload has. For an upload of known size the last part is shorter; n must not
// lie behind it.
func (u *Upload) Spec(n int) (p PartSpec, size int64) {
	p = PartSpec{N: n, Off: u.Plan.Offset(n)}
	size = u.Plan.PartSize(n)
	if u.Size >= 0 && p.Off+size >= u.Size {
		size, p.Last = u.Size-p.Off, true
	}
	return p, size
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

func roundUp(a, align int64) int64 { return ceilDiv(a, align) * align }

func lcm(a, b int64) int64 {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / x * b
}
