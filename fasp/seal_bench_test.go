package fasp

import (
	"fmt"
	"sync"
	"testing"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// What it would gain if helpers sealed a share of the packets of a turn: docs/decisions/0012-many-sessions.md ("Not done").
func BenchmarkSealTurn(b *testing.B) {
	const size = 1472
	secret := make([]byte, 32)
	payload := make([]byte, size-wire.DataOverhead)
	for _, packets := range []int{16, turnPackets} {
		for _, hands := range []int{1, 2} {
			b.Run(fmt.Sprintf("%d/%d", packets, hands), func(b *testing.B) {
				out := make([]byte, packets*size)
				keys := make([]*trafficKeys, hands)
				for i := range keys {
					keys[i] = newTrafficKeys(secret, AES128)
				}
				share := func(k, pn int) {
					for i := k; i < packets; i += hands {
						h := wire.Short{PN: uint32(pn + i), Data: true}
						keys[k].seal(out[i*size:i*size:(i+1)*size], &h, uint64(pn+i), payload)
					}
				}
				turns := make(chan int)
				var done sync.WaitGroup
				var helpers sync.WaitGroup
				for k := 1; k < hands; k++ {
					helpers.Go(func() {
						for pn := range turns {
							share(k, pn)
							done.Done()
						}
					})
				}
				b.SetBytes(int64(packets * size))
				for n := 0; b.Loop(); n++ {
					done.Add(hands - 1)
					for range hands - 1 {
						turns <- n * packets
					}
					share(0, n*packets)
					done.Wait()
				}
				close(turns)
				helpers.Wait()
			})
		}
	}
}
