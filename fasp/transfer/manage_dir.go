package transfer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// errRoot refuses to touch the place itself.
func errRoot(op string) error {
	return &Error{Code: CodeBadPath, Op: op, Err: errors.New("this is the place itself: name something in it")}
}

// matches says whether a name is one that Walk is to find.
func (o WalkOptions) matches(name string) bool {
	if o.Match == "" {
		return true
	}
	_, base := splitName(name)
	return strings.Contains(strings.ToLower(base), strings.ToLower(o.Match))
}

// Walk implements Manager.
func (d *Dir) Walk(ctx context.Context, name string, o WalkOptions, fn func(Info) error) error {
	in, err := d.Stat(ctx, name, true)
	if err != nil {
		return err
	}
	if !in.Mode.IsDir() {
		return fn(in)
	}
	return d.walk(ctx, name, "", o, fn)
}

func (d *Dir) walk(ctx context.Context, dir, below string, o WalkOptions, fn func(Info) error) error {
	var folders []string
	err := d.ReadDir(ctx, dir, func(in Info) error {
		if isPartial(in.Name) {
			return nil
		}
		if in.Mode.IsDir() && o.Deep {
			folders = append(folders, in.Name)
		}
		in.Name = joinName(below, in.Name)
		if !o.matches(in.Name) {
			return nil
		}
		return fn(in)
	})
	if err != nil {
		return err
	}
	for _, f := range folders {
		err := d.walk(ctx, joinName(dir, f), joinName(below, f), o, fn)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // gone since it was listed
			return err
		}
	}
	return nil
}

// Remove implements Manager.
func (d *Dir) Remove(ctx context.Context, name string, all bool) (int64, error) {
	if name == "." {
		return 0, errRoot("remove")
	}
	in, err := d.Stat(ctx, name, false)
	if err != nil {
		return 0, err
	}
	n := int64(1)
	if all && in.Mode.IsDir() {
		err := d.Walk(ctx, name, WalkOptions{Deep: true}, func(Info) error { n++; return nil })
		if err != nil {
			return 0, err
		}
		d.dirs.drop(name)
		err = d.root.RemoveAll(name)
		if err != nil {
			return 0, err
		}
	} else if err := d.root.Remove(name); err != nil {
		return 0, err
	}
	dir, _ := splitName(name)
	if err := d.markDirty(dir); err != nil {
		return n, err
	}
	return n, d.syncDirs()
}

// Rename implements Manager.
func (d *Dir) Rename(ctx context.Context, old, name string, replace bool) (int64, error) {
	if old == "." || name == "." {
		return 0, errRoot("rename")
	}
	src, err := d.Stat(ctx, old, false)
	if err != nil {
		return 0, err
	}
	dst, err := d.Stat(ctx, name, false)
	switch {
	case err == nil && (dst.Mode.IsDir() || src.Mode.IsDir() || !replace):
		return 0, &fs.PathError{Op: "rename", Path: name, Err: syscall.EEXIST}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return 0, err
	}
	to, _ := splitName(name)
	if err := d.Mkdir(ctx, to); err != nil {
		return 0, err
	}
	d.dirs.drop(old)
	if err := d.root.Rename(old, name); err != nil {
		return 0, err
	}
	from, _ := splitName(old)
	if err := errors.Join(d.markDirty(from), d.markDirty(to)); err != nil {
		return 1, err
	}
	return 1, d.syncDirs()
}

// Clean implements Manager. A partial file that a transfer of any process holds open is not touched.
func (d *Dir) Clean(ctx context.Context, name string, age time.Duration, dry bool, fn func(Leftover) error) error {
	before := time.Now().Add(-age)
	return d.clean(ctx, name, before, dry, fn)
}

func (d *Dir) clean(ctx context.Context, dir string, before time.Time, dry bool, fn func(Leftover) error) error {
	var folders []string
	var found []Info
	err := d.ReadDir(ctx, dir, func(in Info) error {
		switch {
		case in.Mode.IsDir():
			folders = append(folders, in.Name)
		case isPartial(in.Name) && in.Mode.IsRegular() && time.Unix(0, in.Mtime).Before(before):
			found = append(found, in)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, in := range found {
		left, err := d.cleanOne(joinName(dir, in.Name), dry)
		if err != nil {
			return err
		}
		if !left {
			continue
		}
		l := Leftover{Name: joinName(dir, in.Name), Kind: "partial file", Size: in.Size, Begun: time.Unix(0, in.Mtime)}
		if err := fn(l); err != nil {
			return err
		}
	}
	for _, f := range folders {
		if err := d.clean(ctx, joinName(dir, f), before, dry, fn); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// cleanOne removes a partial file that nobody is writing; false if somebody is, or it is gone.
func (d *Dir) cleanOne(name string, dry bool) (left bool, err error) {
	err = d.within(name, func(r *os.Root, base string) error {
		f, err := r.OpenFile(base, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := lockFile(f); err != nil {
			if errors.Is(err, ErrBusy) {
				return fs.ErrNotExist
			}
			return err
		}
		if dry {
			return nil
		}
		return r.Remove(base)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
