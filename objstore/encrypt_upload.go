package objstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// keptUploads is how many open uploads of its own a Driver knows, to list them with their IDs.
const keptUploads = 1024

// The ID of an upload (docs/encryption-at-rest.md section 65) carries the header, so that another process with the
// passphrase can go on with it. One that is only known from a listing has none.
const (
	idWith    = "e1."
	idWithout = "e0."
	idHeader  = (fieldsSize + macSize) * 4 / 3 // in base64; the size is a multiple of 3
)

// uploadID returns the ID here of an upload of the inner driver.
func uploadID(h *header, inner string) string {
	return idWith + base64.RawURLEncoding.EncodeToString(append(h.fields(), h.mac[:]...)) + "." + inner
}

// parseUploadID returns the ID of the inner driver, and the header if there is one in it. The error matches ErrNoUpload
// for what cannot be an ID, else it is that of parseHeader.
func parseUploadID(id string) (h *header, inner string, err error) {
	none := &Error{Kind: NoUpload, Err: errors.New("it is not the ID of an encrypted upload")}
	if inner, ok := strings.CutPrefix(id, idWithout); ok {
		return nil, inner, nil
	}
	rest, ok := strings.CutPrefix(id, idWith)
	if !ok || len(rest) <= idHeader || rest[idHeader] != '.' {
		return nil, "", none
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest[:idHeader])
	if err != nil {
		return nil, "", none
	}
	full := make([]byte, headerSize)
	copy(full, b[:fieldsSize])
	copy(full[macOffset:], b[fieldsSize:])
	parsed, err := parseHeader(full)
	return &parsed, rest[idHeader+1:], err
}

// sealedPlan returns the plan of the stored bytes: the header makes part 0 larger.
func sealedPlan(p Plan) Plan {
	p.First = p.First / segmentSize * segmentStored
	p.Step = p.Step / segmentSize * segmentStored
	p.Max = p.Max / segmentSize * segmentStored
	p.Head = headerSize
	return p
}

// inner returns the upload as the inner driver has it.
func innerUpload(u Upload, id string) Upload {
	u.ID, u.Plan = id, sealedPlan(u.Plan)
	if u.Size >= 0 {
		u.Size = storedSize(u.Size)
	}
	return u
}

// Begin implements Driver.
func (w *encrypted) Begin(ctx context.Context, u Upload, o PutOptions) (Upload, error) {
	const op = "begin upload"
	if p := u.Plan; !p.Valid() || p.First%w.caps.PartAlign != 0 || p.Step%w.caps.PartAlign != 0 || p.Max%segmentSize != 0 || p.Head != 0 {
		if ctx.Err() != nil {
			return Upload{}, failure(ctx, op, u.Key, context.Cause(ctx))
		}
		return Upload{}, &Error{Op: op, Key: u.Key, Kind: Invalid, Err: fmt.Errorf("parts of %d bytes; with encryption they are multiples of %d", p.First, w.caps.PartAlign)}
	}
	h, _, err := w.newHeader(ctx)
	if err != nil {
		return Upload{}, failure(ctx, op, u.Key, err)
	}
	got, err := w.d.Begin(ctx, innerUpload(u, ""), o)
	if err != nil {
		return Upload{}, err
	}
	u.ID = uploadID(h, got.ID)
	w.mu.Lock()
	w.begun.put(got.ID, u.ID)
	w.mu.Unlock()
	return u, nil
}

