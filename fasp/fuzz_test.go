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

// FuzzEndpoint throws datagrams at a listening endpoint and at a client while they have a session with each other: noise, noise with
// the ids of the session or of a handshake, and INITIAL packets that are sealed as they should be, with any frames. The session must
// not notice, and nothing may be kept.
//
// The input is a list of datagrams: one byte says what it is, one how long, then its bytes.
func FuzzEndpoint(f *testing.F) {
	sp := newSpoofer(f)
	hello := wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameCrypto, Data: sp.hello[:100]})
	f.Add([]byte{})
	f.Add(append([]byte{1, byte(len(hello))}, hello...))
	f.Add([]byte{0, 3, 0x80, 1, 2, 4, 5, 1, 2, 3, 4, 5, 2, 4, 1, 1, 1, 1, 3, 2, 0x40, 0x20, 5, 9, 0xe0, 0x54, 0x57, 0, 1, 0, 0, 0, 0})
	f.Add([]byte{1, 1, 0x3f, 1, 3, 5, 0, 0, 1, 5, 0x0e, 0x80, 0x80, 1, 1, 6, 2, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			client := testConfig()
			client.Tickets = new(Tickets)
			w := newWorld(t, simnet.Impair{Delay: 5 * time.Millisecond}, Config{MaxHalfOpen: 16, EarlyData: true}, client)
			c, s := w.connect()
			for n := uint64(1); len(data) >= 2; n++ {
				kind, size := data[0], min(int(data[1]), len(data)-2)
				b := append([]byte(nil), data[2:2+size]...)
				data = data[2+size:]
				from, to := clientAddr, serverAddr
				if kind&0x80 != 0 {
					from, to = to, from
				}
				if kind&0x40 != 0 {
					from = netip.AddrPortFrom(addr(int(n%50)).Addr(), uint16(n))
				}
				switch kind & 0x3f % 6 {
				case 0: // as it is
				case 1: // an INITIAL that opens
					b = sp.frames(n%8+1, nil, b, wire.MinDatagram)
				case 2: // a short packet of the session
					cid := s.cid
					if to == clientAddr {
						cid = c.cid
					}
					h := wire.Short{CID: cid, PN: uint32(n), Data: n%2 == 0}
					b = append(h.Append(nil), append(b, make([]byte, 20)...)...)
				case 3: // a long packet, padded
					h := wire.Long{Type: wire.Type(n % 8), Version: wire.Version1, HID: n % 8, CID: s.cid}
					b = append(wire.AppendLong(nil, &h, true, len(b)), append(b, make([]byte, wire.MinDatagram)...)...)
				case 4: // a RESET or RETRY for what there is
					b = append(wire.AppendReset(nil, c.loop.peerCID, make([]byte, wire.ResetTokenLen)), b...)
				case 5: // several packets in one
					first := sp.frames(n%8+1, nil, b, 0)
					b = append(append(first, first...), b...)
				}
				if len(b) > 0 {
					w.net.Inject(from, to, b)
				}
			}
			synctest.Wait()
			require.LessOrEqual(t, w.server.Stats().HalfOpen, 16)
			exchange(t, c, s, 5000, 1000)
			require.Equal(t, clientAddr.String(), s.RemoteAddr().String())
			time.Sleep(time.Minute)
			exchange(t, s, c, 5000, 1000)
			synctest.Wait()
			for _, e := range []*Endpoint{w.server, w.client} {
				st := e.Stats()
				require.Zero(t, st.HalfOpen)
				require.Equal(t, 1, st.Sessions)
				require.Len(t, e.slots, 1, "connection ids")
				require.Zero(t, e.readers[0].batch.Kept(), "every buffer but the reader's went back")
			}
			w.close()
		})
	})
}
