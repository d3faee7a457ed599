package faux

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tradewind-io/tradewind/objstore"
)

// Tree says which objects a folder has.
type Tree struct {
	Count       int64  // objects, above 0
	File        string // beginning of their names; "" = "file"
	Size        int64  // bytes of the first, from 0 to 7 EiB
	Inc         int64  // bytes by which sizes differ; less where sizes would leave their range
	RandomSizes bool   // Size, Inc more or less, instead of Inc more each time
	RandomBytes bool   // else all bytes are zero
}

// Source is a Driver of a place with objects that are made up. Nothing can be stored in it.
type Source struct {
	readOnly
	path string // of the object, or the folder
	one  bool   // a single object of tree.Size bytes
	tree Tree
}

// NewFile returns a Source of one object of size bytes.
func NewFile(key string, size int64) *Source {
	return &Source{path: key, one: true, tree: Tree{Count: 1, Size: min(max(size, 0), maxSize), RandomBytes: true}}
}

// NewTree returns a Source of the objects of a folder.
func NewTree(dir string, t Tree) (*Source, error) {
	if t.File == "" {
		t.File = "file"
	}
	if t.Count <= 0 || t.Size < 0 || t.Size > maxSize || t.Inc < 0 || strings.Contains(t.File, "/") {
		return nil, &objstore.Error{Op: "open", Kind: objstore.Invalid, Err: fmt.Errorf("%d objects %q of size %d and increment %d cannot be made up", t.Count, t.File, t.Size, t.Inc)}
	}
	t.Inc = min(t.Inc, maxSize-t.Size)
	if t.RandomSizes {
		t.Inc = min(t.Inc, t.Size)
	} else if t.Count > 1 {
		t.Inc = min(t.Inc, (maxSize-t.Size)/(t.Count-1))
	}
	return &Source{path: dir, tree: t}, nil
}

// Caps implements objstore.Driver.
func (s *Source) Caps() objstore.Caps { return objstore.Caps{Attrs: true, ListAttr: true, Local: true} }

// size returns how large object i is.
func (s *Source) size(i int64) int64 {
	t := &s.tree
	if !t.RandomSizes {
		return t.Size + i*t.Inc
	}
	// 2*Inc+1 values are equally likely; Inc is at most Size, so that none is below 0.
	n, _ := bits.Mul64(mix(s.seed()+uint64(i)), uint64(2*min(t.Inc, math.MaxInt64/2))+1)
	return t.Size - t.Inc + int64(n)
}

// key returns the key of object i.
func (s *Source) key(i int64) string {
	if s.one {
		return s.path
	}
	return fmt.Sprintf("%s/%s_%05d_%d", s.path, s.tree.File, i, s.size(i))
}

// index returns which object has the key.
func (s *Source) index(key string) (i int64, ok bool) {
	if s.one {
		return 0, key == s.path
	}
	rest, ok := strings.CutPrefix(key, s.path+"/"+s.tree.File+"_")
	if !ok {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, "_")
	i, err := strconv.ParseInt(number, 10, 64)
	return i, err == nil && i >= 0 && i < s.tree.Count && s.key(i) == key
}

// seed is made of the path, so that sizes and bytes of two places differ.
func (s *Source) seed() uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, s.path+"\x00"+s.tree.File) // a hash takes everything
	return h.Sum64()
}

// object describes object i.
func (s *Source) object(i int64) objstore.Object {
	size := s.size(i)
	return objstore.Object{
		Key: s.key(i), Size: size, ETag: fmt.Sprintf(`"%016x-%x-%t"`, s.fileSeed(i), size, s.tree.RandomBytes),
		// Always the same, so that what was transferred once is the same the next time.
		Modified: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), HasAttr: true,
	}
}

func (s *Source) fileSeed(i int64) uint64 { return mix(s.seed() ^ mix(uint64(i))) }

// find returns which object has the key, which must have the etag if that is not empty.
func (s *Source) find(ctx context.Context, op, key, etag string) (int64, objstore.Object, error) {
	if err := s.check(ctx, op, key); err != nil {
		return 0, objstore.Object{}, err
	}
	i, ok := s.index(key)
	if !ok {
		return 0, objstore.Object{}, &objstore.Error{Op: op, Key: key, Kind: objstore.NotFound}
	}
	o := s.object(i)
	if etag != "" && etag != o.ETag {
		return 0, objstore.Object{}, &objstore.Error{Op: op, Key: key, Kind: objstore.Changed}
	}
	return i, o, nil
}