// unlocked returns the header of an upload and what seals its segments, once it is certain that the passphrase is the one
// it was begun with.
func (w *encrypted) unlocked(ctx context.Context, op string, u Upload) (h *header, seg *segments, inner Upload, err error) {
	h, id, err := parseUploadID(u.ID)
	var e *Error
	switch {
	case errors.As(err, &e):
		return nil, nil, Upload{}, failure(ctx, op, u.Key, err)
	case err != nil:
		return nil, nil, Upload{}, headerError(op, u.Key, err)
	case h == nil:
		return nil, nil, Upload{}, &Error{Op: op, Key: u.Key, Kind: Invalid, Err: errors.New("the ID is from a listing; to go on takes the one that the upload was begun with")}
	}
	key, err := w.ring.key(ctx, keyID{h.params, h.salt})
	if err != nil {
		return nil, nil, Upload{}, failure(ctx, op, u.Key, err)
	}
	if seg, err = h.unlock(key); err != nil {
		return nil, nil, Upload{}, headerError(op, u.Key, err)
	}
	return h, seg, innerUpload(u, id), nil
}

// innerID returns the upload for calls that need no key.
func (w *encrypted) innerID(ctx context.Context, op string, u Upload) (Upload, error) {
	_, id, err := parseUploadID(u.ID)
	if err != nil {
		if KindOf(err) == NoUpload {
			return Upload{}, failure(ctx, op, u.Key, err)
		}
		return Upload{}, headerError(op, u.Key, err)
	}
	return innerUpload(u, id), nil
}

// PutPart implements Driver.
func (w *encrypted) PutPart(ctx context.Context, u Upload, spec PartSpec, body *io.SectionReader) (Part, error) {
	op := fmt.Sprintf("put part %d", spec.N)
	h, seg, inner, err := w.unlocked(ctx, op, u)
	if err != nil {
		return Part{}, err
	}
	size := body.Size()
	if spec.N < 0 || w.caps.MaxParts > 0 && !w.caps.Ordered && spec.N >= w.caps.MaxParts || !u.Plan.Valid() || spec.Off != u.Plan.Offset(spec.N) || spec.Off%segmentSize != 0 || size > u.Plan.PartSize(spec.N) {
		return Part{}, &Error{Op: op, Key: u.Key, Kind: Invalid, Err: fmt.Errorf("%d bytes at %d are not what the plan says", size, spec.Off)}
	}
	s, err := w.newSealing(seg, body)
	if err != nil {
		return Part{}, failure(ctx, op, u.Key, err)
	}
	s.first = spec.Off / segmentSize
	// Only the last part can be a short one, whether the caller said so or not. A full one has no room for the last segment
	// in its plan; Complete puts that.
	s.final = size < u.Plan.PartSize(spec.N)
	if spec.N == 0 {
		s.head = h.encode()
	}
	innerSpec := PartSpec{N: spec.N, Off: inner.Plan.Offset(spec.N), Last: s.final}
	p, err := w.d.PutPart(ctx, inner, innerSpec, s.section())
	if err != nil {
		return Part{}, err
	}
	if p.Size != s.stored() {
		return Part{}, &Error{Op: op, Key: u.Key, Kind: Corrupt, Err: fmt.Errorf("the store has %d bytes of %d", p.Size, s.stored())}
	}
	return plainPart(p), nil
}

// Whether a part has the object's last segment does not follow from its size here; its ETag tells.
const (
	tagMore = "+more"
	tagLast = "+last"
)

// plainPart returns a part of the inner driver as it is here. A size of -1 is that of one that was not written here.
func plainPart(p Part) Part {
	body := p.Size
	if p.N == 0 {
		body -= headerSize
	}
	switch rest := body % segmentStored; {
	case body <= 0 || rest > 0 && rest < segmentOverhead:
		p.Size = -1
		p.ETag += tagLast
	case rest == 0:
		p.Size = body / segmentStored * segmentSize
		p.ETag += tagMore
	default:
		p.Size = body/segmentStored*segmentSize + rest - segmentOverhead
		p.ETag += tagLast
	}
	return p
}

// sealedPart is the opposite of plainPart; last says whether the part has the last segment.
func sealedPart(p Part) (inner Part, last, ok bool) {
	etag, last := strings.CutSuffix(p.ETag, tagLast)
	if !last {
		if etag, ok = strings.CutSuffix(p.ETag, tagMore); !ok {
			return p, false, false
		}
	}
	if p.Size < 0 || !last && (p.Size == 0 || p.Size%segmentSize != 0) {
		return p, false, false
	}
	p.ETag = etag
	size := p.Size
	if p.Size = size / segmentSize * segmentStored; last {
		p.Size = sealedSize(size)
	}
	if p.N == 0 {
		p.Size += headerSize
	}
	return p, last, true
}

