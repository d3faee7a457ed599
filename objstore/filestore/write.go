package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/tradewind-io/tradewind/objstore"
)

// Put implements objstore.Driver.
func (s *Store) Put(ctx context.Context, key string, body *io.SectionReader, o objstore.PutOptions) (objstore.Object, error) {
	const op = "put"
	if err := s.check(ctx, op, key); err != nil {
		return objstore.Object{}, err
	}
	if dir, ok := strings.CutSuffix(key, "/"); ok && valid(dir) {
		return s.putFolder(op, key, dir, body, o)
	}
	obj, err := s.write(key, o, func(f *os.File) error { return copyBody(ctx, f, 0, body) })
	return obj, failure(op, key, err)
}

// putFolder makes an empty folder.
func (s *Store) putFolder(op, key, dir string, body *io.SectionReader, o objstore.PutOptions) (objstore.Object, error) {
	if body.Size() > 0 {
		return objstore.Object{}, fail(op, key, objstore.Invalid, errors.New("a folder has no bytes"))
	}
	_, err := s.root.Stat(native(dir))
	if err == nil && o.IfAbsent {
		return objstore.Object{}, fail(op, key, objstore.Exists, nil)
	}
	if err := s.mkdirs(dir); err != nil {
		return objstore.Object{}, failure(op, key, err)
	}
	if !o.Attr.Mtime.IsZero() {
		if err := s.root.Chtimes(native(dir), o.Attr.Mtime, o.Attr.Mtime); err != nil {
			return objstore.Object{}, failure(op, key, err)
		}
	}
	return s.statFolder(op, key, dir)
}

// write makes the object at key out of what fill writes.
func (s *Store) write(key string, o objstore.PutOptions, fill func(*os.File) error) (objstore.Object, error) {
	temp := beside(key, newID(), tempSuffix)
	f, err := s.create(key, temp)
	if err != nil {
		return objstore.Object{}, err
	}
	defer f.Close()
	err = fill(f)
	if err == nil {
		err = s.setAttr(f, temp, o.Attr)
	}
	if err == nil && !s.cfg.NoSync {
		err = f.Sync()
	}
	if err == nil {
		err = s.publish(temp, key, o.IfAbsent)
	}
	if err != nil {
		err = errors.Join(err, ignoreMissing(s.root.Remove(native(temp))))
		s.prune(key)
		return objstore.Object{}, err
	}
	if !s.cfg.NoSync {
		if err := s.syncAbove(key); err != nil {
			return objstore.Object{}, err
		}
	}
	return describe(key, f)
}

