package objstore

import "context"

// SetAttr replaces the attributes of the object at key, by a copy onto itself within the store. With an etag that is not
// empty the object must still be that one. Unsupported where Caps.Copy is false.
func (b *Bucket) SetAttr(ctx context.Context, key, etag string, a Attr) error {
	return b.retry(ctx, "set attributes", key, func(ctx context.Context) error {
		_, err := b.drv.Copy(ctx, key, etag, key, &PutOptions{Attr: a})
		return err
	})
}

// SetIfAbsent changes what PutOptions.IfAbsent was when the upload was made. It counts in Complete only, and must not be
// called at the same time.
func (w *Writer) SetIfAbsent(on bool) { w.o.IfAbsent = on }
