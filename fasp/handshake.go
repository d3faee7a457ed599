package fasp

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// alpn names the protocol and its major version in the TLS handshake (docs/protocol.md section 4).
const alpn = "tradewind/1"

// maxCrypto is the most TLS bytes a level may carry (section 12).
const maxCrypto = 16 << 10

// handshake drives TLS 1.3 through CRYPTO frames (section 4). It is a state machine without input or output: the endpoint hands it
// long packets and sends the flights it builds. It is used by one goroutine.
type handshake struct {
	client bool
	hid    uint64
	cid    wire.CID // ours
	token  []byte
	tls    *tls.QUICConn
	levels [3]level // INITIAL, HANDSHAKE, EARLY
	peer   wire.Params
	// peerCID is where short packets have to go.
	peerCID wire.CID
	// verifyErr is what Config.VerifyServer said.
	verifyErr error
	server    Fingerprint
	complete  bool
	heard     bool // something authentic came

	// Early data (section 4.7).
	early       []byte                  // client: the begin of the message stream
	earlySecret []byte                  // of the early exporter, nil if no early data was offered or, at the server, accepted
	refused     bool                    // client: the server did not take the early data
	pieces      []piece                 // server: what came early and was not taken yet
	resume      func(*tls.SessionState) // server: may take EarlyData off a ticket's session
	ticket      []byte                  // server: TLS bytes that follow the handshake
}

// piece is a part of the message stream.
type piece struct {
	offset uint64
	data   []byte
}

type level struct {
	tx, rx     sealer
	hasTx      bool
	hasRx      bool
	out        []byte // CRYPTO bytes, from offset 0
	in         []byte // bytes from offset 0, up to inEnd contiguous
	inHave     []bool
	inEnd      int
	given      int
	nextNumber uint32
}

// longTypes are the types of the long packets of each level.
var longTypes = [3]wire.Type{wire.Initial, wire.Handshake, wire.Early}

// newHandshake makes one side of a handshake. prepare, which may be nil, sets TLS up for tickets.
func newHandshake(cfg *Config, client bool, hid uint64, cid wire.CID, prepare func(*tls.QUICConfig)) *handshake {
	h := &handshake{client: client, hid: hid, cid: cid}
	c, s, _ := initialSecrets(hid)
	l := &h.levels[0]
	l.hasTx, l.hasRx = true, true
	if client {
		l.tx, l.rx = newSealer(c, 16), newSealer(s, 16)
	} else {
		l.tx, l.rx = newSealer(s, 16), newSealer(c, 16)
	}
	t := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{alpn},
		// One key share of 32 bytes keeps each flight in one datagram, which matters on lossy paths
		// (docs/decisions/0001-handshake.md).
		CurvePreferences:       []tls.CurveID{tls.X25519, tls.CurveP256},
		SessionTicketsDisabled: true,
	}
	q := &tls.QUICConfig{TLSConfig: t}
	if client {
		// Names and authorities mean nothing here: identity is the key itself.
		t.InsecureSkipVerify = true
		verify := cfg.VerifyServer
		t.VerifyConnection = func(cs tls.ConnectionState) error {
			h.server = sha256.Sum256(cs.PeerCertificates[0].RawSubjectPublicKeyInfo)
			if verify == nil {
				h.verifyErr = errors.New("no way to verify servers is configured")
			} else {
				h.verifyErr = verify(h.server)
			}
			return h.verifyErr
		}
	} else {
		t.Certificates = []tls.Certificate{cfg.Identity.cert}
	}
	if prepare != nil {
		prepare(q)
	}
	if client {
		h.tls = tls.QUICClient(q)
	} else {
		h.tls = tls.QUICServer(q)
	}
	return h
}

// start begins the handshake with our transport parameters. A server's are set once it knows the client's.
func (h *handshake) start(ctx context.Context, params []byte) error {
	if h.client {
		h.tls.SetTransportParameters(params)
	}
	if err := h.tls.Start(ctx); err != nil {
		return err
	}
	return h.events(nil)
}

