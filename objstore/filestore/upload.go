package filestore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/objstore"
)

// Begin implements objstore.Driver.
func (s *Store) Begin(ctx context.Context, u objstore.Upload, o objstore.PutOptions) (objstore.Upload, error) {
	const op = "begin upload"
	if err := s.check(ctx, op, u.Key); err != nil {
		return objstore.Upload{}, err
	}
	if !u.Plan.Valid() {
		return objstore.Upload{}, fail(op, u.Key, objstore.Invalid, fmt.Errorf("plan %+v", u.Plan))
	}
	u.ID = newID()
	h := stateHeader{Upload: u, Begun: time.Now(), Attr: o.Attr}
	if err := s.begin(h); err != nil {
		return objstore.Upload{}, failure(op, u.Key, err)
	}
	return u, nil
}

// begin makes the two files of an upload, durably. The state comes first, so that whatever a crash leaves is found by
// Uploads; it is locked until the data file is there, as without that an upload counts as completed.
func (s *Store) begin(h stateHeader) (err error) {
	key, id := h.Upload.Key, h.Upload.ID
	head, err := h.encode()
	if err != nil {
		return err
	}
	state, err := s.create(key, beside(key, id, stateSuffix))
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, state.Close())
		if err != nil {
			err = errors.Join(err, s.removeUpload(key, id))
		}
	}()
	if _, err := lock(state, true); err != nil {
		return fmt.Errorf("lock the upload: %w", err)
	}
	if _, err := state.Write(head); err != nil {
		return err
	}
	if err := state.Sync(); err != nil {
		return err
	}
	data, err := s.root.OpenFile(native(beside(key, id, dataSuffix)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if err := data.Close(); err != nil {
		return err
	}
	return s.syncAbove(key)
}

// removeUpload removes the files of an upload: its bytes first, so that while any are left their state tells of them.
func (s *Store) removeUpload(key, id string) error {
	err := ignoreMissing(s.root.Remove(native(beside(key, id, dataSuffix))))
	if err == nil {
		err = ignoreMissing(s.root.Remove(native(beside(key, id, stateSuffix))))
	}
	s.prune(key)
	return err
}

// openUpload is an upload with its files open.
type openUpload struct {
	s       *Store
	header  stateHeader
	records int64 // offset of the first in state
	state   *os.File
	data    *os.File
}

func (up *openUpload) close() error { return errors.Join(up.data.Close(), up.state.Close()) }

// openUpload opens the files of an upload and locks it: alone to end it, or with others.
func (s *Store) openUpload(u objstore.Upload, alone bool) (*openUpload, error) {
	none := &objstore.Error{Kind: objstore.NoUpload}
	if !valid(u.Key) || !validID(u.ID) {
		return nil, none
	}
	name := beside(u.Key, u.ID, stateSuffix)
	state, err := s.root.OpenFile(native(name), os.O_RDWR, 0)
	if isMissing(err) {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	up := &openUpload{s: s, state: state}
	if err := up.open(u, name, alone); err != nil {
		state.Close()
		return nil, err
	}
	return up, nil
}

func (up *openUpload) open(u objstore.Upload, name string, alone bool) error {
	none := &objstore.Error{Kind: objstore.NoUpload}
	busy, err := lock(up.state, alone)
	if err != nil {
		return fmt.Errorf("lock the upload: %w", err)
	}
	if busy {
		return &objstore.Error{Kind: objstore.Busy, Err: errors.New("parts are being put, or the upload is being completed")}
	}
	// Before the lock was there somebody may have ended the upload.
	self, err := up.state.Stat()
	if err != nil {
		return err
	}
	there, err := up.s.root.Lstat(native(name))
	if isMissing(err) || err == nil && !os.SameFile(self, there) {
		return none
	}
	if err != nil {
		return err
	}
	up.header, up.records, err = readHeader(bufio.NewReader(up.state))
	if errors.Is(err, errState) || err == nil && (up.header.Upload.Key != u.Key || up.header.Upload.ID != u.ID) {
		return none // begun, but not to the end
	}
	if err != nil {
		return err
	}
	up.data, err = up.s.root.OpenFile(native(beside(u.Key, u.ID, dataSuffix)), os.O_RDWR, 0)
	if isMissing(err) {
		// It became the object, and the process ended before it could remove the state.
		return errors.Join(none, ignoreMissing(up.s.root.Remove(native(name))))
	}
	if err != nil {
		return err
	}
	if up.published(u.Key) {
		return errors.Join(none, up.data.Close(), up.s.removeUpload(u.Key, u.ID))
	}
	return nil
}

// published says whether the data file is the object too: a crash came between the halves of publish. Writing to it now
// would change the object.
func (up *openUpload) published(key string) bool {
	data, err := up.data.Stat()
	if err != nil {
		return false
	}
	final, err := up.s.root.Lstat(native(key))
	return err == nil && os.SameFile(data, final)
}

// PutPart implements objstore.Driver.
func (s *Store) PutPart(ctx context.Context, u objstore.Upload, spec objstore.PartSpec, body *io.SectionReader) (objstore.Part, error) {
	op := fmt.Sprintf("put part %d", spec.N)
	if err := s.check(ctx, op, u.Key); err != nil {
		return objstore.Part{}, err
	}
	unlock, err := s.parts.lock(ctx, partID{u.ID, spec.N})
	if err != nil {
		return objstore.Part{}, failure(op, u.Key, err)
	}
	defer unlock()
	up, err := s.openUpload(u, false)
	if err != nil {
		return objstore.Part{}, failure(op, u.Key, err)
	}
	p, err := up.put(ctx, spec, body)
	return p, failure(op, u.Key, errors.Join(err, up.close()))
}

// put writes a part and notes it.
func (up *openUpload) put(ctx context.Context, spec objstore.PartSpec, body *io.SectionReader) (objstore.Part, error) {
	plan := up.header.Upload.Plan
	if spec.N < 0 || spec.N >= maxParts || spec.Off != plan.Offset(spec.N) || body.Size() > plan.PartSize(spec.N) {
		return objstore.Part{}, &objstore.Error{Kind: objstore.Invalid, Err: fmt.Errorf("%d bytes at %d are not what the plan says", body.Size(), spec.Off)}
	}
	at := up.records + int64(spec.N)*recordSize
	if err := up.strike(at); err != nil {
		return objstore.Part{}, err
	}
	sum := &summed{f: up.data}
	if err := copyBody(ctx, sum, spec.Off, body); err != nil {
		return objstore.Part{}, err
	}
	if err := fdatasync(up.data); err != nil {
		return objstore.Part{}, err
	}
	// The record need not be durable: without it the part is put again.
	r := record{size: body.Size(), nonce: rand.Uint64(), sum: sum.crc}
	if _, err := up.state.WriteAt(r.encode(spec.N), at); err != nil {
		return objstore.Part{}, err
	}
	return r.part(spec.N), nil
}

// strike removes the record at an offset, if there is one, before the bytes that it stands for are overwritten.
func (up *openUpload) strike(at int64) error {
	b := make([]byte, recordSize)
	if _, err := up.state.ReadAt(b, at); err != nil && err != io.EOF {
		return err
	}
	if bytes.Equal(b, make([]byte, recordSize)) {
		return nil
	}
	if _, err := up.state.WriteAt(make([]byte, recordSize), at); err != nil {
		return err
	}
	return fdatasync(up.state)
}

// summed writes to a file, in order, and sums what it writes.
type summed struct {
	f   *os.File
	crc uint32
}

func (s *summed) WriteAt(b []byte, off int64) (int, error) {
	s.crc = crc32.Update(s.crc, crc32.MakeTable(crc32.Castagnoli), b)
	return s.f.WriteAt(b, off)
}

// list returns the records.
func (up *openUpload) list() (map[int]record, error) {
	fi, err := up.state.Stat()
	if err != nil {
		return nil, err
	}
	return readRecords(io.NewSectionReader(up.state, up.records, fi.Size()-up.records))
}

// Parts implements objstore.Driver.
func (s *Store) Parts(ctx context.Context, u objstore.Upload) ([]objstore.Part, error) {
	const op = "list parts"
	if err := s.check(ctx, op, u.Key); err != nil {
		return nil, err
	}
	up, err := s.openUpload(u, false)
	if err != nil {
		return nil, failure(op, u.Key, err)
	}
	records, err := up.list()
	if err := errors.Join(err, up.close()); err != nil {
		return nil, failure(op, u.Key, err)
	}
	parts := make([]objstore.Part, 0, len(records))
	for _, n := range slices.Sorted(maps.Keys(records)) {
		parts = append(parts, records[n].part(n))
	}
	return parts, nil
}

// Complete implements objstore.Driver. The attributes are those that Begin was given.
func (s *Store) Complete(ctx context.Context, u objstore.Upload, parts []objstore.Part, o objstore.PutOptions) (objstore.Object, error) {
	const op = "complete upload"
	if err := s.check(ctx, op, u.Key); err != nil {
		return objstore.Object{}, err
	}
	up, err := s.openUpload(u, true)
	if err != nil {
		return objstore.Object{}, failure(op, u.Key, err)
	}
	obj, err := up.complete(parts, o.IfAbsent)
	return obj, failure(op, u.Key, errors.Join(err, up.close()))
}

// whole returns the size of the object that parts make up, or BadPart.
func (up *openUpload) whole(parts []objstore.Part) (size int64, err error) {
	records, err := up.list()
	if err != nil {
		return 0, err
	}
	if len(parts) == 0 {
		return 0, &objstore.Error{Kind: objstore.BadPart, Err: errors.New("there are none")}
	}
	for i, p := range parts {
		r, ok := records[i]
		switch full := up.header.Upload.Plan.PartSize(i); {
		case p.N != i || !ok || r.part(i) != p:
			return 0, &objstore.Error{Kind: objstore.BadPart, Err: fmt.Errorf("part %d is not the one that is there", p.N)}
		case i < len(parts)-1 && p.Size != full:
			return 0, &objstore.Error{Kind: objstore.BadPart, Err: fmt.Errorf("part %d has %d bytes; only the last may have less than %d", i, p.Size, full)}
		}
		size += p.Size
	}
	return size, nil
}

// complete makes the data file the object. The order matters: bytes and attributes are durable before the name is, and
// the name before the state is removed.
func (up *openUpload) complete(parts []objstore.Part, ifAbsent bool) (objstore.Object, error) {
	key, id := up.header.Upload.Key, up.header.Upload.ID
	size, err := up.whole(parts)
	if err != nil {
		return objstore.Object{}, err
	}
	if ifAbsent {
		if _, err := up.s.root.Lstat(native(key)); err == nil {
			return objstore.Object{}, &objstore.Error{Kind: objstore.Exists} // before anything is changed
		}
	}
	data := beside(key, id, dataSuffix)
	if err := up.data.Truncate(size); err != nil {
		return objstore.Object{}, err
	}
	if err := up.s.setAttr(up.data, data, up.header.Attr); err != nil {
		return objstore.Object{}, err
	}
	if err := up.data.Sync(); err != nil {
		return objstore.Object{}, err
	}
	if err := up.s.publish(data, key, ifAbsent); err != nil {
		return objstore.Object{}, err
	}
	if err := up.s.syncAbove(key); err != nil {
		return objstore.Object{}, err
	}
	if err := ignoreMissing(up.s.root.Remove(native(beside(key, id, stateSuffix)))); err != nil {
		return objstore.Object{}, err
	}
	return describe(key, up.data)
}

// Abort implements objstore.Driver.
func (s *Store) Abort(ctx context.Context, u objstore.Upload) error {
	const op = "abort upload"
	if err := s.check(ctx, op, u.Key); err != nil {
		return err
	}
	up, err := s.openUpload(u, true)
	if objstore.KindOf(err) == objstore.NoUpload {
		if valid(u.Key) && validID(u.ID) {
			return failure(op, u.Key, s.removeUpload(u.Key, u.ID)) // what may be left of one
		}
		return nil
	}
	if err != nil {
		return failure(op, u.Key, err)
	}
	err = up.data.Close()
	if err == nil {
		err = s.removeUpload(u.Key, u.ID)
	}
	return failure(op, u.Key, errors.Join(err, up.state.Close()))
}

// Uploads implements objstore.Driver. A token is the path of the last state file.
func (s *Store) Uploads(ctx context.Context, prefix, token string) (list []objstore.UploadInfo, next string, err error) {
	const op, limit = "list uploads", 1000
	if err := s.check(ctx, op, prefix); err != nil {
		return nil, "", err
	}
	top, base := split(prefix)
	last := ""
	w := &walk{
		ctx: ctx, s: s, after: token, window: limit + 1,
		keep: func(name string) bool { return hidden(name) && strings.HasSuffix(name, stateSuffix) },
		top: func(name string) bool {
			return strings.HasSuffix(name, stateSuffix) || strings.HasPrefix(name, base)
		},
		folder: func(string, bool) (bool, error) { return true, errDescend },
	}
	w.file = func(name string) (bool, error) {
		if len(list) == limit {
			next = last
			return false, nil
		}
		last = name
		f, err := s.root.Open(native(name))
		if isMissing(err) {
			return true, nil // gone since it was seen
		}
		if err != nil {
			return true, err
		}
		h, _, err := readHeader(bufio.NewReader(f))
		f.Close()
		if err == nil && strings.HasPrefix(h.Upload.Key, prefix) && beside(h.Upload.Key, h.Upload.ID, stateSuffix) == name {
			list = append(list, objstore.UploadInfo{Key: h.Upload.Key, ID: h.Upload.ID, Begun: h.Begun})
		}
		return true, nil
	}
	if err := w.run(top, prefix); err != nil {
		return nil, "", failure(op, prefix, err)
	}
	return list, next, nil
}
