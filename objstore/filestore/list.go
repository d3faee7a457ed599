package filestore

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/tradewind-io/tradewind/objstore"
)

// maxPage is how many entries a page of a listing has. Each page reads again the folders that it is in.
const maxPage = 4096

// List implements objstore.Driver. A token is the last key of the page before.
func (s *Store) List(ctx context.Context, o objstore.ListOptions) (page objstore.Page, err error) {
	const op = "list"
	if err := s.check(ctx, op, o.Prefix); err != nil {
		return page, err
	}
	limit := maxPage
	if o.Max > 0 {
		limit = min(o.Max, maxPage)
	}
	after := o.Token
	if after == "" {
		after = o.After
	}
	top, base := split(o.Prefix)
	w := &walk{
		ctx: ctx, s: s, after: after, window: limit + 1, markers: true,
		keep: func(name string) bool { return !hidden(name) },
		top:  func(name string) bool { return strings.HasPrefix(name, base) },
	}
	w.file = func(key string) (bool, error) {
		obj, err := s.listed(key)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, objstore.ErrNotFound) {
			return true, nil // gone since it was seen, or no file after all
		}
		page.Objects = append(page.Objects, obj)
		return len(page.Objects) <= limit, err
	}
	w.folder = func(key string, marker bool) (bool, error) {
		switch {
		case marker:
			obj, err := s.statFolder(op, key, strings.TrimSuffix(key, "/"))
			if err != nil {
				return true, nil // gone since it was seen
			}
			page.Objects = append(page.Objects, obj)
		case o.Delimited:
			// A token names a folder that was listed; a key to begin after may lie in one.
			if key != o.Token {
				page.Objects = append(page.Objects, objstore.Object{Key: key, Folder: true})
			}
		default:
			return true, errDescend
		}
		return len(page.Objects) <= limit, nil
	}
	if err := w.run(top, o.Prefix); err != nil {
		return objstore.Page{}, failure(op, o.Prefix, err)
	}
	if len(page.Objects) > limit {
		page.Objects = page.Objects[:limit]
		page.Next = page.Objects[limit-1].Key
	}
	return page, nil
}

// listed describes the file at key.
func (s *Store) listed(key string) (objstore.Object, error) {
	f, o, err := s.open("list", key, "")
	if errors.Is(err, fs.ErrPermission) {
		// It is there, though its bytes and attributes cannot be read.
		fi, err := s.root.Lstat(native(key))
		if err != nil {
			return objstore.Object{}, err
		}
		if !fi.Mode().IsRegular() {
			return objstore.Object{}, fs.ErrNotExist
		}
		return objectOf(key, fi, ""), nil
	}
	if err != nil {
		return objstore.Object{}, err
	}
	return o, f.Close()
}

// errDescend is what walk.folder answers to have its contents.
var errDescend = errors.New("descend")

// errEnough ends a walk.
var errEnough = errors.New("enough")

// walk goes through folders in the order of keys, which is not that of names: a folder counts with the "/" behind it.
type walk struct {
	ctx     context.Context // of the call that walks
	s       *Store
	after   string // only what comes behind this key
	window  int    // names of a folder to keep in memory at a time
	markers bool   // empty folders are told

	keep func(name string) bool // files by name
	top  func(name string) bool // names in the folder where the walk begins; those of folders end in "/"
	// file and folder are told what there is, and say whether to go on.
	file   func(key string) (bool, error)
	folder func(key string, marker bool) (bool, error)
}

// run walks the folder top, of keys that begin with prefix.
func (w *walk) run(top, prefix string) error {
	if top != "" && !valid(top) {
		return nil // nothing can be there
	}
	inside := ""
	if top != "" {
		inside = top + "/"
	}
	rest, in := strings.CutPrefix(w.after, inside)
	if !in {
		if w.after > inside {
			return nil // all of it lies before
		}
		rest = ""
	}
	err := w.walk(top, rest, w.top, prefix == inside)
	if errors.Is(err, errEnough) || isMissing(err) {
		return nil
	}
	return err
}

// walk goes through the folder dir, behind the name or path after. only filters names; marker says that dir itself may
// be told if it is empty.
func (w *walk) walk(dir, after string, only func(string) bool, marker bool) error {
	behind := false // after itself is not to be entered again
	for {
		list, empty, err := w.names(dir, after, behind, only)
		if err != nil {
			return err
		}
		if key := dir + "/"; empty && marker && w.markers && dir != "" && key > w.after {
			return w.tell(w.folder(key, true))
		}
		for _, name := range list {
			if err := w.entry(dir, name, after, behind); err != nil {
				return err
			}
			marker = false
		}
		if len(list) < w.window {
			return nil
		}
		after, behind = list[len(list)-1], true
	}
}

// entry deals with one name in dir.
func (w *walk) entry(dir, name, after string, behind bool) error {
	key := join(dir, name)
	if !strings.HasSuffix(name, "/") {
		return w.tell(w.file(key))
	}
	more, err := w.folder(key, false)
	if !errors.Is(err, errDescend) {
		return w.tell(more, err)
	}
	rest := ""
	if !behind {
		if r, in := strings.CutPrefix(after, name); in {
			rest = r
		}
	}
	err = w.walk(strings.TrimSuffix(key, "/"), rest, nil, true)
	if isMissing(err) {
		return nil // gone since it was seen
	}
	return err
}

// tell makes an error of what a callback says.
func (w *walk) tell(more bool, err error) error {
	if err == nil && !more {
		return errEnough
	}
	return err
}

// names returns the first names of a folder behind after, at most window, sorted; those of folders end in "/". A folder
// that after lies in counts as behind it, unless behind is set. empty says that nothing at all is in the folder.
func (w *walk) names(dir, after string, behind bool, only func(string) bool) (list []string, empty bool, err error) {
	f, err := w.s.root.Open(native(dir))
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	empty = true
	for {
		if err := context.Cause(w.ctx); err != nil {
			return nil, false, err
		}
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			empty = false
			name := e.Name()
			switch {
			case e.IsDir():
				name += "/"
			case !w.keep(name) || !w.isFile(dir, e):
				continue
			}
			entered := !behind && name[len(name)-1] == '/' && strings.HasPrefix(after, name)
			if (name <= after && !entered) || only != nil && !only(name) {
				continue
			}
			if list = append(list, name); len(list) >= 2*w.window {
				slices.Sort(list)
				list = list[:w.window]
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, false, err
		}
	}
	slices.Sort(list)
	return list[:min(len(list), w.window)], empty, nil
}

// isFile says whether an entry is a file, or a link to one that lies inside.
func (w *walk) isFile(dir string, e os.DirEntry) bool {
	if e.Type()&fs.ModeSymlink == 0 {
		return e.Type().IsRegular()
	}
	fi, err := w.s.root.Stat(native(join(dir, e.Name())))
	return err == nil && fi.Mode().IsRegular()
}