func levelOf(l tls.QUICEncryptionLevel) int {
	switch l {
	case tls.QUICEncryptionLevelInitial:
		return 0
	case tls.QUICEncryptionLevelHandshake:
		return 1
	case tls.QUICEncryptionLevelEarly:
		return 2
	}
	return -1
}

// events handles what TLS has to say. answer makes the server's transport parameters from the client's.
func (h *handshake) events(answer func(wire.Params) ([]byte, error)) error {
	for {
		e := h.tls.NextEvent()
		switch e.Kind {
		case tls.QUICNoEvent:
			return nil
		case tls.QUICSetReadSecret:
			if i := levelOf(e.Level); i >= 1 {
				h.levels[i].rx, h.levels[i].hasRx = newSealer(e.Data, 16), true
				h.keepEarly(i, e.Data)
			}
		case tls.QUICSetWriteSecret:
			if i := levelOf(e.Level); i >= 1 {
				h.levels[i].tx, h.levels[i].hasTx = newSealer(e.Data, 16), true
				h.keepEarly(i, e.Data)
			}
		case tls.QUICWriteData:
			if i := levelOf(e.Level); i >= 0 {
				h.levels[i].out = append(h.levels[i].out, e.Data...)
			} else {
				h.ticket = append(h.ticket, e.Data...)
			}
		case tls.QUICResumeSession:
			if h.resume == nil {
				e.SessionState.EarlyData = false
			} else {
				h.resume(e.SessionState)
			}
		case tls.QUICRejectedEarlyData:
			h.refused = true
		case tls.QUICTransportParameters:
			p, err := wire.ParseParams(e.Data)
			if err != nil || p.Datagram < wire.MinDatagram {
				return errors.New("transport parameters out of range")
			}
			h.peer = p
			if !h.client {
				b, err := answer(p)
				if err != nil {
					return err
				}
				h.tls.SetTransportParameters(b)
			}
		case tls.QUICHandshakeDone:
			h.complete = true
		}
	}
}

