package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// dirTarget is a file being written under its temporary name, locked against other writers.
type dirTarget struct {
	d          *Dir
	f          *os.File
	name       string
	tmp, state string // in the file's folder
	size       int64  // that it is to have, -1 for a stream
	partial    int64
	sparse     bool
	reserved   bool // blocks beyond the end may have been taken
	made       fs.FileMode
	dev        uint64
}

func (t *dirTarget) WriteAt(p []byte, off int64) (int, error) { return t.f.WriteAt(p, off) }
func (t *dirTarget) ReadAt(p []byte, off int64) (int, error)  { return t.f.ReadAt(p, off) }
func (t *dirTarget) Partial() int64                           { return t.partial }
func (t *dirTarget) Sync(context.Context) error               { return fdatasync(t.f) }

// reserveFrom is the size in bytes from which a file's blocks are reserved before it is written. Below it little is lost
// by finding the disk full late.
const reserveFrom = 16 << 20

// reserve takes the file's blocks, so that a full disk shows before the first byte and not after the last that has room. After
// an error nothing is taken that was not before. The size stays: it says where the data ends that an interrupted Target left.
func (t *dirTarget) reserve() error {
	if t.size < reserveFrom || t.sparse {
		return nil
	}
	t.reserved = true
	err := reserve(t.f, t.size)
	if err != nil {
		err = errors.Join(err, t.giveBack())
	}
	return err
}

// begin reserves the file's blocks. Without room for it a new file goes, and what an interrupted Target left stays.
func (t *dirTarget) begin(r *os.Root) error {
	err := t.reserve()
	if err == nil {
		return nil
	}
	if t.partial == 0 {
		err = errors.Join(err, r.Remove(t.tmp))
	}
	return errors.Join(err, t.f.Close())
}

// giveBack frees the blocks beyond the end, which are reserved and not written.
func (t *dirTarget) giveBack() error {
	if !t.reserved {
		return nil
	}
	t.reserved = false
	fi, err := t.f.Stat()
	if err != nil {
		return err
	}
	return t.f.Truncate(fi.Size())
}

// Close implements Target. Room for what did not arrive is not held until somebody comes back for it.
func (t *dirTarget) Close() error { return errors.Join(t.giveBack(), t.f.Close()) }

// maxState bounds the checkpoint that is read back, in bytes.
const maxState = 256 << 20

