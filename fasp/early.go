package fasp

import (
	"encoding/binary"
	"errors"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// maxEarly is how many bytes of the message stream go early: no more than four datagrams hold (docs/protocol.md section 4.7).
const maxEarly = 3 << 10

// maxUnconfirmed is the most IP bytes that a server sends in a session before it has the client's Finished (section 4.7).
const maxUnconfirmed = 128 << 10

// Exporter is what proofs of credentials are bound to: a Conn, or one that is on its way (Config.Opening).
type Exporter interface {
	// ExportKeyingMaterial is that of Conn.
	ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error)
}

// earlyExporter is the exporter of a session whose early data was accepted: the secret of section 4.7.
type earlyExporter []byte

func (e earlyExporter) ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error) {
	if n <= 0 || n > 255*32 {
		return nil, errors.New("fasp: length of keying material out of range")
	}
	info := append(append([]byte(label), 0), context...)
	return expand(e, string(info), n), nil
}

// keepEarly derives the early exporter from the secret of level i, if that is the early one.
func (h *handshake) keepEarly(i int, secret []byte) {
	if i == 2 {
		h.earlySecret = expand(secret, "tw early exporter", 32)
	}
}

// earlyFlight adds the early data of a client to its first flight: behind the ClientHello in its datagram, and in as many more as it takes. The
// datagram of the ClientHello is as long as an INITIAL has to be.
func (h *handshake) earlyFlight(out [][]byte, cur []byte, limit, pad int) [][]byte {
	early := h.early
	if h.complete {
		early = nil
	}
	for off := 0; off < len(early); {
		const overhead = 64 // of the packet and the frame, at most
		room := limit - len(cur) - overhead
		if room < 100 {
			if off == 0 { // a ClientHello that leaves no room has to be padded all the same
				size := len(cur) + len(wire.AppendLong(nil, h.long(2), true, 0)) + wire.TagLen
				cur = h.sealLong(cur, 2, make([]byte, max(1, pad-size)))
			}
			out, cur = append(out, cur), nil
			continue
		}
		n := min(room, len(early)-off)
		f := wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameMessage, Offset: uint64(off), Data: early[off : off+n]})
		if first := len(out) == 0; first {
			size := len(cur) + len(wire.AppendLong(nil, h.long(2), true, 0)) + len(f) + wire.TagLen
			f = append(f, make([]byte, max(0, pad-size))...)
		}
		cur = h.sealLong(cur, 2, f)
		off += n
	}
	if len(cur) > 0 {
		out = append(out, cur)
	}
	return out
}

// appendStream appends messages as they stand in the message stream (section 5.2), up to max bytes in all.
func appendStream(b []byte, messages [][]byte, limit int) []byte {
	for _, m := range messages {
		if len(b) >= limit {
			break
		}
		b = append(binary.AppendUvarint(b, uint64(len(m))), m...)
	}
	return b[:min(len(b), limit)]
}
