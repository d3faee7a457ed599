package transfer

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

// slowNotes is a store that takes no note of an upload before the request is cancelled.
type slowNotes struct {
	*memstore.Store
	begun chan struct{}
	taken bool // such a note is there all the same
}

func (d *slowNotes) Put(ctx context.Context, key string, body *io.SectionReader, o objstore.PutOptions) (objstore.Object, error) {
	if !strings.HasSuffix(key, objstore.UploadSuffix) {
		return d.Store.Put(ctx, key, body, o)
	}
	d.begun <- struct{}{}
	<-ctx.Done()
	if d.taken {
		if _, err := d.Store.Put(context.WithoutCancel(ctx), key, body, o); err != nil {
			return objstore.Object{}, err
		}
	}
	return objstore.Object{}, context.Cause(ctx)
}

// A file that is given up at the moment in which its upload begins leaves nothing in the store.
func TestGivenUpAsTheUploadBegins(t *testing.T) {
	for _, taken := range []bool{false, true} {
		d := &slowNotes{Store: memstore.New(), begun: make(chan struct{}), taken: taken}
		r := newBucketRig(t, d, defaultPool)
		s := r.serve.Store.(*BucketStore)
		tgt, err := s.Create(t.Context(), "in/f", Attr{Size: 4 * testPart, Block: testPart})
		require.NoError(t, err)
		tgt.(PartTarget).Watch(func(int, int64, error) {})
		_, err = tgt.WriteAt(make([]byte, testPart), 0)
		require.NoError(t, err)
		<-d.begun
		require.NoError(t, tgt.Discard(t.Context()))
		r.settled()
	}
}
