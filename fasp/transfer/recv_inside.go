package transfer

import (
	"context"

	"github.com/tradewind-io/tradewind/objstore"
)

// sameStore returns from as a BucketStore if what stands there can be copied to the place to without passing here, else nil.
func sameStore(from, to Store) *BucketStore {
	src, ok := from.(*BucketStore)
	if !ok {
		return nil
	}
	dst, ok := to.(*BucketStore)
	if !ok {
		return nil
	}
	a, b := src.b.Caps(), dst.b.Caps()
	if a.Store == "" || a.Store != b.Store || !b.Copy {
		return nil
	}
	return src
}

// copyInside takes f from where it stands in the same store, if it can be.
func (r *receiver) copyInside(f *rfile) bool {
	if r.inside == nil || f.ent.Origin == "" {
		return false
	}
	limit := r.inside.b.Caps().MaxCopy
	if limit > 0 && f.ent.Size > limit {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stage != stageDeciding || f.noReplace {
		return false // what may not be replaced is compared as it comes
	}
	f.stage = stageSealing
	rec := r.record(&f.ent)
	r.commit.push(&sealedFile{id: f.ent.ID, final: f.final, rec: rec, sealed: &insideCopy{
		to: r.store.(*BucketStore), from: r.inside, origin: f.ent.Origin, name: f.name, size: f.ent.Size,
	}})
	return true
}

// insideCopy is a file that stands under another name in the same store.
type insideCopy struct {
	from, to     *BucketStore
	origin, name string
	size         int64
}

// Publish implements Sealed.
func (c *insideCopy) Publish(ctx context.Context, _ Sync, replace bool) error {
	o, err := objstore.Copy(ctx, c.to.b, c.to.tree.Key(c.name), c.from.b, c.from.tree.Key(c.origin), objstore.CopyOptions{IfAbsent: !replace})
	if err == nil && o.Size != c.size {
		return fail(CodeDiskRead, "copy", c.name, ErrChanged)
	}
	return err
}

// Discard implements Sealed: there is nothing.
func (c *insideCopy) Discard(context.Context) error { return nil }
