package objstore

import (
	"context"
	"errors"
)

// unwrapped returns the Driver and key below wrappers that do not change what is stored, so that a Driver that can copy
// from another place knows that place.
func unwrapped(d Driver, key string) (Driver, string) {
	for {
		switch w := d.(type) {
		case *prefixed:
			d, key = w.d, w.prefix+key
		case *limited:
			d = w.d
		case *retried:
			d = w.d
		default:
			return d, key
		}
	}
}

// crossCopy is CrossCopier.CopyFrom of the Driver below a wrapper.
func crossCopy(ctx context.Context, dst, src Driver, srcKey, etag, dstKey string, o *PutOptions) (Object, error) {
	cross, ok := dst.(CrossCopier)
	if !ok {
		return Object{}, &Error{Op: "copy", Key: dstKey, Kind: Unsupported, Err: errors.New("this storage copies within one place only")}
	}
	src, srcKey = unwrapped(src, srcKey)
	return cross.CopyFrom(ctx, src, srcKey, etag, dstKey, o)
}
