package transfer

import (
	"errors"

	"github.com/tradewind-io/tradewind/objstore"
)

// partCursor is where the sending of one file stands among the parts of its destination. The zero value is before the
// first block.
type partCursor struct {
	plan   objstore.Plan // once the rule is known
	part   int
	extent extent
	inPart bool // extent is that of part
}

var errTooMuch = errors.New("more was sent in one session than extents can be counted; a new one goes on")

// open returns the extent for n bytes of f at off, and opens it if they are the first of their part. It must be called
// last before SendBlock: an extent that is opened and gets no block would stay open at the receiver
// (docs/protocol-transfer.md section 29.2).
func (s *sender) open(f *sfile, c *partCursor, off int64, n int) (extent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rule == nil {
		// Nobody knows yet whether there are parts: the block takes its own pages and no more.
		return s.openPages(pagesOf(int64(n)))
	}
	if s.rule.Want == 0 {
		return extent{}, nil
	}
	if c.plan.First == 0 {
		c.plan = objstore.Plan{First: f.part}
		if f.part == 0 {
			size := f.info.Size
			if f.stream {
				size = -1
			}
			var err error
			if c.plan, err = s.rule.plan(size, f.block); err != nil {
				return extent{}, fail(CodeFileTooBig, "send", f.name, err)
			}
		}
	}
	k := c.plan.At(off)
	if s.rule.MaxParts > 0 && k >= s.rule.MaxParts {
		return extent{}, failf(CodeFileTooBig, f.name, "the destination takes %d parts of one object, and the stream is longer; larger parts and more memory for them at the destination help", s.rule.MaxParts)
	}
	if c.inPart && c.part == k {
		return c.extent, nil
	}
	size := c.plan.PartSize(k)
	if !f.stream {
		size = min(size, f.info.Size-c.plan.Offset(k))
	}
	x, err := s.openPages(pagesOf(size))
	c.part, c.extent, c.inPart = k, x, err == nil
	return x, err
}

// openPages opens the next extents. s.mu is held.
func (s *sender) openPages(n int64) (extent, error) {
	if s.pages+uint64(n) > maxExtent {
		return extent{}, errTooMuch
	}
	s.pages += uint64(n)
	return extent{s.pages - 1, uint32(n)}, nil
}
