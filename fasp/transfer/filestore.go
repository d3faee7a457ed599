package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/zeebo/blake3"
)

// Dir is a Store in a folder of the local file system, held open with os.Root: no name and no symbolic
// link leads out of it. The exception is a Dir of the file system's root folder itself, from which there
// is no way out: there absolute symbolic links in sources are followed.
//
// The folder may be renamed while the Dir is open. Methods may be called by several goroutines at once.
type Dir struct {
	root   *os.Root
	handle *os.File // the root folder, to sync its file system by
	dev    uint64
	free   bool   // the root is the file system's own
	path   string // as given, made absolute
	dirs   dirCache
	list   lister // listNames, but in tests of listPortable

	syncing chan struct{} // whoever syncs folders holds the one token

	mu    sync.Mutex // protects the rest
	dirty map[string]struct{}
	temps map[string]struct{} // temporary names of files that Put wrote, which are not published
}

// OpenDir opens the folder dir, which must exist.
func OpenDir(dir string) (*Dir, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, storeError(CodeBadPath, "open", dir, err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, storeError(CodeNoSuchFile, "open", dir, err)
	}
	d, err := NewDir(root)
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	d.path, d.free = abs, abs == filepath.VolumeName(abs)+string(filepath.Separator)
	return d, nil
}

// NewDir makes a Dir of a folder that is open already, and takes it over unless it fails.
func NewDir(root *os.Root) (*Dir, error) {
	handle, err := root.Open(".")
	if err != nil {
		return nil, storeError(CodeNoPerms, "open", root.Name(), err)
	}
	d := &Dir{root: root, handle: handle, path: root.Name(), list: listNames, syncing: make(chan struct{}, 1)}
	if fi, err := handle.Stat(); err == nil {
		d.dev = infoOf(fi).Dev
	}
	d.dirs.open, d.dirs.stat = d.openRoot, root.Stat
	return d, nil
}

// Close releases the folder.
func (d *Dir) Close() error {
	d.dirs.close()
	return errors.Join(d.handle.Close(), d.root.Close())
}

// openRoot opens the folder at name for the cache.
func (d *Dir) openRoot(name string) (*os.Root, error) {
	r, err := d.root.OpenRoot(name)
	if d.free && isEscape(err) {
		var real string
		if real, err = d.resolve(name); err == nil {
			r, err = d.root.OpenRoot(real)
		}
	}
	if err != nil && !isEscape(err) && !errors.Is(err, fs.ErrNotExist) {
		// What is no folder gets an error of its own that has no type; give it one.
		if fi, serr := d.root.Stat(name); serr == nil && !fi.IsDir() {
			return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
		}
	}
	return r, err
}

// resolve follows absolute links, which os.Root does not; only for a Dir of the whole file system.
func (d *Dir) resolve(name string) (string, error) {
	real, err := filepath.EvalSymlinks(filepath.Join(d.path, filepath.FromSlash(name)))
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(d.path, real)
	return rel, err
}

func infoOf(fi fs.FileInfo) Info {
	in := Info{Name: fi.Name(), Mode: fi.Mode(), Size: fi.Size(), Mtime: fi.ModTime().UnixNano()}
	sysInfo(fi, &in)
	return in
}

// Stat implements Store.
func (d *Dir) Stat(_ context.Context, name string, follow bool) (Info, error) {
	r, base, err := d.folderOf(name)
	if err != nil {
		return Info{}, err
	}
	defer d.dirs.put(r)
	in, err := r.lstat(base)
	if err != nil {
		return Info{}, err
	}
	if follow && in.Mode&fs.ModeSymlink != 0 {
		fi, err := d.root.Stat(name)
		if d.free && isEscape(err) {
			fi, err = os.Stat(filepath.Join(d.path, filepath.FromSlash(name)))
		}
		if err != nil {
			return Info{}, err
		}
		in = infoOf(fi)
		in.Name = base
	}
	return in, nil
}

// Readlink implements Store.
func (d *Dir) Readlink(_ context.Context, name string) (string, error) {
	t, err := d.root.Readlink(filepath.FromSlash(name))
	return filepath.ToSlash(t), err
}