func (t *dirTarget) State(context.Context) (b []byte, err error) {
	err = t.d.within(t.name, func(r *os.Root, _ string) error {
		f, err := openState(r, t.state)
		if err != nil {
			return err
		}
		defer f.Close()
		b, err = io.ReadAll(io.LimitReader(f, maxState))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// openState opens what was written beside a partial file. What cannot be that, such as a pipe, on which others would wait for ever, is not there.
func openState(r *os.Root, name string) (*os.File, error) {
	fi, err := r.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxState {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return r.Open(name)
}

func (t *dirTarget) SaveState(_ context.Context, b []byte) error {
	return t.d.within(t.name, func(r *os.Root, _ string) error {
		next := t.state + ".new"
		f, err := r.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		if err == nil {
			err = fdatasync(f)
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			err = r.Rename(next, t.state)
		}
		if err != nil {
			_ = r.Remove(next)
		}
		return err
	})
}

func (t *dirTarget) removeState(r *os.Root) error {
	_ = r.Remove(t.state + ".new")
	err := r.Remove(t.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (t *dirTarget) Reset(context.Context) error {
	// The state goes first: state without its data would be trusted, data without state is not.
	err := t.d.within(t.name, func(r *os.Root, _ string) error { return t.removeState(r) })
	if err == nil {
		err = t.f.Truncate(0) // and what was reserved is gone, too
	}
	t.partial = 0
	if err == nil {
		err = t.reserve()
	}
	return err
}

func (t *dirTarget) Seal(_ context.Context, a Attr, s Sync) (Sealed, error) {
	fi, err := t.f.Stat()
	if err == nil && fi.Size() != a.Size {
		err = t.f.Truncate(a.Size)
	}
	if err == nil {
		err = t.d.within(t.name, func(r *os.Root, _ string) error { return setAttr(r, t.tmp, a, t.made) })
	}
	if err == nil && (s == SyncNow || s == SyncLater && !t.d.flushCovers(t.dev)) {
		err = fdatasync(t.f)
	}
	if err != nil {
		return nil, errors.Join(err, t.f.Close())
	}
	// The file stays open: its lock keeps other transfers off the temporary name until it is published.
	return &dirSealed{d: t.d, name: t.name, tmp: t.tmp, t: t}, nil
}

func (t *dirTarget) Discard(context.Context) error {
	err := t.d.within(t.name, func(r *os.Root, base string) error {
		if _, err := t.ours(r, base); err != nil {
			return err
		}
		err := t.removeState(r)
		return errors.Join(err, r.Remove(t.tmp))
	})
	return errors.Join(err, t.f.Close())
}

// ours describes what stands under the temporary name; the error wraps ErrBusy if that is not the open file.
func (t *dirTarget) ours(r *os.Root, base string) (fs.FileInfo, error) {
	self, err := t.f.Stat()
	if err != nil {
		return nil, err
	}
	fi, err := r.Lstat(t.tmp)
	if err == nil && !os.SameFile(self, fi) {
		err = fmt.Errorf("%s: %w", base, ErrBusy)
	}
	return fi, err
}

// unusable says whether what stands under the temporary name must go: it is no file, or it is the published file
// itself, by a crash between the two halves of linkNew.
func (t *dirTarget) unusable(r *os.Root, base string) bool {
	fi, err := r.Lstat(t.tmp)
	if err != nil {
		return false
	}
	if !fi.Mode().IsRegular() {
		return true
	}
	final, err := r.Lstat(base)
	return err == nil && os.SameFile(fi, final)
}

// dirSealed is a whole file under its temporary name.
type dirSealed struct {
	d         *Dir
	name, tmp string
	t         *dirTarget // nil for a file that Put wrote
	made      stamp      // of a file that Put wrote, after its last change
	dev       uint64     // once it is named
	named     bool       // it has its final name
	claim     string     // in Dir.temps, "" for none
}

func (p *dirSealed) Publish(_ context.Context, s Sync, replace bool) error {
	if !p.named {
		err := p.d.inFolder(p.name, func(r *dirRef, base string) error { return p.rename(r, base, replace) })
		if err != nil {
			return err
		}
	}
	dir, _ := splitName(p.name)
	switch {
	case s == SyncNow:
		if err := p.d.markDirty(dir); err != nil {
			return err
		}
		return p.d.syncDirs()
	case s == SyncLater && !p.d.flushCovers(p.dev):
		return p.d.markDirty(dir)
	}
	return nil
}

func (p *dirSealed) rename(r *dirRef, base string, replace bool) error {
	if err := p.ours(r, base); err != nil {
		return err
	}
	if err := r.rename(p.tmp, base, replace); err != nil {
		return err
	}
	p.named = true
	p.d.freeTemp(p)
	if p.t != nil {
		err := p.t.removeState(r.root)
		return errors.Join(err, p.t.f.Close()) // and so its lock, last
	}
	return nil
}

// ours checks what stands under the temporary name; the error wraps ErrBusy if that is not what was sealed. A file
// that Put wrote is not held open, and its inode may be another file's by now; that one has other times.
func (p *dirSealed) ours(r *dirRef, base string) error {
	if p.t != nil {
		_, err := p.t.ours(r.root, base)
		p.dev = p.t.dev
		return err
	}
	now, err := r.stamp(p.tmp)
	if err != nil {
		return err
	}
	p.dev = now.device()
	if !now.same(p.made) {
		return fmt.Errorf("%s: %w", base, ErrBusy)
	}
	return nil
}

func (p *dirSealed) Discard(ctx context.Context) error {
	switch {
	case p.named:
		return nil
	case p.t != nil:
		return p.t.Discard(ctx)
	}
	defer p.d.freeTemp(p)
	return p.d.inFolder(p.name, func(r *dirRef, base string) error {
		if err := p.ours(r, base); err != nil {
			return err
		}
		return r.root.Remove(p.tmp)
	})
}

// linkNew gives the file old the name name, unless that is taken, by a second name. On file systems without hard links it looks first, and what others put there
// between the look and the renaming is replaced.
func linkNew(r *os.Root, old, name string) error {
	err := r.Link(old, name)
	if err == nil {
		// The file has its name. If the other one stays, a Target of it will not write to it (unusable).
		_ = r.Remove(old)
		return nil
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := r.Lstat(name); err == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return r.Rename(old, name)
}