// Stat implements objstore.Driver.
func (s *Source) Stat(ctx context.Context, key string) (objstore.Object, error) {
	_, o, err := s.find(ctx, "stat", key, "")
	return o, err
}

// Read implements objstore.Driver.
func (s *Source) Read(ctx context.Context, key string, off, length int64, etag string) (io.ReadCloser, objstore.Object, error) {
	const op = "read"
	i, o, err := s.find(ctx, op, key, etag)
	if err != nil {
		return nil, objstore.Object{}, err
	}
	if off < 0 || off >= o.Size {
		return nil, objstore.Object{}, &objstore.Error{Op: op, Key: key, Kind: objstore.Range, Err: fmt.Errorf("offset %d of %d bytes", off, o.Size)}
	}
	if rest := o.Size - off; length < 0 || length > rest {
		length = rest
	}
	return &reader{ctx: ctx, seed: s.fileSeed(i), random: s.tree.RandomBytes, off: off, left: length}, o, nil
}

// maxPage is how many entries a page of a listing has.
const maxPage = 1000

// List implements objstore.Driver. A token is the index that comes next.
func (s *Source) List(ctx context.Context, o objstore.ListOptions) (page objstore.Page, err error) {
	const op = "list"
	if err := s.check(ctx, op, o.Prefix); err != nil {
		return page, err
	}
	limit := maxPage
	if o.Max > 0 {
		limit = min(o.Max, maxPage)
	}
	first := int64(0)
	if o.Token != "" {
		if first, err = strconv.ParseInt(o.Token, 10, 64); err != nil || first < 0 {
			return page, &objstore.Error{Op: op, Key: o.Prefix, Kind: objstore.Invalid, Err: fmt.Errorf("token %q", o.Token)}
		}
	}
	if folder := s.folder(o.Prefix); o.Delimited && folder != "" {
		page.Objects = append(page.Objects, objstore.Object{Key: folder, Folder: true})
		return page, nil
	}
	if s.one || !strings.HasPrefix(s.path+"/", o.Prefix) && !strings.HasPrefix(o.Prefix, s.path+"/") {
		if s.one && strings.HasPrefix(s.path, o.Prefix) && first == 0 {
			page.Objects = append(page.Objects, s.object(0))
		}
		return page, nil
	}
	for i := first; i < s.tree.Count; i++ {
		if i-first >= maxPage*100 || len(page.Objects) == limit {
			page.Next = strconv.FormatInt(i, 10) // also where a prefix fits few of very many
			break
		}
		if strings.HasPrefix(s.key(i), o.Prefix) {
			page.Objects = append(page.Objects, s.object(i))
		}
	}
	return page, nil
}

// folder returns the folder, directly below prefix, that everything lies in, or "".
func (s *Source) folder(prefix string) string {
	all := s.path
	if !s.one {
		all += "/"
	}
	rest, ok := strings.CutPrefix(all, prefix)
	n := strings.IndexByte(rest, '/')
	if !ok || n < 0 {
		return ""
	}
	return prefix + rest[:n+1]
}

// reader makes the bytes of a range.
type reader struct {
	ctx    context.Context // of the call that opened it, as an HTTP body has it
	seed   uint64
	random bool
	off    int64
	left   int64
	closed atomic.Bool
}

func (r *reader) Read(b []byte) (int, error) {
	if r.closed.Load() {
		return 0, objstore.ErrClosed
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	b = b[:min(int64(len(b)), r.left)]
	if r.random {
		fill(b, r.seed, r.off)
	} else {
		clear(b)
	}
	r.off += int64(len(b))
	r.left -= int64(len(b))
	return len(b), nil
}

func (r *reader) Close() error { r.closed.Store(true); return nil }

// fill makes the bytes at off of the stream that seed names. Each 8 of them are a number that depends on their place.
func fill(b []byte, seed uint64, off int64) {
	word := uint64(off) / 8
	if skip := int(off % 8); skip > 0 {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], mix(seed+word))
		b = b[copy(b, w[skip:]):]
		word++
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, mix(seed+word))
		b = b[8:]
		word++
	}
	if len(b) > 0 {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], mix(seed+word))
		copy(b, w[:])
	}
}

// mix is the output function of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