// closing says whether a part of the inner driver is one that Complete put: a last segment without bytes.
func closing(p Part) bool { return p.N > 0 && p.Size == segmentOverhead }

// Parts implements Driver.
func (w *encrypted) Parts(ctx context.Context, u Upload) ([]Part, error) {
	inner, err := w.innerID(ctx, "list parts", u)
	if err != nil {
		return nil, err
	}
	list, err := w.d.Parts(ctx, inner)
	if err != nil {
		return nil, err
	}
	parts := make([]Part, 0, len(list))
	for _, p := range list {
		if !closing(p) {
			parts = append(parts, plainPart(p))
		}
	}
	return parts, nil
}

// Complete implements Driver. Where the last part is a full one, the last segment, without bytes, is one part more.
func (w *encrypted) Complete(ctx context.Context, u Upload, parts []Part, o PutOptions) (Object, error) {
	const op = "complete upload"
	_, seg, inner, err := w.unlocked(ctx, op, u)
	if err != nil {
		return Object{}, err
	}
	if !u.Plan.Valid() {
		return Object{}, &Error{Op: op, Key: u.Key, Kind: Invalid, Err: errors.New("the plan of the upload is none")}
	}
	list := make([]Part, 0, len(parts)+1)
	for i, p := range parts {
		s, last, ok := sealedPart(p)
		// Segments are counted by the plan: with parts of another one the object could never be read.
		planned := u.Plan.PartSize(i)
		if !ok || p.N != i || last && (i < len(parts)-1 || p.Size >= planned) || !last && p.Size != planned {
			return Object{}, &Error{Op: op, Key: u.Key, Kind: BadPart, Err: fmt.Errorf("part %d is not one of those that were put", p.N)}
		}
		list = append(list, s)
		if last || i < len(parts)-1 {
			continue
		}
		p, err := w.close(ctx, op, u, inner, seg, i+1)
		if err != nil {
			return Object{}, err
		}
		list = append(list, p)
	}
	obj, err := w.d.Complete(ctx, inner, list, o)
	if err != nil {
		return Object{}, err
	}
	w.forget(inner.ID)
	return shownPlain(obj), nil
}

// close puts a last segment without bytes, as part n.
func (w *encrypted) close(ctx context.Context, op string, u, inner Upload, seg *segments, n int) (Part, error) {
	s, err := w.newSealing(seg, io.NewSectionReader(strings.NewReader(""), 0, 0))
	if err != nil {
		return Part{}, failure(ctx, op, u.Key, err)
	}
	s.first, s.final = u.Plan.Offset(n)/segmentSize, true
	return w.d.PutPart(ctx, inner, PartSpec{N: n, Off: inner.Plan.Offset(n), Last: true}, s.section())
}

// Abort implements Driver.
func (w *encrypted) Abort(ctx context.Context, u Upload) error {
	inner, err := w.innerID(ctx, "abort upload", u)
	if KindOf(err) == NoUpload && ctx.Err() == nil {
		return nil
	}
	if err != nil {
		return err
	}
	if err = w.d.Abort(ctx, inner); err == nil {
		w.forget(inner.ID)
	}
	return err
}

func (w *encrypted) forget(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun.remove(id)
}

// Uploads implements Driver.
func (w *encrypted) Uploads(ctx context.Context, prefix, token string) ([]UploadInfo, string, error) {
	list, next, err := w.d.Uploads(ctx, prefix, token)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range list {
		id, ok := w.begun.get(list[i].ID)
		if !ok {
			id = idWithout + list[i].ID
		}
		list[i].ID = id
	}
	return list, next, err
}
