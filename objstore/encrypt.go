package objstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// What reading an encrypted object can fail with besides ErrPassphrase.
var (
	// ErrTampered says that stored bytes are not what was encrypted: changed, cut, moved or mixed.
	ErrTampered = errors.New("encrypted bytes were changed")
	// ErrNotEncrypted says that an object has no header of WithEncryption.
	ErrNotEncrypted = errors.New("the object is not encrypted")
)

// Encryption is what objects are encrypted with. It never shows the passphrase when it is printed, logged or marshalled;
// as an unexported field of another struct it must not be printed.
type Encryption struct {
	// Passphrase is what the key is made of. It must not be empty. Whoever has the stored bytes can try passphrases at
	// the cost that Time and Memory set, so it should be long.
	Passphrase string
	// Time is the number of passes of argon2id over its memory, 1 to 16; 0 means 3.
	Time int
	// Memory is what argon2id needs, in bytes, a multiple of 1024, from 8 KiB for each thread to 256 MiB; 0 means 64 MiB.
	// Reading needs as much as was set when the object was written.
	Memory int64
	// Threads of argon2id, 1 to 16; 0 means 4.
	Threads int
}

// redacted is what is shown instead.
const redacted = "objstore.Encryption{redacted}"

// String shows no secret.
func (e Encryption) String() string { return redacted }

// Format shows no secret, whatever the verb.
func (e Encryption) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) } // fmt has no use for an error

// LogValue shows no secret.
func (e Encryption) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText shows no secret, in JSON neither.
func (e Encryption) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// params returns the parameters of argon2id.
func (e Encryption) params() (kdfParams, error) {
	p := kdfParams{time: 3, memory: 64 << 10, threads: 4}
	bad := e.Memory%1024 != 0
	set := func(v int64, to *uint32) {
		if v != 0 {
			*to = uint32(min(max(v, 0), 1<<31))
		}
	}
	set(int64(e.Time), &p.time)
	set(e.Memory/1024, &p.memory)
	set(int64(e.Threads), &p.threads)
	err := p.check()
	if err == nil && bad {
		err = fmt.Errorf("memory of %d bytes is no multiple of 1024", e.Memory)
	}
	return p, err
}

// encrypted is the Driver of WithEncryption.
type encrypted struct {
	d      Driver
	caps   Caps
	ring   *keyring
	random io.Reader
	bufs   sync.Pool // of *[]byte, segmentStored long

	mu      sync.Mutex // protects the rest
	headers fifo[headerID, seenHeader]
	begun   fifo[string, string] // by ID of an upload of d, its ID here
}

// WithEncryption returns a Driver that keeps objects of d encrypted with e: what is stored is ciphertext that only the
// passphrase opens, and what is read was written with it, or there is an error. Ranges, parts in any order and going on
// with an upload work as without. Keys, attributes and, nearly, sizes stay to be seen. docs/encryption-at-rest.md is the
// format, with what it protects from and what not.
//
// Sizes are those of the plaintext. Stat and List compute them, and do not look whether an object is encrypted. One that
// cannot be, by its size, is as large as it is stored. Nobody reads what is said to be empty, so Stat says so of an object
// only when it has read it, and else fails as reading does; List does not look. Reading gives ErrPassphrase, ErrNotEncrypted
// or ErrTampered before a byte, or, for damage behind, before any byte that is damaged. A part is a multiple of
// Caps.PartAlign; the source of a part must not change while it is put. The first write, and the first read of what another
// Driver value wrote, take the time and memory of argon2id. Uploads of other Driver values that Uploads lists can be
// aborted, and not gone on with: that takes the ID that Begin returned.
//
// The Driver takes over d. The error is Invalid for an Encryption that cannot be, Unsupported for platforms whose parts
// cannot hold encrypted bytes.
func WithEncryption(d Driver, e Encryption) (Driver, error) {
	const op = "set up encryption"
	params, err := e.params()
	if err == nil && e.Passphrase == "" {
		err = errors.New("the passphrase is empty")
	}
	if err != nil {
		return nil, &Error{Op: op, Kind: Invalid, Err: err}
	}
	caps, err := encryptedCaps(d.Caps())
	if err != nil {
		return nil, &Error{Op: op, Kind: Unsupported, Err: err}
	}
	own := keyID{params: params}
	if _, err := io.ReadFull(rand.Reader, own.salt[:]); err != nil {
		return nil, &Error{Op: op, Err: err}
	}
	return &encrypted{
		d: d, caps: caps, ring: newKeyring(e.Passphrase, own), random: rand.Reader,
		bufs:    sync.Pool{New: func() any { b := make([]byte, segmentStored); return &b }},
		headers: newFIFO[headerID, seenHeader](keptHeaders), begun: newFIFO[string, string](keptUploads),
	}, nil
}

