package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
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

// Folder implements Manager.
func (d *Dir) Folder(_ context.Context, name string) (Manager, error) {
	name, err := cleanPath(name)
	if err != nil {
		return nil, err
	}
	at, err := d.root.OpenRoot(".")
	if err != nil {
		return nil, err
	}
	for el := range strings.SplitSeq(name, "/") {
		if el == "." {
			break
		}
		next, err := plainFolder(at, el)
		if cerr := at.Close(); err == nil && cerr != nil {
			err = errors.Join(cerr, next.Close())
		}
		if err != nil {
			return nil, err
		}
		at = next
	}
	sub, err := NewDir(at)
	if err != nil {
		return nil, errors.Join(err, at.Close())
	}
	return sub, nil
}

// plainFolder opens a folder in r, and no link to one.
func plainFolder(r *os.Root, name string) (*os.Root, error) {
	seen, err := r.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !seen.IsDir() {
		return nil, failf(CodeNotDir, name, "it is no folder")
	}
	sub, err := r.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	is, err := sub.Stat(".")
	if err == nil && !os.SameFile(seen, is) { // it gave way to a link, or to another folder
		err = failf(CodeNoSuchFile, name, "it is another one than a moment ago")
	}
	if err != nil {
		return nil, errors.Join(err, sub.Close())
	}
	return sub, nil
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

// Remove implements Manager. It goes on after an error and returns the first; partial files in a folder go with it, and do
// not count.
func (d *Dir) Remove(ctx context.Context, name string, all bool) (n int64, err error) {
	if name == "." {
		return 0, errRoot("remove")
	}
	d.dirs.dropBelow(name) // Windows removes nothing that is open
	err = d.within(name, func(r *os.Root, base string) error {
		fi, err := r.Lstat(base)
		switch {
		case err != nil:
			return err
		case all && fi.IsDir():
			n, err = removeTree(ctx, r, base, name)
			return err
		}
		if err = r.Remove(base); err == nil {
			n = 1
		}
		return err
	})
	d.dirs.dropBelow(name) // what was opened meanwhile leads nowhere
	if n == 0 {
		return 0, err
	}
	dir, _ := splitName(name)
	return n, errors.Join(err, d.markDirty(dir), d.syncDirs())
}

// removeTree removes the folder base, at name in the place, and what is in it.
func removeTree(ctx context.Context, r *os.Root, base, name string) (n int64, err error) {
	sub, err := realSub(r, base, name)
	if err != nil {
		return 0, err
	}
	n, err = removeIn(ctx, sub, name)
	if cerr := sub.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return n, err
	}
	if err := r.Remove(base); err != nil {
		return n, err
	}
	return n + 1, nil
}

// removeSlice is how many names of a folder are read at a time.
const removeSlice = 1024

// removeIn removes what is in the open folder r. It reads the folder anew after each slice: what a folder lists while
// names go is not the same everywhere.
func removeIn(ctx context.Context, r *os.Root, name string) (n int64, first error) {
	for {
		list, err := readSlice(r)
		if err != nil {
			return n, err
		}
		gone := 0
		for _, de := range list {
			if ctx.Err() != nil {
				return n, context.Cause(ctx)
			}
			k, err := int64(1), error(nil)
			if de.IsDir() {
				k, err = removeTree(ctx, r, de.Name(), joinName(name, de.Name()))
			} else if err = r.Remove(de.Name()); err != nil || isPartial(de.Name()) {
				k = 0
			}
			n += k
			switch {
			case err == nil || errors.Is(err, fs.ErrNotExist):
				gone++
			case first == nil:
				first = err
			}
		}
		if gone == 0 || first != nil && len(list) < removeSlice {
			return n, first
		}
	}
}

func readSlice(r *os.Root) ([]fs.DirEntry, error) {
	f, err := r.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.ReadDir(removeSlice)
	if err == io.EOF {
		err = nil
	}
	return list, err
}

// Rename implements Manager. The new name is durable when it returns.
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
	from, _ := splitName(old)
	to, _ := splitName(name)
	if strings.HasPrefix(to+"/", old+"/") {
		return 0, failf(CodeBadPath, "", "%q lies in it", name)
	}
	if err := d.Mkdir(ctx, to); err != nil {
		return 0, err
	}
	d.dirs.dropBelow(old) // Windows renames no folder that is open
	if err := d.rename(old, name, replace && !src.Mode.IsDir()); err != nil {
		return 0, err
	}
	d.dirs.dropBelow(old) // the old names lead to nothing now
	if err := errors.Join(d.markDirty(from), d.markDirty(to)); err != nil {
		return 1, err
	}
	return 1, d.syncDirs()
}
