package memstore

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/objstore"
)

// upload is an object that is being put in parts.
type upload struct {
	key   string
	o     objstore.PutOptions
	begun time.Time
	parts map[int]part
}

type part struct {
	objstore.Part
	data []byte
}

// Begin implements objstore.Driver.
func (s *Store) Begin(ctx context.Context, u objstore.Upload, o objstore.PutOptions) (objstore.Upload, error) {
	if err := s.checkNew(ctx, "begin upload", u.Key); err != nil {
		return objstore.Upload{}, err
	}
	o.Attr.Metadata = maps.Clone(o.Attr.Metadata)
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	u.ID = s.p.next()
	s.p.uploads[u.ID] = &upload{key: u.Key, o: o, begun: time.Now(), parts: make(map[int]part)}
	return u, nil
}

// upload returns the upload that u names. p.mu is held.
func (p *place) upload(op string, u objstore.Upload) (*upload, error) {
	up := p.uploads[u.ID]
	if up == nil || up.key != u.Key {
		return nil, fail(op, u.Key, objstore.NoUpload, nil)
	}
	return up, nil
}

// PutPart implements objstore.Driver.
func (s *Store) PutPart(ctx context.Context, u objstore.Upload, spec objstore.PartSpec, body *io.SectionReader) (objstore.Part, error) {
	op := fmt.Sprintf("put part %d", spec.N)
	if err := s.check(ctx, op, u.Key); err != nil {
		return objstore.Part{}, err
	}
	if spec.N < 0 || spec.N >= s.Caps().MaxParts {
		return objstore.Part{}, fail(op, u.Key, objstore.Invalid, nil)
	}
	data, err := readBody(ctx, op, u.Key, body)
	if err != nil {
		return objstore.Part{}, err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	up, err := s.p.upload(op, u)
	if err != nil {
		return objstore.Part{}, err
	}
	pt := objstore.Part{N: spec.N, Size: int64(len(data)), ETag: `"` + s.p.next() + `"`}
	up.parts[spec.N] = part{pt, data}
	return pt, nil
}

// Parts implements objstore.Driver.
func (s *Store) Parts(ctx context.Context, u objstore.Upload) ([]objstore.Part, error) {
	const op = "list parts"
	if err := s.check(ctx, op, u.Key); err != nil {
		return nil, err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	up, err := s.p.upload(op, u)
	if err != nil {
		return nil, err
	}
	list := make([]objstore.Part, 0, len(up.parts))
	for _, n := range slices.Sorted(maps.Keys(up.parts)) {
		list = append(list, up.parts[n].Part)
	}
	return list, nil
}

// Complete implements objstore.Driver.
func (s *Store) Complete(ctx context.Context, u objstore.Upload, parts []objstore.Part, o objstore.PutOptions) (objstore.Object, error) {
	const op = "complete upload"
	if err := s.check(ctx, op, u.Key); err != nil {
		return objstore.Object{}, err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	up, err := s.p.upload(op, u)
	if err != nil {
		return objstore.Object{}, err
	}
	var size int64
	for i, p := range parts {
		if p.N != i || up.parts[i].Part != p {
			return objstore.Object{}, fail(op, u.Key, objstore.BadPart, fmt.Errorf("part %d", p.N))
		}
		size += p.Size
	}
	data := make([]byte, 0, size)
	for i := range parts {
		data = append(data, up.parts[i].data...)
	}
	obj, err := s.p.store(op, u.Key, data, objstore.PutOptions{Attr: up.o.Attr, IfAbsent: o.IfAbsent})
	if err != nil {
		return objstore.Object{}, err
	}
	delete(s.p.uploads, u.ID)
	return obj, nil
}

// Abort implements objstore.Driver.
func (s *Store) Abort(ctx context.Context, u objstore.Upload) error {
	if err := s.check(ctx, "abort upload", u.Key); err != nil {
		return err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if up := s.p.uploads[u.ID]; up != nil && up.key == u.Key {
		delete(s.p.uploads, u.ID)
	}
	return nil
}

// Uploads implements objstore.Driver, all in one page.
func (s *Store) Uploads(ctx context.Context, prefix, _ string) (list []objstore.UploadInfo, next string, err error) {
	if err := s.check(ctx, "list uploads", prefix); err != nil {
		return nil, "", err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	for id, up := range s.p.uploads {
		if strings.HasPrefix(up.key, prefix) {
			list = append(list, objstore.UploadInfo{Key: up.key, ID: id, Begun: up.begun})
		}
	}
	slices.SortFunc(list, func(a, b objstore.UploadInfo) int {
		return strings.Compare(a.Key+"\x00"+a.ID, b.Key+"\x00"+b.ID)
	})
	return list, "", nil
}
