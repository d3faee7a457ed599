package transfer

import (
	"context"
	"fmt"
	"sync"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/objstore"
)

// extents is the receiver's book of the memory that parts may take (docs/protocol-transfer.md section 29.2). What it has
// granted and what is not closed stands for bytes taken from the store's Pool. A nil *extents is that of a place without
// parts.
type extents struct {
	sess  fasp.Session
	share *objstore.Share

	mu      sync.Mutex // protects the rest
	granted uint64
	opened  idSet                  // page numbers plus 1
	open    map[uint64]*openExtent // by the last page
	budget  int64                  // bytes that were granted at most at a time
}

// openExtent is one that blocks have come for and whose memory is in use.
type openExtent struct {
	pages uint32
	file  uint64
	from  int64 // where what it stands for begins: a part, or a block alone
}

// sessionParts is how many parts of the wanted size a session may have open, if the pool has room for them.
const sessionParts = 8

// PageSize is the memory that an extent stands for, in bytes.
const PageSize = pageSize

// InitialBytes is the memory that a sender may use before it knows that there are parts unless fasp.Config.Extents says otherwise.
const InitialBytes = fasp.InitialExtents * pageSize

// newExtents takes a session's share of the store's pool and grants it. It waits while other sessions have all of it.
func newExtents(ctx context.Context, sess fasp.Session, store Store) (*extents, error) {
	p, ok := store.(PartStore)
	if !ok {
		sess.SetExtents(1 << 62)
		return nil, nil
	}
	limits := p.Parts()
	floor, ceiling := limits.room()
	x := &extents{sess: sess, open: make(map[uint64]*openExtent)}
	ready := make(chan struct{})
	share, err := limits.Pool.Join(ctx, floor, ceiling, func() {
		<-ready
		x.grant()
	})
	if err != nil {
		return nil, storeError(CodeInternal, "take memory for parts", "", err)
	}
	x.share = share
	x.granted = uint64(floor / pageSize)
	close(ready)
	x.grant()
	return x, nil
}

// leave gives the share back. Nothing may be open any more.
func (x *extents) leave() {
	if x != nil {
		x.share.Leave()
	}
}

// grant passes on to the sender what the pool has to give.
func (x *extents) grant() {
	x.mu.Lock()
	if n := x.share.Take(1<<50, pageSize); n > 0 {
		x.granted += uint64(n / pageSize)
	}
	granted := x.granted
	x.budget = max(x.budget, x.share.Used())
	x.mu.Unlock()
	x.sess.SetExtents(granted)
}

// room returns how many bytes of parts the session had granted at most.
func (x *extents) room() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.budget
}

// take notes that a block of file came for the extent, which stands for what begins at from. It returns false if the
// extent was closed already. The error is about a sender that takes what was not granted, or takes it twice.
func (x *extents) take(file uint64, from int64, e extent) (bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if o := x.open[e.last]; o != nil {
		if o.file != file || o.from != from || o.pages != e.pages {
			return false, fmt.Errorf("extent %d belongs to another part", e.last)
		}
		return true, nil
	}
	if e.last >= x.granted || e.pages == 0 {
		return false, fmt.Errorf("extent %d was not granted", e.last)
	}
	if x.opened.has(e.last + 1) {
		return false, nil
	}
	for i := range uint64(e.pages) {
		if fresh, ok := x.opened.add(e.last + 1 - i); !fresh || !ok {
			return false, fmt.Errorf("extent %d overlaps another", e.last)
		}
	}
	x.open[e.last] = &openExtent{e.pages, file, from}
	return true, nil
}

// close gives the memory of extents back.
func (x *extents) close(list ...uint64) {
	if x == nil || len(list) == 0 {
		return
	}
	var pages int64
	x.mu.Lock()
	for _, last := range list {
		if o := x.open[last]; o != nil {
			delete(x.open, last)
			pages += int64(o.pages)
		}
	}
	x.mu.Unlock()
	if pages > 0 {
		x.share.Give(pages * pageSize)
		x.grant()
	}
}

// pass closes at once what came for a file that is not wanted. Its error ends the session.
func (x *extents) pass(h *blockHead) error {
	if x == nil || h.Extent.pages == 0 {
		return nil
	}
	x.mu.Lock()
	o := x.open[h.Extent.last]
	x.mu.Unlock()
	if o != nil && o.file == h.File {
		return nil // its part is in use, and closes it
	}
	fresh, err := x.take(h.File, h.Offset, h.Extent)
	if err != nil {
		return protocolError(err)
	}
	if fresh {
		x.close(h.Extent.last)
	}
	return nil
}
