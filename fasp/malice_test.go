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

// rawClient is a client that does the handshake as it should and then sends what the test says, sealed with the session's keys.
type rawClient struct {
	t      *testing.T
	pc     *simnet.PacketConn
	to     netip.AddrPort
	h      *handshake
	tx, rx *trafficKeys
	pn     uint64
}

func dialRaw(t *testing.T, w *world, from netip.AddrPort) *rawClient {
	t.Helper()
	return dialRawWith(t, w, from, 0)
}

func dialRawWith(t *testing.T, w *world, from netip.AddrPort, features uint64) *rawClient {
	t.Helper()
	pc, err := w.net.Listen(from)
	require.NoError(t, err)
	cfg := testConfig().withDefaults(false)
	c := &rawClient{t: t, pc: pc, to: w.at, h: newHandshake(&cfg, true, randomUint64(), 77)}
	p := wire.Params{Datagram: 1472, Credit: 1 << 20, Extents: 1 << 62, IdleMS: 60_000, Ciphers: []byte{1}, Features: features, Largest: 8972}
	require.NoError(t, c.h.start(t.Context(), p.Append(nil)))
	c.write(c.h.flight(1472, wire.MinDatagram)...)
	for !c.h.complete {
		for data := c.read(); len(data) > 0; {
			data, err = c.h.packet(data, nil)
			require.NoError(t, err)
		}
	}
	c.tx, c.rx, err = c.h.traffic(AES128)
	require.NoError(t, err)
	c.write(c.h.flight(1472, 0)...)
	return c
}

func (c *rawClient) write(datagrams ...[]byte) {
	for _, d := range datagrams {
		_, err := c.pc.WriteToUDPAddrPort(d, c.to)
		require.NoError(c.t, err)
	}
}

func (c *rawClient) read() []byte {
	b := make([]byte, 2000)
	require.NoError(c.t, c.pc.SetReadDeadline(time.Now().Add(5*time.Second)))
	n, _, err := c.pc.ReadFromUDPAddrPort(b)
	require.NoError(c.t, err)
	return b[:n]
}

// send sends an authentic packet under the next number.
func (c *rawClient) send(h wire.Short, payload []byte) {
	h.CID, h.PN = c.h.peerCID, uint32(c.pn)
	c.write(c.tx.seal(nil, &h, c.pn, payload))
	c.pn++
}

func (c *rawClient) frames(f ...wire.Frame) {
	var b []byte
	for i := range f {
		b = wire.AppendFrame(b, &f[i])
	}
	c.send(wire.Short{}, b)
}

// closed waits for the server's CLOSE.
func (c *rawClient) closed() wire.Frame {
	for {
		data := c.read()
		h, err := wire.ParseShort(data)
		if err != nil || h.Data {
			continue
		}
		b, err := c.rx.open(nil, &h, uint64(h.PN), data)
		require.NoError(c.t, err)
		var f wire.Frame
		for r := wire.NewReader(b); r.Len() > 0; {
			require.NoError(c.t, wire.ReadFrame(&r, &f))
			if f.Type == wire.FrameClose {
				return f
			}
		}
	}
}

