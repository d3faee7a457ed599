package objstore

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// Layout of the header, docs/encryption-at-rest.md section 62.
const (
	headerMagic   = "TWENCRPT"
	headerVersion = 1
	// XChaCha20-Poly1305, for its nonces of 24 bytes: 16 random ones for each body and the index of the segment have room, so
	// that a part may be put again with other bytes. The 12 of AES-GCM would take another key for each body, and AES is slow
	// and leaks by its timing on processors without instructions for it.
	cipherXChaCha = 1
	kdfArgon2id   = 1
	segmentBits   = 16 // log2 of segmentSize

	saltSize  = 16
	idSize    = 32
	checkSize = 16
	macSize   = sha256.Size

	fieldsSize = 8 + 4 + 12 + saltSize + idSize + checkSize // 88: magic, kinds, parameters and the rest
	headerSize = 512                                        // a multiple of the alignment that any platform wants
	macOffset  = headerSize - macSize
)

// kdfParams are how costly the key is: the parameters of argon2id.
type kdfParams struct {
	time    uint32 // passes
	memory  uint32 // KiB
	threads uint32
}

// Bounds of what a header may ask for, so that a hostile one costs seconds and not gigabytes.
const (
	maxKDFTime    = 16
	maxKDFMemory  = 256 << 10 // KiB
	maxKDFThreads = 16
)

func (p kdfParams) check() error {
	if p.time < 1 || p.time > maxKDFTime || p.threads < 1 || p.threads > maxKDFThreads || p.memory < 8*p.threads || p.memory > maxKDFMemory {
		return fmt.Errorf("argon2id with %d passes, %d KiB and %d threads: want 1 to %d, 8 per thread to %d, 1 to %d",
			p.time, p.memory, p.threads, maxKDFTime, maxKDFMemory, maxKDFThreads)
	}
	return nil
}

// header is what stands in front of an encrypted object. It is no secret.
type header struct {
	params kdfParams
	salt   [saltSize]byte
	object [idSize]byte    // random, another one for each object
	check  [checkSize]byte // tells a wrong passphrase
	mac    [macSize]byte   // of all before it
}

// fields returns the bytes before the padding.
func (h *header) fields() []byte {
	b := make([]byte, 0, fieldsSize)
	b = append(b, headerMagic...)
	b = append(b, headerVersion, cipherXChaCha, kdfArgon2id, segmentBits)
	b = binary.BigEndian.AppendUint32(b, h.params.time)
	b = binary.BigEndian.AppendUint32(b, h.params.memory)
	b = binary.BigEndian.AppendUint32(b, h.params.threads)
	b = append(b, h.salt[:]...)
	b = append(b, h.object[:]...)
	return append(b, h.check[:]...)
}

// encode returns the stored form.
func (h *header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, h.fields())
	copy(b[macOffset:], h.mac[:])
	return b
}

// parseHeader reads the stored form. Whether it is authentic is for unlock to say. The errors match ErrNotEncrypted or
// ErrTampered, that of a version not known ErrUnsupported.
func parseHeader(b []byte) (h header, err error) {
	if len(b) < len(headerMagic) || string(b[:len(headerMagic)]) != headerMagic {
		return h, ErrNotEncrypted
	}
	if len(b) != headerSize {
		return h, fmt.Errorf("%w: a header of %d bytes", ErrTampered, len(b))
	}
	if b[8] != headerVersion || b[9] != cipherXChaCha || b[10] != kdfArgon2id || b[11] != segmentBits {
		return h, fmt.Errorf("%w: encryption of version %d, cipher %d, key derivation %d, segments of 2^%d bytes", ErrUnsupported, b[8], b[9], b[10], b[11])
	}
	for _, zero := range b[fieldsSize:macOffset] {
		if zero != 0 {
			return h, fmt.Errorf("%w: the header's padding is not zero", ErrTampered)
		}
	}
	h.readFields(b[:fieldsSize])
	copy(h.mac[:], b[macOffset:])
	if err := h.params.check(); err != nil {
		return header{}, fmt.Errorf("%w: %w", ErrTampered, err)
	}
	return h, nil
}

// readFields reads what stands behind magic and kinds. b has fieldsSize bytes.
func (h *header) readFields(b []byte) {
	b = b[12:]
	h.params = kdfParams{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])}
	b = b[12:]
	b = b[copy(h.salt[:], b):]
	b = b[copy(h.object[:], b):]
	copy(h.check[:], b)
}

// derive is HKDF-SHA256. It fails only for lengths that are never asked for.
func derive(secret, salt []byte, info string, n int) []byte {
	key, err := hkdf.Key(sha256.New, secret, salt, info, n)
	if err != nil {
		panic("BUG: objstore: " + err.Error())
	}
	return key
}

// sealHeader completes a header of which params, salt and object are set, with the key of its salt, and returns what seals
// the object's segments.
func (h *header) sealHeader(key []byte) *segments {
	copy(h.check[:], derive(key, h.salt[:], "tradewind encryption 1: passphrase check", checkSize))
	aead, mac := h.keys(key)
	copy(h.mac[:], mac)
	return &segments{aead: aead, mac: h.mac}
}

// unlock returns what opens the object's segments. The error matches ErrPassphrase or ErrTampered.
func (h *header) unlock(key []byte) (*segments, error) {
	check := derive(key, h.salt[:], "tradewind encryption 1: passphrase check", checkSize)
	if !hmac.Equal(check, h.check[:]) {
		return nil, ErrPassphrase
	}
	aead, mac := h.keys(key)
	if !hmac.Equal(mac, h.mac[:]) {
		return nil, fmt.Errorf("%w: the header is not what was written", ErrTampered)
	}
	return &segments{aead: aead, mac: h.mac}, nil
}

// keys returns the object's cipher and the MAC that its header must have.
func (h *header) keys(key []byte) (aead cipher.AEAD, mac []byte) {
	both := derive(key, h.object[:], "tradewind encryption 1: object", chacha20poly1305.KeySize+macSize)
	aead, err := chacha20poly1305.NewX(both[:chacha20poly1305.KeySize])
	if err != nil {
		panic("BUG: objstore: " + err.Error())
	}
	m := hmac.New(sha256.New, both[chacha20poly1305.KeySize:])
	m.Write(h.encode()[:macOffset])
	return aead, m.Sum(nil)
}

// headerError makes the one *Error of what was found out about a header or a segment.
func headerError(op, key string, err error) error {
	e := &Error{Op: op, Key: key, Kind: Invalid, Err: err}
	switch {
	case errors.Is(err, ErrPassphrase):
		e.Kind, e.Hint = Auth, "the object was encrypted with another passphrase"
	case errors.Is(err, ErrNotEncrypted):
		e.Hint = "read it without encryption"
	case errors.Is(err, ErrUnsupported):
		e.Kind = Unsupported
	case errors.Is(err, ErrTampered):
		e.Hint = "the stored bytes were changed, cut or mixed; asking again does not help"
	}
	return e
}
