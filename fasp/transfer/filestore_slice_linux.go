package transfer

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/fdctl"
)

// A file that several jobs write, of any processes and machines that share the file system, is one temporary file, of its full size from the
// start. Beside it stand a note that says what it is to be, and a state for each slice (docs/protocol-transfer.md section 31.3). The locks:
//
//	the temporary file, flock   shared by the targets of slices, so that no ordinary Target gets it
//	byte 0 of the note          whoever looks at the set as a whole, or changes it; held for a moment
//	byte i of the note          the target of slice i
//
// Locks of bytes belong to the open file, so they keep goroutines of one process apart as well.

// busy says that f is being written. The peer is told, and where the place lies on this machine is not its business.
func busy(f *os.File) error { return fmt.Errorf("%s: %w", filepath.Base(f.Name()), ErrBusy) }

// lockByte locks byte i of f against other open files, or fails with ErrBusy; wait says whether it waits instead.
func lockByte(f *os.File, i int64, wait bool) error {
	how := unix.F_OFD_SETLK
	if wait {
		how = unix.F_OFD_SETLKW
	}
	l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: i, Len: 1}
	err := fdctl.Control(f, func(fd int) error { return unix.FcntlFlock(uintptr(fd), how, &l) })
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return busy(f)
	}
	return os.NewSyscallError("lock", err)
}

func unlockByte(f *os.File, i int64) error {
	l := unix.Flock_t{Type: unix.F_UNLCK, Whence: io.SeekStart, Start: i, Len: 1}
	return os.NewSyscallError("unlock", fdctl.Control(f, func(fd int) error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &l) }))
}

