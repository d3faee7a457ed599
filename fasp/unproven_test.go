package fasp

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// Strangers, whose windows are large, share a memory that is not; who has proved itself gets what it sent all the same.
func TestStrangersShareMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, window = 2 << 20, 16 << 20
		w := newWorld(t, simnet.Impair{Rate: 100e6, Delay: 10 * time.Millisecond}, Config{Window: window, WindowMax: window, Unproven: most}, testConfig())
		defer w.close()
		var in []*Conn
		for range 3 {
			from, to := w.connect()
			in = append(in, to)
			go func() {
				for range 32 {
					b, err := from.NewBlock(t.Context(), 256<<10)
					if err != nil || from.SendBlock(t.Context(), b) != nil {
						return
					}
				}
			}()
		}
		time.Sleep(5 * time.Second) // virtual
		held := w.server.unproven.Load()
		require.GreaterOrEqual(t, held, int64(most), "they sent more than there is room for")
		require.LessOrEqual(t, held, int64(most+len(in)*bufferClasses[len(bufferClasses)-1]))
		require.Positive(t, w.refused(in...))

		proven := in[0]
		proven.SetWindow(window, window)
		synctest.Wait() // no time passes: the strangers may take more when it does
		require.Less(t, w.server.unproven.Load(), held, "what the proven session holds is not the strangers'")
		for range 32 {
			b, err := proven.ReceiveBlock(t.Context())
			require.NoError(t, err)
			require.Len(t, b.Data, 256<<10)
			b.Release()
		}
		for _, c := range in {
			c.Close(CodeDone, "")
		}
		synctest.Wait()
		time.Sleep(time.Second)
		require.Zero(t, w.server.unproven.Load())
	})
}

// Blocks that strangers only name take memory, too, and a packet names hundreds.
func TestStrangersNameFewBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, window = 1 << 20, 128 << 20
		w := newWorld(t, simnet.Impair{Rate: 100e6, Delay: 10 * time.Millisecond}, Config{Window: window, WindowMax: window, Unproven: most}, testConfig())
		defer w.close()
		var in []*Conn
		for i := range 2 {
			raw := dialRawWith(t, w, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(5000+i)), wire.FeatureParity)
			to, err := w.server.Accept(t.Context())
			require.NoError(t, err)
			in = append(in, to)
			for block := uint32(0); block < 20_000; {
				var body []byte
				for range 100 {
					body = wire.AppendBlockSize(body, block, 1)
					block++
				}
				raw.frames(wire.Frame{Type: wire.FrameBlockSize, Data: body})
				time.Sleep(time.Millisecond) // virtual
			}
		}
		synctest.Wait()
		named := in[0].loop.core.Begun + in[1].loop.core.Begun
		require.Positive(t, named)
		require.LessOrEqual(t, named, uint64(most/blockMemory+100*len(in)))
	})
}

// Messages of strangers take memory like blocks, but for the first ones: by these a session proves itself, however little memory there is.
func TestStrangersSendFewMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 20
		w := newWorld(t, simnet.Impair{Rate: 100e6, Delay: 10 * time.Millisecond}, Config{Unproven: most}, testConfig())
		defer w.close()
		held := 0
		for i := range 4 {
			raw := dialRaw(t, w, netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(5000+i)))
			to, err := w.server.Accept(t.Context())
			require.NoError(t, err)
			msg := append([]byte{0xe7, 7}, make([]byte, 999)...) // 999 bytes
			for n := range 1500 {
				raw.frames(wire.Frame{Type: wire.FrameMessage, Offset: uint64(n * len(msg)), Data: msg})
				time.Sleep(time.Millisecond) // virtual
			}
			synctest.Wait()
			got := 0
			for _, m := range to.messages {
				got += len(m)
			}
			require.GreaterOrEqual(t, got, 100<<10, "session %d", i)
			held += got
		}
		require.LessOrEqual(t, held, most+4*(128<<10))
	})
}
