package udp

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TryBatch gets what has come, though nobody else reads; it does nothing while trains of the batch are being dealt with.
func TestTryBatch(t *testing.T) {
	a, b := pair(t, Options{})
	batch := b.NewBatch()
	send := func(s string) { require.NoError(t, a.WriteTrains([]Train{{Addr: b.LocalAddr(), Buf: []byte(s)}})) }
	try := func() (got string) {
		b.TryBatch(batch, func(trains []Train) {
			for i := range trains {
				got += string(trains[i].Buf)
				require.Less(t, trains[i].Age, time.Minute)
			}
		})
		return got
	}
	require.Empty(t, try())
	send("one")
	require.Equal(t, "one", try())
	send("two")
	require.NoError(t, b.ReadBatch(batch))
	require.Equal(t, "two", string(batch.Trains[0].Buf))
	send("three")
	require.Empty(t, try())
	require.Equal(t, "two", string(batch.Trains[0].Buf))
	batch.Done()
	require.Equal(t, "three", try())
	require.NoError(t, b.Close())
	require.Empty(t, try())
}

// TryBatch does not wait for Buffers: its caller may be the one that keeps them all.
func TestTryBatchWithoutBuffers(t *testing.T) {
	a, b := pair(t, Options{})
	batch := b.NewBatch()
	send := func() {
		require.NoError(t, a.WriteTrains([]Train{{Addr: b.LocalAddr(), Buf: bytes.Repeat([]byte{1}, 3*smallSize)}}))
	}
	var kept []*Buffer
	take := func(trains []Train) {
		for i := range trains {
			_, buf := batch.Keep(i, trains[i])
			kept = append(kept, buf)
		}
	}
	for range 2 * maxLarge {
		send()
		b.TryBatch(batch, take)
	}
	require.LessOrEqual(t, len(kept), maxLarge)
	before := len(kept)
	for _, buf := range kept {
		buf.Release()
	}
	b.TryBatch(batch, take)
	require.Greater(t, len(kept), before)
	for _, buf := range kept[before:] {
		buf.Release()
	}
}