// encryptedCaps returns what is left of a platform's capabilities: limits of stored bytes become limits of plaintext.
func encryptedCaps(c Caps) (Caps, error) {
	align := max(c.PartAlign, 1)
	if headerSize%align != 0 {
		return c, fmt.Errorf("parts must be multiples of %d bytes; encryption can keep to at most %d", align, headerSize)
	}
	// So many segments are a multiple of what the platform wants, stored.
	c.PartAlign = lcm(segmentStored, align) / segmentStored * segmentSize
	maxPut := c.MaxPut
	if maxPut == 0 {
		maxPut = c.MaxPart
	}
	if maxPut > 0 {
		if c.MaxPut = mostPlain(maxPut); c.MaxPut < 1 {
			return c, fmt.Errorf("objects of %d bytes have no room for it", maxPut)
		}
	}
	if c.MaxPart > 0 {
		// Part 0 has the header and, where it is the last, a segment more.
		most := (c.MaxPart - headerSize - segmentOverhead) / segmentStored * segmentSize
		if c.MaxPart = most / c.PartAlign * c.PartAlign; c.MaxPart < max(c.MinPart, 1) {
			return c, errors.New("parts have no room for it")
		}
	}
	if c.MaxPart == 0 {
		c.MaxPart = (1 << 48) / c.PartAlign * c.PartAlign // so that the plan of what is stored keeps to what a Plan may be
	}
	if c.MaxObject > 0 {
		if c.MaxObject = mostPlain(c.MaxObject); c.MaxObject < 1 {
			return c, errors.New("objects have no room for it")
		}
	}
	if c.MaxCopy > 0 {
		c.MaxCopy = max(mostPlain(c.MaxCopy), 1)
	}
	if c.MaxParts > 0 {
		if c.MaxParts--; c.MaxParts == 0 && !c.Ordered {
			return c, errors.New("it needs two parts of an object")
		}
	}
	if c.Store != "" {
		c.Store += "+encrypted" // stored bytes are worth nothing where none decrypts
	}
	return c, nil
}

// Format shows no secret.
func (w *encrypted) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "objstore.WithEncryption{redacted}")
}

// Caps implements Driver.
func (w *encrypted) Caps() Caps { return w.caps }

// Close implements Driver.
func (w *encrypted) Close() error { return w.d.Close() }

// shownPlain is an object of d with its size here. What cannot be encrypted keeps its size: with 0 nobody would read it and
// find out.
func shownPlain(o Object) Object {
	if size, ok := plainSize(o.Size); ok && !o.Folder {
		o.Size = size
	}
	return o
}

// isMarker says whether an object, of so many stored bytes, is a marker of a folder, which is stored as it is.
func isMarker(key string, stored int64) bool { return stored == 0 && strings.HasSuffix(key, "/") }