// flock takes f shared or, alone, exclusively. A file system that cannot is an error: without the lock slices could mix with another file.
func flock(f *os.File, how int) error {
	err := fdctl.Control(f, func(fd int) error { return unix.Flock(fd, how|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return busy(f)
	}
	return os.NewSyscallError("flock", err)
}

// sliceTarget is one slice of a file that several write. It is a dirTarget of the whole file, whose state is that of the slice.
type sliceTarget struct {
	t     *dirTarget
	note  *os.File
	set   sliceNote
	slice Slice
	left  int64 // what Partial says
}

// CreateSlice implements SliceStore.
func (d *Dir) CreateSlice(_ context.Context, name string, a Attr, s Slice) (Target, error) {
	if !s.divided() || s.Len <= 0 {
		return nil, errors.New("BUG: transfer: no slice")
	}
	t := &sliceTarget{
		t:     &dirTarget{d: d, name: name, size: s.Whole, sparse: a.Sparse},
		slice: s,
	}
	err := d.making(name, func(ref *dirRef, base string) error {
		t.t.tmp, t.t.state = partialName(base, "", partSuffix), sliceState(base, s.Index)
		err := t.open(ref.root, base, a)
		if err != nil {
			err = errors.Join(err, t.dropEmpty(ref.root, base), t.closeFiles())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// closeFiles lets go of everything, last of the note's bytes: whoever waits for them finds the temporary file free.
func (t *sliceTarget) closeFiles() error {
	var err error
	for _, f := range []*os.File{t.t.f, t.note} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	t.note, t.t.f = nil, nil
	return err
}

// open takes the slice, and makes the set if there is none that fits.
func (t *sliceTarget) open(r *os.Root, base string, a Attr) (err error) {
	if t.note, err = openNote(r, base); err != nil {
		return err
	}
	if err := lockByte(t.note, int64(t.slice.Index), false); err != nil {
		return err
	}
	if t.t.unusable(r, base) {
		if err := r.Remove(t.t.tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := r.OpenFile(t.t.tmp, os.O_RDWR|os.O_CREATE, createMode(a))
	if err != nil {
		return err
	}
	t.t.f = f
	b, err := readNote(t.note)
	if err != nil {
		return err
	}
	set, ok := decodeSliceNote(b)
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	in := infoOf(fi)
	t.t.made, t.t.dev = fi.Mode().Perm(), in.Dev
	fits := ok && set.whole == t.slice.Whole && set.mtime == t.slice.Mtime && set.count == t.slice.Count && set.ino == in.Ino && in.Size == t.slice.Whole
	if fits {
		t.set = set
	} else if err := t.begin(r, base, set.count, in.Ino); err != nil {
		return err
	}
	if err := flock(f, unix.LOCK_SH); err != nil {
		return err
	}
	// An ordinary target may have had it meanwhile. From here on nobody takes the file or the note away until it has its name.
	if _, err := t.t.ours(r, base); err != nil {
		return err
	}
	if err := stands(r, base, t.note); err != nil {
		return err
	}
	state, whole, err := t.last(context.Background())
	if err == nil && whole {
		err = t.save(context.Background(), state, false) // it may be written to again: nobody is to name the file meanwhile
	}
	if err != nil {
		return err
	}
	if state != nil {
		t.left = t.slice.Len
	}
	return unlockByte(t.note, 0)
}

// dropEmpty removes the note that a failed open has made. Its byte 0 is locked.
func (t *sliceTarget) dropEmpty(r *os.Root, base string) error {
	if t.note == nil || stands(r, base, t.note) != nil {
		return nil
	}
	fi, err := t.note.Stat()
	if err == nil && fi.Size() == 0 {
		err = r.Remove(partialName(base, "", noteSuffix))
	}
	return err
}

// openNote opens the note of base and locks its byte 0. The file is the one that stands under the name.
func openNote(r *os.Root, base string) (*os.File, error) {
	name := partialName(base, "", noteSuffix)
	for range 100 {
		if fi, err := r.Lstat(name); err == nil && !fi.Mode().IsRegular() {
			if err := r.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		f, err := r.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		err = lockByte(f, 0, true)
		if err == nil {
			err = stands(r, base, f)
		}
		if err == nil {
			return f, nil
		}
		_ = f.Close() // whoever had the lock has completed the file, and removed the note
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrBusy) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: %w", base, ErrBusy)
}

// stands says whether note is what has the name of the note of base. If not, the error wraps fs.ErrNotExist, or ErrBusy where another has it.
func stands(r *os.Root, base string, note *os.File) error {
	self, err := note.Stat()
	if err != nil {
		return err
	}
	now, err := r.Lstat(partialName(base, "", noteSuffix))
	if err == nil && !os.SameFile(self, now) {
		err = fmt.Errorf("%s: %w", base, ErrBusy)
	}
	return err
}

// begin makes a new set of what stands under the temporary name, if nobody is writing it. The set before had old slices, as far as that is known.
func (t *sliceTarget) begin(r *os.Root, base string, old int, ino uint64) error {
	if err := flock(t.t.f, unix.LOCK_EX); err != nil {
		return err
	}
	if _, err := t.t.ours(r, base); err != nil {
		return err
	}
	err := t.makeSet(r, base, old, ino)
	if err != nil {
		err = errors.Join(err, r.Remove(partialName(base, "", noteSuffix)), r.Remove(t.t.tmp)) // on a full disk they would be in the way
	}
	return err
}

func (t *sliceTarget) makeSet(r *os.Root, base string, old int, ino uint64) error {
	f := t.t.f
	// What stood here is forgotten before the note says that the file is ours: the note of a set without its data would be trusted.
	if err := errors.Join(t.note.Truncate(0), fdatasync(t.note)); err != nil {
		return err
	}
	ordinary := partialName(base, "", stateSuffix)
	if err := forget(r, append(sliceStates(base, old), ordinary+".new", ordinary)...); err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(0), f.Truncate(t.slice.Whole)); err != nil {
		return err
	}
	if t.slice.Whole >= reserveFrom && !t.t.sparse {
		if err := reserve(f, t.slice.Whole); err != nil {
			return err
		}
	}
	t.set = sliceNote{whole: t.slice.Whole, mtime: t.slice.Mtime, count: t.slice.Count, ino: ino}
	_, _ = rand.Read(t.set.set[:]) // never fails
	_, err := t.note.WriteAt(t.set.encode(), 0)
	return errors.Join(err, fdatasync(t.note), fdatasync(f))
}

func (t *sliceTarget) WriteAt(p []byte, off int64) (int, error) {
	return t.t.WriteAt(p, t.slice.Off+off)
}

func (t *sliceTarget) ReadAt(p []byte, off int64) (int, error) {
	return t.t.ReadAt(p, t.slice.Off+off)
}

// WriteRun implements GatherTarget.
func (t *sliceTarget) WriteRun(bufs [][]byte, off int64) error {
	return t.t.WriteRun(bufs, t.slice.Off+off)
}

// Zero implements ZeroTarget.
func (t *sliceTarget) Zero(off, n int64) error { return t.t.Zero(t.slice.Off+off, n) }

// NextData implements Holes.
func (t *sliceTarget) NextData(off int64) (from, to int64, err error) {
	return sliceHoles{t.t, t.slice}.NextData(off)
}

func (t *sliceTarget) Partial() int64                 { return t.left }
func (t *sliceTarget) Sync(ctx context.Context) error { return t.t.Sync(ctx) }

func (t *sliceTarget) State(ctx context.Context) ([]byte, error) {
	b, _, err := t.last(ctx)
	return b, err
}

// last returns the state of the slice, nil if there is none, and whether it says that the slice is whole.
func (t *sliceTarget) last(ctx context.Context) (b []byte, whole bool, err error) {
	b, err = t.t.State(ctx)
	if err != nil || len(b) < stateHead || !bytes.Equal(b[:len(t.set.set)], t.set.set[:]) {
		return nil, false, err
	}
	return b[stateHead:], b[stateHead-1] != 0, nil
}

func (t *sliceTarget) SaveState(ctx context.Context, b []byte) error { return t.save(ctx, b, false) }

func (t *sliceTarget) save(ctx context.Context, b []byte, whole bool) error {
	head := append(make([]byte, 0, stateHead+len(b)), t.set.set[:]...)
	return t.t.SaveState(ctx, append(append(head, byte(b2u(whole))), b...))
}

func (t *sliceTarget) Reset(context.Context) error {
	t.left = 0
	return t.t.d.within(t.t.name, func(r *os.Root, _ string) error { return forget(r, t.t.state+".new", t.t.state) })
}

// Seal implements Target. The slice, and that it is whole, are durable afterwards, unless nothing has to be.
func (t *sliceTarget) Seal(ctx context.Context, a Attr, s Sync) (Sealed, error) {
	state, err := t.State(ctx)
	if err == nil && s != SyncNone {
		err = fdatasync(t.t.f)
	}
	if err == nil {
		err = t.save(ctx, state, true)
	}
	if err == nil && s != SyncNone {
		dir, _ := splitName(t.t.name)
		err = t.t.d.syncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(err, t.closeFiles())
	}
	a.Size, a.Mtime = t.slice.Whole, t.slice.Mtime
	return &sliceSealed{t: t, attr: a}, nil
}

func (t *sliceTarget) Close() error { return t.closeFiles() }

// Discard implements Target. The file itself goes with its last slice.
func (t *sliceTarget) Discard(context.Context) error {
	err := t.t.d.within(t.t.name, func(r *os.Root, base string) error {
		if err := lockByte(t.note, 0, true); err != nil {
			return err
		}
		if _, err := t.t.ours(r, base); err != nil {
			return err
		}
		if err := stands(r, base, t.note); err != nil {
			return err
		}
		err := t.t.removeState(r)
		if err != nil || flock(t.t.f, unix.LOCK_EX) != nil { // others are at it
			return err
		}
		for i := 1; i <= t.slice.Count; i++ {
			if head, err := t.head(r, base, i); err != nil || head != nil {
				return err
			}
		}
		return errors.Join(r.Remove(partialName(base, "", noteSuffix)), r.Remove(t.t.tmp))
	})
	return errors.Join(err, t.closeFiles())
}

// head returns the first bytes of the state of slice i of the set, nil if there is none.
func (t *sliceTarget) head(r *os.Root, base string, i int) ([]byte, error) {
	f, err := openState(r, sliceState(base, i))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, stateHead)
	if _, err := io.ReadFull(f, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if !bytes.Equal(b[:len(t.set.set)], t.set.set[:]) {
		return nil, nil
	}
	return b, nil
}