// Open implements Store.
func (d *Dir) Open(_ context.Context, name string) (Source, error) {
	r, base, err := d.folderOf(name)
	if err != nil {
		return nil, err
	}
	defer d.dirs.put(r)
	f, err := r.open(base)
	if isEscape(err) { // a link out of its own folder, but perhaps not out of the root
		f, err = d.root.Open(name)
		if d.free && isEscape(err) {
			f, err = os.Open(filepath.Join(d.path, filepath.FromSlash(name)))
		}
	}
	if err != nil {
		return nil, err
	}
	return dirSource{f}, nil
}

type dirSource struct{ *os.File }

func (s dirSource) Info() (Info, error) {
	fi, err := s.Stat()
	if err != nil {
		return Info{}, err
	}
	return infoOf(fi), nil
}

// Mkdir implements Store.
func (d *Dir) Mkdir(_ context.Context, name string) error {
	if name == "." {
		return nil
	}
	r, err := d.dirs.get(name)
	if err == nil {
		d.dirs.put(r)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.mkdirAll(name)
}

func (d *Dir) mkdirAll(name string) error {
	if name == "." {
		return nil
	}
	err := d.root.Mkdir(name, 0o777)
	if errors.Is(err, fs.ErrNotExist) {
		if up := path.Dir(name); up != "." {
			if err := d.mkdirAll(up); err != nil {
				return err
			}
			err = d.root.Mkdir(name, 0o777)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		fi, serr := d.root.Stat(name)
		if serr != nil {
			return serr
		}
		if !fi.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if err == nil {
		err = d.markDirty(path.Dir(name))
	}
	return err
}

// folderOf returns the open folder of name, which the caller gives back, and name's last element.
func (d *Dir) folderOf(name string) (*dirRef, string, error) {
	dir, base := splitName(name)
	if base == ".." { // what it means is no longer checked from here on
		return nil, "", &fs.PathError{Op: "open", Path: name, Err: errEscape}
	}
	r, err := d.dirs.get(dir)
	return r, base, err
}

// within gives fn the open folder of name and name's last element.
func (d *Dir) within(name string, fn func(r *os.Root, base string) error) error {
	return d.inFolder(name, func(r *dirRef, base string) error { return fn(r.root, base) })
}

func (d *Dir) inFolder(name string, fn func(r *dirRef, base string) error) error {
	r, base, err := d.folderOf(name)
	if err != nil {
		return err
	}
	defer d.dirs.put(r)
	return fn(r, base)
}

// making is inFolder for calls that make something at name: the folder is made first if it does not exist.
func (d *Dir) making(name string, fn func(r *dirRef, base string) error) error {
	err := d.inFolder(name, fn)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// The folder is not there, or the one held open was removed meanwhile.
	dir, _ := splitName(name)
	d.dirs.drop(dir)
	if err := d.mkdirAll(dir); err != nil {
		return err
	}
	return d.inFolder(name, fn)
}

// Symlink implements Store.
func (d *Dir) Symlink(_ context.Context, target, name string, force bool) error {
	switch {
	case filepath.IsAbs(target), filepath.Separator != '/' && strings.ContainsAny(target, `\:`), !linkStays(name, target):
		return failf(CodeBadPath, name, "link refused: its target leads out of the destination")
	case hasPartialElement(target):
		return failf(CodeBadPath, name, "link refused: its target is a partial file of a transfer")
	}
	dir, base := splitName(name)
	r, err := d.realDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.mkdirAll(dir); err != nil {
			return err
		}
		r, err = d.realDir(dir)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	err = r.Symlink(target, base)
	if force && errors.Is(err, fs.ErrExist) {
		err = replaceByLink(r, target, base)
	}
	if err != nil {
		return err
	}
	return d.markDirty(dir)
}

func replaceByLink(r *os.Root, target, base string) error {
	tmp := partialName(base, randomTag(), partSuffix)
	if err := r.Symlink(target, tmp); err != nil {
		return err
	}
	if err := r.Rename(tmp, base); err != nil {
		_ = r.Remove(tmp)
		return err
	}
	return nil
}

// realDir opens the folder dir, which the caller closes, and refuses to go through a symbolic link: what a link's
// target leads to can be told by its letters only if the link stands in the folder that its name says.
func (d *Dir) realDir(dir string) (*os.Root, error) {
	at, err := d.root.OpenRoot(".")
	if err != nil || dir == "." {
		return at, err
	}
	for el := range strings.SplitSeq(dir, "/") {
		next, err := realSub(at, el, dir)
		_ = at.Close()
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

func realSub(r *os.Root, el, dir string) (*os.Root, error) {
	linked := failf(CodeBadPath, dir, "link refused: its folder is reached through another link")
	fi, err := r.Lstat(el)
	switch {
	case err != nil:
		return nil, err
	case fi.Mode()&fs.ModeSymlink != 0:
		return nil, linked
	case !fi.IsDir():
		return nil, &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
	}
	sub, err := r.OpenRoot(el)
	if err != nil {
		return nil, err
	}
	// Somebody may have put a link there meanwhile.
	if now, err := sub.Stat("."); err != nil || !os.SameFile(fi, now) {
		return nil, errors.Join(linked, err, sub.Close())
	}
	return sub, nil
}

// SetAttr implements Store.
func (d *Dir) SetAttr(_ context.Context, name string, a Attr) error {
	if name == "." {
		return setAttr(d.root, ".", a, 0)
	}
	return d.within(name, func(r *os.Root, base string) error { return setAttr(r, base, a, 0) })
}

// setAttr applies a to base. made is the mode the file was created with, 0 if it is not ours.
func setAttr(r *os.Root, base string, a Attr, made fs.FileMode) error {
	if mode, ok := changedMode(a, made); ok {
		if err := r.Chmod(base, mode); err != nil {
			return err
		}
	}
	if a.Mtime == 0 {
		return nil
	}
	at := a.Atime
	if at == 0 {
		at = a.Mtime
	}
	return r.Chtimes(base, time.Unix(0, at), time.Unix(0, a.Mtime))
}

// changedMode returns the mode that a file is to get which was created with made, 0 if it is not ours, and whether it is another.
func changedMode(a Attr, made fs.FileMode) (fs.FileMode, bool) {
	want := fs.FileMode(a.Mode) & fs.ModePerm
	switch {
	case a.Exact:
		return want, true
	case made != 0 && made&want != made:
		// Created with owner rights that the source lacks, to be able to go on after an interruption.
		return made & want, true
	}
	return 0, false
}

// createMode is the mode that a new temporary file asks for; the system's mask applies.
func createMode(a Attr) fs.FileMode { return fs.FileMode(a.Mode)&fs.ModePerm | 0o600 }

// claimTemp gives p a temporary name that no other file of this Dir has. With a tag it is the one that an earlier
// process may have left something under, unless that is in use.
func (d *Dir) claimTemp(p *dirSealed, tag string) {
	dir, base := splitName(p.name)
	if tag != "" {
		sum := blake3.Sum256([]byte(tag))
		p.tmp = partialName(base, hexOf(sum[:tagBytes]), partSuffix)
		claim := joinName(dir, p.tmp)
		d.mu.Lock()
		defer d.mu.Unlock()
		if _, used := d.temps[claim]; !used {
			if d.temps == nil {
				d.temps = make(map[string]struct{})
			}
			d.temps[claim] = struct{}{}
			p.claim = claim
			return
		}
	}
	p.tmp = partialName(base, randomTag(), partSuffix)
}

func (d *Dir) freeTemp(p *dirSealed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.temps, p.claim)
	p.claim = ""
}

// Put implements Store. The temporary name is made of the tag, so that a leftover is replaced, or random where another
// file that this Dir has put, and not yet published, stands under that name.
func (d *Dir) Put(_ context.Context, name, tag string, data []byte, a Attr, s Sync) (Sealed, error) {
	p := &dirSealed{d: d, name: name}
	d.claimTemp(p, tag)
	durable := func(dev uint64) bool { return s == SyncNow || s == SyncLater && !d.flushCovers(dev) }
	err := d.making(name, func(r *dirRef, _ string) (err error) {
		p.made, err = r.writeNew(p.tmp, data, a, durable)
		if p.claim != "" && errors.Is(err, fs.ErrExist) { // a leftover
			if err = r.root.Remove(p.tmp); err == nil {
				p.made, err = r.writeNew(p.tmp, data, a, durable)
			}
		}
		return err
	})
	if err != nil {
		d.freeTemp(p)
		return nil, err
	}
	return p, nil
}

// Create implements Store.
func (d *Dir) Create(_ context.Context, name string, a Attr) (Target, error) {
	t := &dirTarget{d: d, name: name, size: a.Size, sparse: a.Sparse}
	err := d.making(name, func(ref *dirRef, base string) error {
		r := ref.root
		t.tmp = partialName(base, "", partSuffix)
		t.state = partialName(base, "", stateSuffix)
		for range 10 {
			if t.unusable(r, base) {
				if err := errors.Join(t.removeState(r), r.Remove(t.tmp)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
			f, err := r.OpenFile(t.tmp, os.O_RDWR|os.O_CREATE, createMode(a))
			if err != nil {
				return err
			}
			if err := lockFile(f); err != nil {
				_ = f.Close()
				return err
			}
			// Whoever held the lock may have published or removed the file since it was opened.
			fi, err := f.Stat()
			if err == nil {
				var now fs.FileInfo
				if now, err = r.Lstat(t.tmp); err == nil && os.SameFile(fi, now) {
					t.f, t.made, t.partial, t.dev = f, fi.Mode().Perm(), fi.Size(), infoOf(fi).Dev
					if err := dropSlices(r, base); err != nil {
						return errors.Join(err, f.Close())
					}
					return t.begin(r)
				}
			}
			_ = f.Close()
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return fmt.Errorf("%s: %w", base, ErrBusy)
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// HasPartial implements Store.
func (d *Dir) HasPartial(_ context.Context, name string) (left bool, err error) {
	err = d.within(name, func(r *os.Root, base string) error {
		_, err := r.Lstat(partialName(base, "", partSuffix))
		left = err == nil
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return left, err
}

// flushCovers says whether Flush makes data on the file system dev durable.
func (d *Dir) flushCovers(dev uint64) bool { return haveSyncfs && dev == d.dev }

// maxDirty bounds the folders that wait for a sync; sessions that never sync would grow it for ever.
const maxDirty = 1 << 16

// markDirty notes that names in the folder changed.
func (d *Dir) markDirty(dir string) error {
	d.mu.Lock()
	if d.dirty == nil {
		d.dirty = make(map[string]struct{})
	}
	d.dirty[dir] = struct{}{}
	full := len(d.dirty) >= maxDirty
	d.mu.Unlock()
	if full {
		return d.Flush(context.Background())
	}
	return nil
}

// takeDirty returns the folders that were marked. Between it and the return of the token nobody else can find
// that nothing is left to sync, and take for durable what is still being synced.
func (d *Dir) takeDirty() map[string]struct{} {
	d.syncing <- struct{}{}
	d.mu.Lock()
	defer d.mu.Unlock()
	dirty := d.dirty
	d.dirty = nil
	return dirty
}

// giveBack ends what takeDirty began; what was not synced is marked again.
func (d *Dir) giveBack(dirty map[string]struct{}) {
	d.mu.Lock()
	if d.dirty == nil {
		d.dirty = dirty
	} else {
		maps.Copy(d.dirty, dirty)
	}
	d.mu.Unlock()
	<-d.syncing
}

// syncDirs makes names in the folders marked dirty durable.
func (d *Dir) syncDirs() error {
	dirty := d.takeDirty()
	defer d.giveBack(dirty)
	return d.syncEach(dirty)
}

// syncEach syncs the folders and takes those that are done out of the set.
func (d *Dir) syncEach(dirty map[string]struct{}) error {
	for dir := range dirty {
		if err := d.syncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		delete(dirty, dir)
	}
	return nil
}

func (d *Dir) syncDir(dir string) error {
	r, err := d.dirs.get(dir)
	if err != nil {
		return err
	}
	defer d.dirs.put(r)
	f, err := r.root.Open(".")
	if err != nil {
		return err
	}
	err = syncFolder(f)
	return errors.Join(err, f.Close())
}

// Flush implements Store. On Linux it is one syncfs, plus a sync of each touched folder on other file
// systems below the root; elsewhere files were synced when they were sealed and the folders follow here.
func (d *Dir) Flush(context.Context) error {
	dirty := d.takeDirty()
	defer d.giveBack(dirty)
	if haveSyncfs {
		if err := syncfs(d.handle); err != nil {
			return err
		}
		for dir := range dirty {
			if d.covered(dir) {
				delete(dirty, dir)
			}
		}
	}
	return d.syncEach(dirty)
}

// covered says whether the folder lies on the root's own file system.
func (d *Dir) covered(dir string) bool {
	r, err := d.dirs.get(dir)
	if err != nil {
		return true // gone; nothing to sync
	}
	defer d.dirs.put(r)
	fi, err := r.root.Stat(".")
	return err == nil && infoOf(fi).Dev == d.dev
}

// Free implements Store.
func (d *Dir) Free(context.Context) (int64, error) { return freeBytes(d.handle) }
