package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// sliceSealed is a slice that is whole.
type sliceSealed struct {
	t       *sliceTarget
	attr    Attr
	named   bool // by this target
	over    bool // published, and closed
	missing int
}

// Publish implements Sealed. If other slices are not there, nothing is to be done yet, and that is no error.
func (p *sliceSealed) Publish(_ context.Context, s Sync, replace bool) error {
	t := p.t
	if !p.over {
		err := t.t.d.inFolder(t.t.name, func(ref *dirRef, base string) error { return p.complete(ref, base, s, replace) })
		if err != nil {
			return err
		}
		p.over = true
		if err := t.closeFiles(); err != nil {
			return err
		}
	}
	if p.missing > 0 || s == SyncNone {
		return nil
	}
	// Whoever has named the file: what is confirmed must be on the disk.
	dir, _ := splitName(t.t.name)
	if err := t.t.d.markDirty(dir); err != nil {
		return err
	}
	if s == SyncNow {
		return t.t.d.syncDirs()
	}
	return nil
}

// Missing implements waiting.
func (p *sliceSealed) Missing() int { return p.missing }

// complete names the file if all slices are whole.
func (p *sliceSealed) complete(ref *dirRef, base string, s Sync, replace bool) error {
	t, r := p.t, ref.root
	if err := lockByte(t.note, 0, true); err != nil {
		return err
	}
	defer func() { _ = unlockByte(t.note, 0) }() // it goes with the file anyway
	err := stands(r, base, t.note)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrBusy) {
		if b, rerr := readNote(t.note); rerr != nil || string(b) != sliceNoteDone {
			return errors.Join(fmt.Errorf("what is there of it was removed by somebody: %w", err), rerr)
		}
		return nil // another job, whose slice was the last, has named the file, this slice included
	}
	if err != nil {
		return err
	}
	if !p.named {
		if p.missing, err = t.missing(r, base); err != nil || p.missing > 0 {
			return err
		}
		if err := p.name(ref, base, s, replace); err != nil {
			return err
		}
		p.named = true
	}
	// The file has its name. What stays of the rest after a crash speaks of a temporary file that is not there any more.
	err = t.sayDone()
	for _, name := range append(sliceStates(base, t.slice.Count), partialName(base, "", noteSuffix)) {
		if rerr := r.Remove(name); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// sayDone tells those who have the note open that the file has its name.
func (t *sliceTarget) sayDone() error {
	if err := t.note.Truncate(0); err != nil {
		return err
	}
	_, err := t.note.WriteAt([]byte(sliceNoteDone), 0)
	return err
}

// missing counts the slices of the set that are not whole.
func (t *sliceTarget) missing(r *os.Root, base string) (n int, err error) {
	for i := 1; i <= t.slice.Count; i++ {
		head, err := t.head(r, base, i)
		if err != nil {
			return 0, err
		}
		if head == nil || head[stateHead-1] == 0 {
			n++
		}
	}
	return n, nil
}

// name gives the file its attributes and its name.
func (p *sliceSealed) name(ref *dirRef, base string, s Sync, replace bool) error {
	t, r := p.t, ref.root
	if _, err := t.t.ours(r, base); err != nil {
		self, serr := t.t.f.Stat()
		final, ferr := r.Lstat(base)
		if serr == nil && ferr == nil && os.SameFile(self, final) {
			return nil // another job has named it, and died before it could say so
		}
		return err
	}
	if err := setAttr(r, t.t.tmp, p.attr, t.t.made); err != nil {
		return err
	}
	if s != SyncNone {
		if err := fdatasync(t.t.f); err != nil {
			return err
		}
	}
	return ref.rename(t.t.tmp, base, replace)
}

// Discard implements Sealed.
func (p *sliceSealed) Discard(ctx context.Context) error {
	if p.over || p.named { // published, or left for the others
		return p.t.closeFiles()
	}
	return p.t.Discard(ctx)
}
