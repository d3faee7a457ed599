package s3

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/tradewind-io/tradewind/objstore"
)

const (
	deleteBatch  = 1000
	deleteAtOnce = 16 // where objects can be deleted one by one only
)

// Delete removes objects.
func (d *driver) Delete(ctx context.Context, keys ...string) error {
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	good := make([]string, 0, len(keys))
	for _, k := range keys {
		// minio-go would write another key into its request than one that is not UTF-8.
		if err := checkKey("delete", k); err != nil {
			note(err)
		} else {
			good = append(good, k)
		}
	}
	for batch := range slices.Chunk(good, deleteBatch) {
		if ctx.Err() != nil {
			note(&objstore.Error{Op: "delete", Key: batch[0], Err: context.Cause(ctx)})
			break
		}
		rest := batch
		if len(batch) > 1 && !d.noMulti.Load() {
			var err error
			rest, err = d.deleteBatch(ctx, batch)
			note(err)
		}
		note(d.deleteEach(ctx, rest))
	}
	return first
}

// deleteBatch deletes by one request, and returns the keys that its answer says nothing about.
func (d *driver) deleteBatch(ctx context.Context, keys []string) (rest []string, first error) {
	ctx, c := d.call(ctx, "delete", "")
	open := make(map[string]bool, len(keys))
	for _, k := range keys {
		open[k] = true
	}
	results, err := d.core.RemoveObjectsWithIter(ctx, d.cfg.Bucket, infos(keys), minio.RemoveObjectsOptions{})
	if err != nil {
		return nil, c.fail(ctx, err)
	}
	for r := range results {
		c.key = r.ObjectName
		if r.Err == nil {
			delete(open, r.ObjectName)
			continue
		}
		err := c.fail(ctx, r.Err)
		switch {
		case errors.Is(err, objstore.ErrUnsupported):
			d.noMulti.Store(true)
			return keys, nil
		case errors.Is(err, objstore.ErrNotFound) && !isBucketError(err):
			err = nil
		}
		if r.ObjectName == "" && first == nil {
			return nil, err // of the answer as a whole
		}
		delete(open, r.ObjectName)
		if first == nil {
			first = err
		}
	}
	if ctx.Err() != nil && first == nil {
		return nil, &objstore.Error{Op: "delete", Key: keys[0], Err: context.Cause(ctx)}
	}
	// minio-go says nothing about keys that the store refused with InvalidArgument, and some stores answer with other
	// bytes than they were asked for. Deleting twice does no harm.
	for k := range open {
		rest = append(rest, k)
	}
	return rest, first
}

func isBucketError(err error) bool {
	var e *objstore.Error
	return errors.As(err, &e) && e.Key == ""
}

func infos(keys []string) iter.Seq[minio.ObjectInfo] {
	return func(yield func(minio.ObjectInfo) bool) {
		for _, k := range keys {
			if !yield(minio.ObjectInfo{Key: k}) {
				return
			}
		}
	}
}

// deleteEach deletes one by one, several at a time.
func (d *driver) deleteEach(ctx context.Context, keys []string) error {
	if len(keys) == 1 {
		return d.deleteOne(ctx, keys[0])
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // protects first
	var first error
	next := make(chan string)
	for range min(deleteAtOnce, len(keys)) {
		wg.Go(func() {
			for k := range next {
				if err := d.deleteOne(ctx, k); err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	for _, k := range keys {
		next <- k
	}
	close(next)
	wg.Wait()
	return first
}

func (d *driver) deleteOne(ctx context.Context, key string) error {
	ctx, c := d.call(ctx, "delete", key)
	err := d.core.RemoveObject(ctx, d.cfg.Bucket, key, minio.RemoveObjectOptions{})
	if err == nil {
		return nil
	}
	if err = c.fail(ctx, err); errors.Is(err, objstore.ErrNotFound) && !isBucketError(err) {
		return nil
	}
	return err
}
