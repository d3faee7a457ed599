package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"
)

// packedRest is how old a packed file under its temporary name must be at least to count as left over. It waits there for
// a sync and its final name, and is not locked.
const packedRest = time.Minute

// Clean implements Manager. A partial file that a transfer of any process holds open is not touched, and its checkpoint goes
// only together with it. The age counts from the last change of content or attributes, since a file that is whole has the
// time of its source already. It goes on after an error and returns the first.
func (d *Dir) Clean(ctx context.Context, name string, age time.Duration, dry bool, fn func(Leftover) error) error {
	c := &cleaner{d: d, now: time.Now(), age: age, dry: dry, fn: fn}
	if err := c.folder(ctx, name); err != nil {
		return err
	}
	return c.first
}

// cleaner is one Clean.
type cleaner struct {
	d     *Dir
	now   time.Time
	age   time.Duration
	dry   bool
	fn    func(Leftover) error
	first error // what could not be cleaned
}

// leftover is the name of a file that a transfer makes beside another.
type leftover struct {
	of     string // the last element of what it was to become, or of the partial file if that does not tell
	part   string // the temporary name of the data
	packed bool   // of a file that came in a pack
	state  bool   // a checkpoint, or a note about slices
}

// parseLeftover takes the last element of a name apart; ok is false for a file that no transfer makes. Files that only look
// similar, such as those in upper case, are somebody's.
func parseLeftover(base string) (l leftover, ok bool) {
	stem, found := strings.CutPrefix(base, ".")
	if !found {
		return l, false
	}
	stem, next := strings.CutSuffix(stem, ".new") // of a state
	if i := len(stem) - 2*tagBytes - 1; i > 0 && stem[i] == '~' && strings.Trim(stem[i+1:], "0123456789abcdef") == "" {
		stem, l.packed = stem[:i], true
	}
	if s, is := strings.CutSuffix(stem, noteSuffix); is && !l.packed && !next {
		stem, l.state = s, true
	} else if s, is := strings.CutSuffix(stem, stateSuffix); is {
		stem, l.state, l.packed = s, true, false // with a tag it is of a slice
	} else if s, is := strings.CutSuffix(stem, partSuffix); is && !next {
		stem = s
	} else {
		return l, false
	}
	if stem == "" {
		return l, false
	}
	l.of, l.part = stem, "."+stem+partSuffix
	if l.packed {
		l.part = base
	}
	if partialName(stem, "", partSuffix) != "."+stem+partSuffix {
		l.of = base // it was cut
	}
	return l, true
}

// folder cleans the folder dir. Its error ends everything.
func (c *cleaner) folder(ctx context.Context, dir string) error {
	var folders, parts, states []string
	err := c.d.ReadDir(ctx, dir, func(in Info) error {
		if in.Mode.IsDir() {
			folders = append(folders, in.Name)
			return nil
		}
		l, ok := parseLeftover(in.Name)
		link := l.packed && in.Mode&fs.ModeSymlink != 0 // one that was to replace another
		if !ok || !in.Mode.IsRegular() && !link || !c.old(in, l.packed) {
			return nil
		}
		if l.state {
			states = append(states, in.Name)
		} else {
			parts = append(parts, in.Name)
		}
		return nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.note(err)
	// Data first, and its state with it: what is left of the states has no data.
	for _, base := range append(parts, states...) {
		if err := c.file(dir, base); err != nil {
			return err
		}
	}
	for _, f := range folders {
		if err := c.folder(ctx, joinName(dir, f)); err != nil {
			return err
		}
	}
	return nil
}

// old says whether nothing has happened to a file for long enough.
func (c *cleaner) old(in Info, packed bool) bool {
	age := c.age
	if packed {
		age = max(age, packedRest)
	}
	return time.Unix(0, max(in.Mtime, in.Ctime)).Before(c.now.Add(-age))
}

func (c *cleaner) note(err error) {
	if c.first == nil && !errors.Is(err, fs.ErrNotExist) {
		c.first = err
	}
}

// file removes one leftover and tells of it. Its error ends everything.
func (c *cleaner) file(dir, base string) error {
	l, _ := parseLeftover(base)
	out := Leftover{Name: joinName(dir, l.of), Kind: "partial file"}
	if l.state {
		out.Kind = "checkpoint"
	}
	done := false
	err := c.d.within(joinName(dir, base), func(r *os.Root, base string) error {
		fi, err := r.Lstat(base)
		if err != nil {
			return err
		}
		in := infoOf(fi)
		out.Size, out.Begun = in.Size, time.Unix(0, max(in.Mtime, in.Ctime))
		switch {
		case l.packed:
			done, err = c.packed(r, dir, base)
		case l.state:
			done, err = c.state(r, base, l.part)
		default:
			done, err = c.part(r, base, fi)
		}
		return err
	})
	c.note(err)
	if err != nil || !done {
		return nil
	}
	return c.fn(out)
}

// packed removes a packed file, unless this process is about to give it its name.
func (c *cleaner) packed(r *os.Root, dir, base string) (bool, error) {
	c.d.mu.Lock()
	_, used := c.d.temps[joinName(dir, base)]
	c.d.mu.Unlock()
	if used || c.dry {
		return !used, nil
	}
	return true, r.Remove(base)
}

// state removes a checkpoint that has no data.
func (c *cleaner) state(r *os.Root, base, part string) (bool, error) {
	if _, err := r.Lstat(part); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return false, err // it goes with the data, or stays with it
	}
	if c.dry {
		return true, nil
	}
	return true, r.Remove(base)
}

// part removes a partial file and its checkpoint, if nobody is writing it: whoever does has it locked.
func (c *cleaner) part(r *os.Root, base string, seen fs.FileInfo) (bool, error) {
	f, err := r.Open(base)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := lockFile(f); err != nil {
		if errors.Is(err, ErrBusy) {
			err = nil
		}
		return false, err
	}
	// Whoever held the lock may have published it, and somebody begun another, since it was looked at.
	self, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := r.Lstat(base)
	if err != nil || !os.SameFile(self, now) || !os.SameFile(self, seen) || !c.old(infoOf(now), false) {
		return false, err
	}
	if c.dry {
		return true, nil
	}
	// The state goes first: state without its data would be trusted. Those of slices count for nothing without their note, and are found without data
	// when they are at their turn.
	stem := strings.TrimSuffix(base, partSuffix)
	for _, s := range []string{stem + noteSuffix, stem + stateSuffix + ".new", stem + stateSuffix} {
		if err := r.Remove(s); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, r.Remove(base)
}