// packet handles the long packet at the start of b and returns what follows it. Packets that do not open are skipped; the
// error means that the handshake has failed.
func (h *handshake) packet(b []byte, answer func(wire.Params) ([]byte, error)) (rest []byte, err error) {
	hdr, head, end, err := wire.ParseLong(b, !h.client)
	if err != nil || hdr.Version != wire.Version1 || hdr.HID != h.hid {
		return nil, nil
	}
	i := slices.Index(longTypes[:], hdr.Type)
	if i < 0 {
		return nil, nil
	}
	rest = b[end:]
	l := &h.levels[i]
	if !l.hasRx {
		return rest, nil
	}
	frames, err := l.rx.open(nil, uint64(hdr.Number), b[head:end], b[:head])
	if err != nil {
		return rest, nil
	}
	h.heard = true
	h.peerCID = hdr.CID
	var f wire.Frame
	for r := wire.NewReader(frames); r.Len() > 0; {
		if err := wire.ReadFrame(&r, &f); err != nil {
			return nil, errors.New("malformed frame in the handshake")
		}
		if early := i == 2; early != (f.Type == wire.FrameMessage) && f.Type != wire.FramePadding {
			return nil, errors.New("frame not allowed in the handshake")
		}
		switch f.Type {
		case wire.FramePadding:
		case wire.FrameMessage:
			if f.Offset+uint64(len(f.Data)) <= maxEarly {
				h.pieces = append(h.pieces, piece{f.Offset, slices.Clone(f.Data)})
			}
		case wire.FrameCrypto:
			if err := l.add(f.Offset, f.Data); err != nil {
				return nil, err
			}
		case wire.FrameClose:
			return nil, peerError(f.Code, f.Data)
		default:
			return nil, errors.New("frame not allowed in the handshake")
		}
	}
	if l.inEnd == l.given {
		return rest, nil
	}
	data := l.in[l.given:l.inEnd]
	l.given = l.inEnd
	lv := tls.QUICEncryptionLevelInitial
	if i == 1 {
		lv = tls.QUICEncryptionLevelHandshake
	}
	if err := h.tls.HandleData(lv, data); err != nil {
		if h.verifyErr != nil {
			return nil, fmt.Errorf("%w: %w", ErrIdentity, h.verifyErr)
		}
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return rest, h.events(answer)
}

// add puts CRYPTO bytes in order.
func (l *level) add(off uint64, data []byte) error {
	end := off + uint64(len(data))
	if end > maxCrypto {
		return errors.New("handshake too long")
	}
	if n := int(end) - len(l.in); n > 0 {
		l.in = append(l.in, make([]byte, n)...)
		l.inHave = append(l.inHave, make([]bool, n)...)
	}
	copy(l.in[off:], data)
	for i := off; i < end; i++ {
		l.inHave[i] = true
	}
	for l.inEnd < len(l.in) && l.inHave[l.inEnd] {
		l.inEnd++
	}
	return nil
}

// flight builds the datagrams of our current flight, each at most limit bytes; a client's first is padded to pad bytes.
// Every call numbers its packets anew.
func (h *handshake) flight(limit, pad int) [][]byte {
	var out [][]byte
	var cur []byte
	first := 0
	if h.client && h.complete {
		first = 1 // the server has moved on from INITIAL
	}
	for i := first; i < 2; i++ {
		l := &h.levels[i]
		for off := 0; off < len(l.out); {
			room := limit - len(cur) - 64 - len(h.token)
			if room < 200 && len(cur) > 0 {
				out, cur = append(out, cur), nil
				continue
			}
			n := min(room, len(l.out)-off)
			f := wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameCrypto, Offset: uint64(off), Data: l.out[off : off+n]})
			if h.client && i == 0 && len(h.early) == 0 {
				// The padding lies inside the packet, so that it is authenticated.
				size := len(wire.AppendLong(nil, h.long(i), true, 0)) + len(f) + wire.TagLen
				f = append(f, make([]byte, max(0, pad-size))...)
			}
			cur = h.sealLong(cur, i, f)
			off += n
		}
	}
	return h.earlyFlight(out, cur, limit, pad)
}

// close builds a CLOSE for the other side at the best level we have.
func (h *handshake) close(code Code, reason string) []byte {
	i := 0
	if h.levels[1].hasTx && (h.client || h.complete) {
		i = 1
	}
	f := wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameClose, Code: uint64(code), Data: []byte(reason)})
	return h.sealLong(nil, i, f)
}

func (h *handshake) long(i int) *wire.Long {
	return &wire.Long{Type: longTypes[i], Version: wire.Version1, HID: h.hid, CID: h.cid, Token: h.token, Number: h.levels[i].nextNumber}
}

func (h *handshake) sealLong(dst []byte, i int, frames []byte) []byte {
	l := &h.levels[i]
	start := len(dst)
	dst = wire.AppendLong(dst, h.long(i), h.client, len(frames))
	dst = l.tx.seal(dst, start, uint64(l.nextNumber), frames)
	l.nextNumber++
	return dst
}

// exporter returns what proofs of credentials are bound to (section 4.7).
func (h *handshake) exporter() Exporter {
	if h.earlySecret != nil && !h.refused {
		return earlyExporter(h.earlySecret)
	}
	cs := h.tls.ConnectionState()
	return &cs
}

// traffic derives the keys of the session (section 4.6).
func (h *handshake) traffic(c Cipher) (tx, rx *trafficKeys, err error) {
	cs := h.tls.ConnectionState()
	b, err := cs.ExportKeyingMaterial(exporterLabel, nil, 64)
	if err != nil {
		return nil, nil, err
	}
	up, down := newTrafficKeys(b[:32], c), newTrafficKeys(b[32:], c)
	if h.client {
		return up, down, nil
	}
	return down, up, nil
}
