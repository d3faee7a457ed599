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
	partial    int64
	made       fs.FileMode
	dev        uint64
}

func (t *dirTarget) WriteAt(p []byte, off int64) (int, error) { return t.f.WriteAt(p, off) }
func (t *dirTarget) ReadAt(p []byte, off int64) (int, error)  { return t.f.ReadAt(p, off) }
func (t *dirTarget) Partial() int64                           { return t.partial }
func (t *dirTarget) Sync(context.Context) error               { return fdatasync(t.f) }
func (t *dirTarget) Close() error                             { return t.f.Close() }

// maxState bounds the checkpoint that is read back, in bytes.
const maxState = 256 << 20

func (t *dirTarget) State(context.Context) (b []byte, err error) {
	err = t.d.within(t.name, func(r *os.Root, _ string) error {
		fi, err := r.Lstat(t.state)
		if err != nil {
			return err
		}
		if !fi.Mode().IsRegular() || fi.Size() > maxState {
			return fs.ErrNotExist
		}
		f, err := r.Open(t.state)
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
		err = t.f.Truncate(0)
	}
	t.partial = 0
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
	err := t.d.within(t.name, func(r *os.Root, _ string) error {
		err := t.removeState(r)
		return errors.Join(err, r.Remove(t.tmp))
	})
	return errors.Join(err, t.f.Close())
}

// dirSealed is a whole file under its temporary name.
type dirSealed struct {
	d         *Dir
	name, tmp string
	t         *dirTarget // nil for a file that Put wrote
	ino       uint64     // for a file that Put wrote
}

func (p *dirSealed) Publish(_ context.Context, s Sync) error {
	if p.t != nil {
		defer p.t.f.Close()
	}
	dir, _ := splitName(p.name)
	var dev uint64
	err := p.d.within(p.name, func(r *os.Root, base string) error {
		fi, err := r.Lstat(p.tmp)
		if err != nil {
			return err
		}
		in := infoOf(fi)
		dev = in.Dev
		if p.t == nil && in.Ino != p.ino {
			// Somebody runs the same job into the same folder: that file is theirs and may be half written.
			return fmt.Errorf("%s: %w", base, ErrBusy)
		}
		if err := r.Rename(p.tmp, base); err != nil {
			return err
		}
		if p.t != nil {
			return p.t.removeState(r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch {
	case s == SyncNow:
		if err := p.d.markDirty(dir); err != nil {
			return err
		}
		return p.d.syncDirs()
	case s == SyncLater && !p.d.flushCovers(dev):
		return p.d.markDirty(dir)
	}
	return nil
}

func (p *dirSealed) Discard(ctx context.Context) error {
	if p.t != nil {
		return p.t.Discard(ctx)
	}
	return p.d.within(p.name, func(r *os.Root, _ string) error { return r.Remove(p.tmp) })
}
