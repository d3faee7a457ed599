package udp

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is kept stays as it is when the batch is read into again, and its memory comes back when it is released.
func TestKeep(t *testing.T) {
	suite(t, func(t *testing.T, a, b *Socket) {
		batch := b.NewBatch()
		require.NoError(t, b.SetReadDeadline(time.Now().Add(20*time.Second)))
		type kept struct {
			t    Train
			b    *Buffer
			want []byte
		}
		var list []kept
		for i := range 60 {
			big := i%2 == 0
			want := bytes.Repeat([]byte{byte(i + 1)}, 900)
			if big {
				want = bytes.Repeat([]byte{byte(i + 1)}, 9000)
			}
			require.NoError(t, a.WriteTrains([]Train{{Addr: target(b, a), Buf: want}}))
			for n := 0; n == 0; {
				require.NoError(t, b.ReadBatch(batch))
				for k := range batch.Trains {
					if len(batch.Trains[k].Buf) > 1 {
						kt, kb := batch.Keep(k, batch.Trains[k])
						list = append(list, kept{kt, kb, want})
						n++
					}
				}
			}
		}
		require.Len(t, list, 60)
		require.GreaterOrEqual(t, batch.Kept(), 59)
		for _, k := range list {
			require.Equal(t, k.want, k.t.Buf)
			k.b.Release()
		}
		batch.Done()
		require.LessOrEqual(t, batch.Kept(), 1)
	})
}