// A peer that authenticates and breaks the rules loses its session, is told so with code 2, and harms no other (section 1.4).
func TestProtocolViolations(t *testing.T) {
	symbol := make([]byte, 1438)
	for name, offend := range map[string]func(c *rawClient){
		"unknown frame":             func(c *rawClient) { c.send(wire.Short{}, []byte{0x3f}) },
		"frame beyond the types":    func(c *rawClient) { c.send(wire.Short{}, []byte{0x80}) },
		"cut frame":                 func(c *rawClient) { c.send(wire.Short{}, []byte{wire.FrameMessage, 0, 9, 1}) },
		"CRYPTO":                    func(c *rawClient) { c.frames(wire.Frame{Type: wire.FrameCrypto, Data: []byte{1}}) },
		"second of two frames":      func(c *rawClient) { c.send(wire.Short{}, []byte{wire.FramePing, 0x3f}) },
		"length not minimal":        func(c *rawClient) { c.send(wire.Short{}, []byte{wire.FrameMessage, 0x80, 0, 1, 1}) },
		"empty message":             func(c *rawClient) { c.frames(wire.Frame{Type: wire.FrameMessage, Data: []byte{0}}) },
		"message of 64 KiB and one": func(c *rawClient) { c.frames(wire.Frame{Type: wire.FrameMessage, Data: []byte{0x81, 0x80, 4}}) },
		"report of packets not sent": func(c *rawClient) {
			c.frames(wire.Frame{Type: wire.FrameReport, Report: wire.Report{Number: 1, Highest: 1 << 40}})
		},
		"reason too long":     func(c *rawClient) { c.frames(wire.Frame{Type: wire.FrameClose, Data: make([]byte, 1025)}) },
		"symbol too long":     func(c *rawClient) { c.send(wire.Short{Data: true}, make([]byte, 1439)) },
		"symbol too short":    func(c *rawClient) { c.send(wire.Short{Data: true}, symbol[:100]) },
		"size class":          func(c *rawClient) { c.send(wire.Short{Data: true, Class: 1}, symbol) },
		"symbol beyond 1 MiB": func(c *rawClient) { c.send(wire.Short{Data: true, Symbol: 730}, symbol) },
		"highest symbol":      func(c *rawClient) { c.send(wire.Short{Data: true, Last: true, Symbol: 65535}, symbol) },
		"two ends": func(c *rawClient) {
			c.send(wire.Short{Data: true, Last: true, Symbol: 3}, symbol)
			c.send(wire.Short{Data: true, Last: true, Symbol: 4}, symbol)
		},
		"far block": func(c *rawClient) { c.send(wire.Short{Data: true, Block: 1 << 30}, symbol) },
		"credit": func(c *rawClient) {
			for i := range uint32(20) {
				c.send(wire.Short{Data: true, Block: i, Symbol: 700}, symbol)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simnet.Impair{Delay: 10 * time.Millisecond}, Config{Window: 4 << 20, WindowMax: 4 << 20}, testConfig())
				good, s := w.connect()
				bad := dialRaw(t, w, netip.MustParseAddrPort("10.0.0.9:9"))
				victim, err := w.server.Accept(t.Context())
				require.NoError(t, err)
				bad.send(wire.Short{}, []byte{wire.FramePing})
				offend(bad)
				f := bad.closed()
				require.Equal(t, uint64(CodeProtocol), f.Code)
				require.NotEmpty(t, f.Data)
				<-victim.Done()
				var p *ProtocolError
				require.ErrorAs(t, victim.Err(), &p)
				exchange(t, good, s, 100_000, 10_000)
				bad.pc.Close()
				w.close()
			})
		})
	}
}

// What looks odd but breaks no rule is put up with.
func TestNoViolations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, simnet.Impair{Delay: 10 * time.Millisecond}, Config{}, testConfig())
		c := dialRaw(t, w, netip.MustParseAddrPort("10.0.0.9:9"))
		s, err := w.server.Accept(t.Context())
		require.NoError(t, err)
		c.frames(wire.Frame{Type: 0x55, Data: []byte("an extension")}, wire.Frame{Type: wire.FramePadding}, wire.Frame{Type: wire.FramePing})
		c.send(wire.Short{}, nil)
		c.frames(wire.Frame{Type: wire.FramePathResponse, Data: make([]byte, 8)}, wire.Frame{Type: wire.FramePathChallenge, Data: make([]byte, 8)})
		c.send(wire.Short{Echo: 999}, []byte{wire.FramePing})
		c.send(wire.Short{Data: true, Last: true, Symbol: 1}, []byte{7})
		c.pn += 1 << 20 // numbers may be left out
		c.send(wire.Short{Data: true}, make([]byte, 1438))
		b, err := s.ReceiveBlock(t.Context())
		require.NoError(t, err)
		require.Len(t, b.Data, 1439)
		require.Equal(t, byte(7), b.Data[1438])
		b.Release()
		require.NoError(t, s.Err())
		c.frames(wire.Frame{Type: wire.FrameClose, Code: uint64(CodeApplication) + 5, Data: []byte("a\nb\xff c")})
		<-s.Done()
		var p *PeerError
		require.ErrorAs(t, s.Err(), &p)
		require.Equal(t, PeerError{CodeApplication + 5, "ab c"}, *p)
		c.pc.Close()
		w.close()
	})
}