// Stat implements Driver. One that would be empty is read: who takes it for empty asks for no byte of it, so that
// nothing else would find that it was cut off, or was never encrypted.
func (w *encrypted) Stat(ctx context.Context, key string) (Object, error) {
	o, err := w.d.Stat(ctx, key)
	if err != nil {
		return Object{}, err
	}
	if shown := shownPlain(o); shown.Size > 0 || isMarker(key, o.Size) {
		return shown, nil
	}
	if seen, ok := w.seen(key, o.ETag); ok && seen.stored == o.Size {
		return shownPlain(o), nil // of an empty object it is kept only when its end was found authentic
	}
	rc, _, err := w.Read(ctx, key, 0, -1, o.ETag)
	switch KindOf(err) {
	case Range:
		return shownPlain(o), nil
	case Changed:
	default:
		if err != nil {
			return Object{}, err
		}
		_ = rc.Close() // nobody wants its bytes
	}
	return Object{}, &Error{Op: "stat", Key: key, Kind: Temporary, Err: errors.New("the object was replaced meanwhile")}
}

// List implements Driver.
func (w *encrypted) List(ctx context.Context, o ListOptions) (Page, error) {
	p, err := w.d.List(ctx, o)
	for i := range p.Objects {
		p.Objects[i] = shownPlain(p.Objects[i])
	}
	return p, err
}

// Delete implements Driver.
func (w *encrypted) Delete(ctx context.Context, keys ...string) error {
	return w.d.Delete(ctx, keys...)
}

// Copy implements Driver. The stored bytes are copied as they are: nothing in them depends on the key.
func (w *encrypted) Copy(ctx context.Context, src, etag, dst string, o *PutOptions) (Object, error) {
	obj, err := w.d.Copy(ctx, src, etag, dst, o)
	return shownPlain(obj), err
}

// CopyFrom implements CrossCopier between places with the same passphrase.
func (w *encrypted) CopyFrom(ctx context.Context, src Driver, srcKey, etag, dstKey string, o *PutOptions) (Object, error) {
	src, srcKey = unwrapped(src, srcKey)
	from, ok := src.(*encrypted)
	if !ok || string(from.ring.passphrase) != string(w.ring.passphrase) {
		return Object{}, &Error{Op: "copy", Key: srcKey, Kind: Unsupported, Err: errors.New("the source is not encrypted alike")}
	}
	obj, err := crossCopy(ctx, w.d, from.d, srcKey, etag, dstKey, o)
	return shownPlain(obj), err
}

// Put implements Driver.
func (w *encrypted) Put(ctx context.Context, key string, body *io.SectionReader, o PutOptions) (Object, error) {
	const op = "put"
	if isMarker(key, body.Size()) {
		// The marker of a folder holds nothing, and stores want it to hold nothing.
		return w.d.Put(ctx, key, body, o)
	}
	h, seg, err := w.newHeader(ctx)
	if err != nil {
		return Object{}, failure(ctx, op, key, err)
	}
	s, err := w.newSealing(seg, body)
	if err != nil {
		return Object{}, failure(ctx, op, key, err)
	}
	s.head, s.final = h.encode(), true
	obj, err := w.d.Put(ctx, key, s.section(), o)
	return shownPlain(obj), err
}

// newHeader makes the header of a new object, with the key for writing.
func (w *encrypted) newHeader(ctx context.Context) (*header, *segments, error) {
	key, err := w.ring.key(ctx, w.ring.own)
	if err != nil {
		return nil, nil, err
	}
	h := &header{params: w.ring.own.params, salt: w.ring.own.salt}
	if _, err := io.ReadFull(w.random, h.object[:]); err != nil {
		return nil, nil, err
	}
	return h, h.sealHeader(key), nil
}

func (w *encrypted) newSealing(seg *segments, body *io.SectionReader) (*sealing, error) {
	var attempt [attemptSize]byte
	if _, err := io.ReadFull(w.random, attempt[:]); err != nil {
		return nil, err
	}
	return newSealing(seg, attempt, body, body.Size()), nil
}
