package transfer

import (
	"github.com/tradewind-io/tradewind/objstore"
)

// PartStore is a Store whose files are made of parts, which stand in memory until the place has taken them
// (docs/protocol-transfer.md section 29). Its Create returns a PartTarget.
type PartStore interface {
	Store
	// Parts says how files are cut and what bounds the memory that they take.
	Parts() PartLimits
	// Parallel is how many requests at a time are worth while, at least 1.
	Parallel() int
}

// PartLimits is how a place cuts files, and the memory that parts may take there.
type PartLimits struct {
	Caps  objstore.Caps
	Want  int64 // the size of parts that is wanted, above 0
	Pool  *objstore.Pool
	Ahead int64 // memory that a sender may use before it knows that there are parts, beside that of parts: 64 KiB for each extent of fasp.Config.Extents
}

// PartTarget is a Target of a PartStore. Its Sync does nothing, and what was written cannot be read back.
type PartTarget interface {
	Target
	// Plan says how the file is cut into parts.
	Plan() objstore.Plan
	// Holds says whether the n bytes from off on stand in the place since an earlier Target.
	Holds(off, n int64) bool
	// Watch makes fn be called, by any goroutine and not at the same time as WriteAt returns, when a part of n bytes does
	// not stand in memory any more: the place has it, or with an error it will not have it. It is called before the first WriteAt.
	Watch(fn func(part int, n int64, err error))
}

// The unit of extents: a part takes as many as it has pages, begun ones included.
const pageSize = 64 << 10

// pagesOf returns how many pages n bytes take.
func pagesOf(n int64) int64 { return (n + pageSize - 1) / pageSize }

// extent is what a block's header says about its part: the number of its last page in the session, and how many it has.
type extent struct {
	last  uint64
	pages uint32
}

// maxExtent is the last number that a header can carry: 256 TiB of parts a session.
const maxExtent = 1<<32 - 1

// maxPart bounds the size of a part on the wire.
const maxPart = 1 << 45

// partRule is how a destination takes files (docs/protocol-transfer.md section 29.1). Both sides cut by it. The zero
// partRule means that there are no parts.
type partRule struct {
	Want                int64 // bytes, 0 = no parts
	MaxParts            int
	MinPart, MaxPart    int64
	PartAlign, MaxTotal int64
}

// ruleOf returns the rule of a store.
func ruleOf(s Store) partRule {
	p, ok := s.(PartStore)
	if !ok {
		return partRule{}
	}
	l := p.Parts()
	c := l.Caps
	if c.Ordered {
		c.MaxParts = 0 // they follow one another in one stream
	}
	return partRule{Want: l.Want, MaxParts: c.MaxParts, MinPart: c.MinPart, MaxPart: l.maxPart(), PartAlign: c.PartAlign, MaxTotal: c.MaxObject}
}

// LeastParts is the memory that the parts of a session take at least where parts of want bytes are wanted, beside PartLimits.Ahead.
func LeastParts(want int64) int64 {
	return max(pagesOf(want)*pageSize, 2*streamBlock) // parts are no smaller than a block
}

// room returns the least and the most memory that the parts of a session take, in bytes. How much a sender may use ahead does not change how large
// its parts may be.
func (l *PartLimits) room() (floor, ceiling int64) {
	least := LeastParts(l.Want)
	most := max(sessionParts*pagesOf(l.Want)*pageSize-InitialBytes, least)
	floor = l.Ahead + least
	return floor, max(floor, min(l.Ahead+most, l.Pool.Size()))
}

// maxPart bounds parts by the memory of a session: one that found no room in it would be waited for without end.
func (l *PartLimits) maxPart() int64 {
	_, room := l.room()
	if room = (room - l.Ahead) / pageSize * pageSize; l.Caps.MaxPart > 0 {
		return min(l.Caps.MaxPart, room)
	}
	return room
}

// plan cuts a file of size bytes in blocks of the given size. A block lies inside one part.
func (r *partRule) plan(size int64, block int) (objstore.Plan, error) {
	c := objstore.Caps{MaxParts: r.MaxParts, MinPart: r.MinPart, MaxPart: r.MaxPart, PartAlign: r.PartAlign, MaxObject: r.MaxTotal}
	if size == streamSize {
		size = -1
	}
	return c.Plan(size, r.Want, int64(block))
}

func (r *partRule) put(w *wr) {
	w.num(uint64(r.Want))
	if r.Want == 0 {
		return
	}
	w.num(uint64(r.MaxParts))
	for _, v := range [...]int64{r.MinPart, r.MaxPart, r.PartAlign, r.MaxTotal} {
		w.num(uint64(v))
	}
}

func (r *partRule) take(b *rd) {
	r.Want = int64(b.num(maxPart))
	if r.Want == 0 {
		return
	}
	r.MaxParts = int(b.num(1 << 30))
	for _, v := range [...]*int64{&r.MinPart, &r.MaxPart, &r.PartAlign, &r.MaxTotal} {
		*v = int64(b.num(1<<62 - 1))
	}
	if r.MinPart > maxPart || r.PartAlign > 1<<30 {
		b.bad = true
	}
}
