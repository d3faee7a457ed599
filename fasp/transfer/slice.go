package transfer

import (
	"context"
	"fmt"
)

// Slice is the stretch of one file that one of several jobs moves (docs/protocol-transfer.md section 31.3). All bytes are counted in the whole
// file. The zero Slice is no stretch but a file that is not divided.
type Slice struct {
	Index, Count int   // number Index of Count, from 1
	Off, Len     int64 // bytes; Len 0 where the job has nothing of the file
	Whole        int64 // size of the file
	Mtime        int64 // of the source, nanoseconds since 1970; with Whole and Count what slices of one file have in common
}

// divided says whether s is a stretch.
func (s Slice) divided() bool { return s.Count > 1 }

// sliceAlign is what slices begin at multiples of: more than blocks, so that jobs with other block sizes cut alike.
const sliceAlign = 1 << 20

// slice returns what part p has of a file of size bytes: the zero Slice if that is too small to be divided.
func (p Part) slice(size, mtime int64) Slice {
	if p.Count < 2 || size <= sliceAlign {
		return Slice{}
	}
	n := int64(p.Count)
	step := ((size-1)/n/sliceAlign + 1) * sliceAlign
	s := Slice{Index: p.Index, Count: int((size-1)/step + 1), Whole: size, Mtime: mtime, Off: int64(p.Index-1) * step}
	s.Len = max(0, min(step, size-s.Off))
	return s
}

// SliceStore is a Store that jobs of several processes may give one file together.
type SliceStore interface {
	Store
	// CreateSlice begins or goes on with slice s of the file at name. The Target is that of a file of s.Len bytes, beside which others
	// work on the rest; a.Size and a.Block are those of the slice. Its Seal makes the slice durable, and Sealed.Publish gives the file its name if
	// all slices are there, else it leaves them until the last one comes. What an interrupted Target left of the slice is there again; slices of
	// a file with another size, time or number of slices are forgotten. It fails with an error that wraps ErrBusy while the slice, or the whole
	// file, is being written by somebody else.
	CreateSlice(ctx context.Context, name string, a Attr, s Slice) (Target, error)
}

// waiting is a Sealed that is a slice: it may be published without having given the file its name.
type waiting interface {
	// Missing is how many slices were not there when Publish looked; 0 if the file has its name.
	Missing() int
}

// errNoSlices refuses a destination whose files only one job can write.
var errNoSlices = failf(CodeUsage, "", "the destination does not let several commands write one file: leave out the threshold, or give one command several sessions")

// canSlice refuses a job that divides files where the destination cannot have that.
func (q *request) canSlice(dest Store) error {
	if _, ok := dest.(SliceStore); ok || !q.divides() {
		return nil
	}
	return errNoSlices
}

// divides says whether files of the job may be divided.
func (q *request) divides() bool { return q.Split > 0 && q.Part.Count > 1 }

// slice returns what the job has of a file.
func (q *request) slice(size, mtime int64) Slice {
	if !q.divides() || size < 0 || uint64(size) < q.Split {
		return Slice{}
	}
	return q.Part.slice(size, mtime)
}

// cut makes the announcement of a divided file, e, that of the job's slice. The error means that the peer counts otherwise.
func (q *request) cut(e *entry) (Slice, error) {
	if !e.Sliced {
		return Slice{}, nil
	}
	s := q.slice(e.Size, e.Mtime)
	if !s.divided() || s.Len == 0 {
		return Slice{}, fmt.Errorf("file %d of %d bytes is not divided so that this job has a slice of it", e.ID, e.Size)
	}
	e.Size = s.Len
	return s, nil
}

// judgeSlice is judge for a divided file. What exists is judged by size and time, since all jobs must judge alike and none has the whole
// content.
func (r *receiver) judgeSlice(ctx context.Context, f *rfile) (judgement, *Error) {
	j, err := r.judge(ctx, f.name, f.slice.Whole, f.ent.Mtime)
	if err != nil || !j.exists {
		return j, err
	}
	same := j.size == f.slice.Whole && j.sameTime
	diff := r.req.Overwrite == OverwriteDiff || r.req.Overwrite == OverwriteDiffOlder
	switch {
	// On a retry the file may be the one that this run completed, with a confirmation that got lost.
	case diff && same && (r.req.Resume > 0 || r.has(flagRetry)):
		j.verdict = keepOld
	case j.verdict == compareFirst:
		j.verdict = take
	}
	if j.verdict == take && !r.mayReplace {
		return j, errNoReplace(f.name)
	}
	return j, nil
}

// create opens the target of f.
func (f *rfile) create(ctx context.Context, a Attr) (Target, error) {
	if !f.slice.divided() {
		return f.r.store.Create(ctx, f.name, a)
	}
	s, ok := f.r.store.(SliceStore)
	if !ok {
		return nil, errNoSlices
	}
	a.Mtime = f.slice.Mtime // always: it is what tells that the file which exists in the end is this one
	return s.CreateSlice(ctx, f.name, a, f.slice)
}

// sliceSource is a Source of a slice: its offsets count from where that begins. Info is that of the whole file.
type sliceSource struct {
	Source
	slice Slice
}

func (s sliceSource) ReadAt(p []byte, off int64) (int, error) {
	return s.Source.ReadAt(p, s.slice.Off+off)
}

// holes returns s as Holes, nil if its source knows of none.
func (s sliceSource) holes() Holes {
	h, ok := s.Source.(Holes)
	if !ok {
		return nil
	}
	return sliceHoles{h, s.slice}
}

// sliceHoles are the holes of a slice.
type sliceHoles struct {
	whole Holes
	slice Slice
}

// NextData implements Holes.
func (s sliceHoles) NextData(off int64) (from, to int64, err error) {
	if off >= s.slice.Len {
		return off, off, nil
	}
	from, to, err = s.whole.NextData(s.slice.Off + off)
	return min(from-s.slice.Off, s.slice.Len), min(to-s.slice.Off, s.slice.Len), err
}

// holesOf returns the holes of a source, nil where none are known.
func holesOf(src Source) Holes {
	if s, ok := src.(sliceSource); ok {
		return s.holes()
	}
	h, _ := src.(Holes)
	return h
}

// lastState saves the state of a slice that is whole, so that a session which is lost before it is confirmed finds all of it. Nothing is
// written to the target any more.
func (f *rfile) lastState(ctx context.Context, tgt Target) error {
	if !f.slice.divided() {
		return nil
	}
	f.mu.Lock()
	state := f.stateLocked()
	f.mu.Unlock()
	if f.r.durability() != DurabilityNone {
		if err := tgt.Sync(ctx); err != nil {
			return err
		}
	}
	return tgt.SaveState(ctx, state)
}

// whole is the size of the file in the source, of which f.info has that of the slice.
func (f *sfile) whole() int64 {
	if f.slice.divided() {
		return f.slice.Whole
	}
	return f.info.Size
}
