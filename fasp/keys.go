package fasp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

var errOpen = errors.New("packet does not authenticate")

// sealer seals or opens packets of one key (docs/protocol.md sections 4.1 and 5). It is used by one goroutine.
type sealer struct {
	aead  cipher.AEAD
	iv    [12]byte
	nonce [12]byte
}

// expand is HKDF-Expand-SHA256 with one of the protocol's labels.
func expand(secret []byte, label string, n int) []byte {
	b, err := hkdf.Expand(sha256.New, secret, label, n)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return b
}

func newSealer(secret []byte, keyLen int) sealer {
	block, err := aes.NewCipher(expand(secret, "tw key", keyLen))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return sealer{aead: aead, iv: [12]byte(expand(secret, "tw iv", 12))}
}

func (s *sealer) setNonce(n uint64) []byte {
	s.nonce = s.iv
	binary.BigEndian.PutUint64(s.nonce[4:], binary.BigEndian.Uint64(s.iv[4:])^n)
	return s.nonce[:]
}

// seal appends the sealed payload to dst, which ends with the header that is its associated data.
func (s *sealer) seal(dst []byte, head int, n uint64, payload []byte) []byte {
	return s.aead.Seal(dst, s.setNonce(n), payload, dst[head:])
}

// open appends the opened payload to dst.
func (s *sealer) open(dst []byte, n uint64, sealed, head []byte) ([]byte, error) {
	return s.aead.Open(dst, s.setNonce(n), sealed, head)
}

// initialSecrets are those of INITIAL packets (section 4.1).
func initialSecrets(hid uint64) (client, server, retry []byte) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], hid)
	prk, err := hkdf.Extract(sha256.New, b[:], []byte("tradewind v1 initial"))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return expand(prk, "client", 32), expand(prk, "server", 32), expand(prk, "retry", 32)
}

// retryTag authenticates a RETRY packet to the client whose handshake id it carries.
func retryTag(hid uint64, packet []byte) []byte {
	_, _, key := initialSecrets(hid)
	m := hmac.New(sha256.New, key)
	m.Write(packet)
	return m.Sum(nil)[:wire.TagLen]
}

const exporterLabel = "EXPORTER-tradewind-traffic"

// trafficKeys are the keys of one direction of a session, with the phases of section 5.3.
type trafficKeys struct {
	secret []byte
	keyLen int
	clear  bool // payload of data packets in clear
	phase  bool
	cur    sealer
	// Sending: first number of the current phase. Receiving: the same, as far as it has been seen.
	since uint64
	// Receiving.
	prev, next       sealer
	hasPrev, hasNext bool
}

func newTrafficKeys(secret []byte, c Cipher) *trafficKeys {
	n := map[Cipher]int{AES128: 16, AES192: 24, AES256: 32}[c&0x7f]
	return &trafficKeys{secret: secret, keyLen: n, clear: c&0x80 != 0, cur: newSealer(secret, n)}
}

// rekey moves to the next phase, from packet number pn on.
func (k *trafficKeys) rekey(pn uint64) {
	k.secret = expand(k.secret, "tw ku", 32)
	k.prev, k.hasPrev = k.cur, true
	if k.hasNext {
		k.cur, k.hasNext = k.next, false
	} else {
		k.cur = newSealer(k.secret, k.keyLen)
	}
	k.phase = !k.phase
	k.since = pn
}

// seal appends a packet to dst: header, sealed payload, tag.
func (k *trafficKeys) seal(dst []byte, h *wire.Short, pn uint64, payload []byte) []byte {
	start := len(dst)
	h.Phase = k.phase
	dst = h.Append(dst)
	if k.clear && h.Data {
		dst = append(dst, payload...)
		payload = nil
	}
	return k.cur.seal(dst, start, pn, payload)
}

// open opens a packet, appending the payload to dst, which may be the place where it belongs. The error is errOpen; dst's spare
// capacity may have been written to all the same.
func (k *trafficKeys) open(dst []byte, h *wire.Short, pn uint64, packet []byte) ([]byte, error) {
	s, isNext := &k.cur, false
	if h.Phase != k.phase {
		switch {
		case k.hasPrev && pn < k.since:
			s = &k.prev
		default:
			if !k.hasNext {
				k.next, k.hasNext = newSealer(expand(k.secret, "tw ku", 32), k.keyLen), true
			}
			s, isNext = &k.next, true
		}
	}
	head := h.Len()
	sealed := packet[head:]
	aad := packet[:head]
	var clear []byte
	if k.clear && h.Data {
		cut := len(packet) - wire.TagLen
		clear, aad, sealed = packet[head:cut], packet[:cut], packet[cut:]
	}
	out, err := s.open(dst, pn, sealed, aad)
	if err != nil {
		return nil, errOpen
	}
	if clear != nil {
		out = append(out, clear...)
	}
	if isNext {
		k.rekey(pn)
	} else if s == &k.cur && pn < k.since {
		k.since = pn
	}
	return out, nil
}

// pickCipher returns the first of the client's ciphers that the server accepts too.
func pickCipher(offered []byte, accepted []Cipher) (Cipher, bool) {
	for _, o := range offered {
		switch c := Cipher(o); c & 0x7f {
		case AES128, AES192, AES256:
			if len(accepted) == 0 || slices.Contains(accepted, c) {
				return c, true
			}
		}
	}
	return 0, false
}