// create makes a hidden file for the object at key, and the folders above it.
func (s *Store) create(key, name string) (*os.File, error) {
	if !valid(key) {
		return nil, &objstore.Error{Kind: objstore.Invalid, Err: errors.New("a file cannot have this name here")}
	}
	if fi, err := s.root.Stat(native(key)); err == nil && !fi.Mode().IsRegular() {
		return nil, &objstore.Error{Kind: objstore.Invalid, Err: errors.New("there is a folder, or what is no file, of this name")}
	}
	dir, base := split(key)
	if len(base) > maxElement {
		return nil, &objstore.Error{Kind: objstore.Invalid, Err: fmt.Errorf("a name has at most %d bytes between slashes", maxElement)}
	}
	for try := 1; ; try++ {
		err := s.mkdirs(dir)
		if err == nil {
			var f *os.File
			if f, err = s.root.OpenFile(native(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666); err == nil {
				return f, nil
			}
		}
		// The folder may have been empty in the meantime, and been removed with the last file that was in it.
		if try == 20 || !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// mkdirs makes the folder dir and those above it, durably.
func (s *Store) mkdirs(dir string) error {
	if dir == "" {
		return nil
	}
	fi, err := s.root.Stat(native(dir))
	if err == nil && fi.IsDir() {
		return nil
	}
	if err == nil {
		return &objstore.Error{Kind: objstore.Invalid, Err: fmt.Errorf("%q is a file and cannot be a folder too", dir)}
	}
	if isEscape(err) || !isMissing(err) {
		return err
	}
	above, _ := split(dir)
	if err := s.mkdirs(above); err != nil {
		return err
	}
	if err := s.root.Mkdir(native(dir), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return ignoreMissing(s.syncDir(above))
}

// publish gives the hidden file at temp the name key.
func (s *Store) publish(temp, key string, ifAbsent bool) error {
	if !ifAbsent {
		return s.root.Rename(native(temp), native(key))
	}
	// A link is the one portable way to take a name only if it is free.
	err := s.root.Link(native(temp), native(key))
	if errors.Is(err, fs.ErrExist) {
		return &objstore.Error{Kind: objstore.Exists}
	}
	if err != nil {
		return err
	}
	return s.root.Remove(native(temp))
}

// syncAbove makes the name of the file at key durable. If the folder is gone, somebody has already removed the file again.
func (s *Store) syncAbove(key string) error {
	dir, _ := split(key)
	return ignoreMissing(s.syncDir(dir))
}

// syncDir makes the names in a folder durable.
func (s *Store) syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows has no sync of a folder; its file systems log names themselves
	}
	f, err := s.root.Open(native(dir))
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil // a folder that may be written to but not read cannot be synced
		}
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// piece is how much is copied between looks at the context, in bytes.
const piece = 1 << 20

// copyBody writes a body into f from off on, and returns soon after ctx has ended.
func copyBody(ctx context.Context, f io.WriterAt, off int64, body *io.SectionReader) error {
	buf := make([]byte, min(piece, body.Size()))
	for done := int64(0); done < body.Size(); {
		b := buf[:min(int64(len(buf)), body.Size()-done)]
		if n, err := body.ReadAt(b, done); n < len(b) {
			return fmt.Errorf("read the body at %d: %w", done+int64(n), err)
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, off+done); err != nil {
			return err
		}
		done += int64(len(b))
	}
	return context.Cause(ctx)
}

// Copy implements objstore.Driver. A copy onto itself changes the attributes in place.
func (s *Store) Copy(ctx context.Context, src, etag, dst string, o *objstore.PutOptions) (objstore.Object, error) {
	const op = "copy"
	if err := s.check(ctx, op, src); err != nil {
		return objstore.Object{}, err
	}
	if dir, ok := strings.CutSuffix(src, "/"); ok && strings.HasSuffix(dst, "/") { // the marker of a folder
		m, err := s.statFolder(op, src, dir)
		if err != nil {
			return objstore.Object{}, err
		}
		if o == nil {
			o = &objstore.PutOptions{Attr: m.Attr}
		}
		return s.Put(ctx, dst, io.NewSectionReader(strings.NewReader(""), 0, 0), *o)
	}
	from, obj, err := s.open(op, src, etag)
	if err != nil {
		return objstore.Object{}, err
	}
	defer from.Close()
	if o == nil {
		o = &objstore.PutOptions{Attr: obj.Attr}
	}
	if src == dst {
		if o.IfAbsent {
			return objstore.Object{}, fail(op, dst, objstore.Exists, nil)
		}
		if obj, err = s.reattr(src, o.Attr); err != nil {
			return objstore.Object{}, failure(op, src, err)
		}
		return obj, nil
	}
	obj, err = s.write(dst, *o, func(f *os.File) error {
		for off := int64(0); off < obj.Size; {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			// In large pieces, which the system copies, or shares, without their passing here where it can.
			n, err := io.CopyN(f, from, min(256*piece, obj.Size-off))
			off += n
			if err != nil {
				return fmt.Errorf("copy at %d: %w", off, err)
			}
		}
		now, err := describe(src, from)
		if err == nil && !sameContent(&now, &obj) {
			err = &objstore.Error{Op: op, Key: src, Kind: objstore.Changed}
		}
		return err
	})
	return obj, failure(op, dst, err)
}

// reattr replaces the attributes of a file.
func (s *Store) reattr(key string, a objstore.Attr) (objstore.Object, error) {
	f, err := s.root.OpenFile(native(key), os.O_RDWR, 0)
	if err != nil {
		return objstore.Object{}, err
	}
	defer f.Close()
	if err := s.setAttr(f, key, a); err != nil {
		return objstore.Object{}, err
	}
	if !s.cfg.NoSync {
		if err := f.Sync(); err != nil {
			return objstore.Object{}, err
		}
	}
	return describe(key, f)
}
