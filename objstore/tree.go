package objstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// UploadSuffix ends the keys of the small objects that stand beside uploads which are open, so that another process can
// go on with them. A Tree does not show them.
const UploadSuffix = ".tradewind-upload"

// Tree shows the objects below a prefix as folders and files: what stands before a "/" in a key is a folder. Names are
// slash-separated, "." is the top, and a folder exists if it has a marker, an empty object whose key ends in "/", or
// anything in it. Methods may be called by several goroutines at once. Objects that they return have their name below the
// Tree as Key, folders without a "/" at the end.
type Tree struct {
	b      *Bucket
	prefix string // "" or with a "/" at the end
}

// NewTree returns the Tree below the folder at prefix, "" for all of the place. The folder need not exist.
func NewTree(b *Bucket, prefix string) *Tree {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return &Tree{b: b, prefix: prefix}
}

// Bucket returns the place.
func (t *Tree) Bucket() *Bucket { return t.b }

// Key returns the key of the file at name.
func (t *Tree) Key(name string) string {
	if name == "." || name == "" {
		return strings.TrimSuffix(t.prefix, "/")
	}
	return t.prefix + strings.Trim(name, "/")
}

// folderKey returns the prefix of what is in the folder at name: "" or with a "/" at the end.
func (t *Tree) folderKey(name string) string {
	if name == "." || name == "" {
		return t.prefix
	}
	return t.Key(name) + "/"
}

// name is the other way round.
func (t *Tree) name(key string) string {
	return strings.TrimSuffix(strings.TrimPrefix(key, t.prefix), "/")
}

// Stat describes the file or folder at name. Where both are, it is the file.
func (t *Tree) Stat(ctx context.Context, name string) (Object, error) {
	if key := t.Key(name); key != "" {
		o, err := t.b.Stat(ctx, key)
		if err == nil {
			o.Key = name
			return o, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return Object{}, err
		}
	}
	return t.statFolder(ctx, name)
}

func (t *Tree) statFolder(ctx context.Context, name string) (Object, error) {
	prefix := t.folderKey(name)
	p, err := t.b.ListPage(ctx, ListOptions{Prefix: prefix, Max: 1})
	if err != nil {
		return Object{}, err
	}
	if len(p.Objects) == 0 && p.Next == "" && prefix != "" {
		return Object{}, &Error{Op: "stat", Key: t.Key(name), Kind: NotFound}
	}
	f := Object{Key: name, Folder: true}
	if len(p.Objects) > 0 && p.Objects[0].Key == prefix {
		f.Modified, f.Attr, f.HasAttr = p.Objects[0].Modified, p.Objects[0].Attr, p.Objects[0].HasAttr
	}
	return f, nil
}

// ReadDir returns a page of what is in the folder at name; token and Page.Next are as in Driver.List. A folder that is not
// there is NotFound, which the first page tells.
func (t *Tree) ReadDir(ctx context.Context, name, token string, limit int) (Page, error) {
	prefix := t.folderKey(name)
	p, err := t.b.ListPage(ctx, ListOptions{Prefix: prefix, Delimited: true, Token: token, Max: limit})
	if err != nil {
		return Page{}, err
	}
	if token == "" && len(p.Objects) == 0 && p.Next == "" && prefix != "" {
		if _, err := t.statFolder(ctx, name); err != nil {
			return Page{}, err
		}
	}
	return t.shown(p, prefix), nil
}

// shown takes out of a page what is not a file or folder in the folder whose keys begin with prefix.
func (t *Tree) shown(p Page, prefix string) Page {
	list := p.Objects[:0]
	for _, o := range p.Objects {
		if o.Key == prefix || strings.HasSuffix(o.Key, UploadSuffix) {
			continue
		}
		if strings.HasSuffix(o.Key, "/") {
			o.Folder = true
		}
		o.Key = t.name(o.Key)
		list = append(list, o)
	}
	p.Objects = list
	return p
}

// Walk calls fn for every file below the folder at name, in the order of the store, and for markers of folders. It stops
// at fn's first error and returns it.
func (t *Tree) Walk(ctx context.Context, name string, fn func(Object) error) error {
	prefix := t.folderKey(name)
	for o, err := range t.b.List(ctx, ListOptions{Prefix: prefix}) {
		if err != nil {
			return err
		}
		if o.Key == prefix || strings.HasSuffix(o.Key, UploadSuffix) {
			continue
		}
		o.Folder = strings.HasSuffix(o.Key, "/")
		o.Key = t.name(o.Key)
		if err := fn(o); err != nil {
			return err
		}
	}
	return nil
}

// Search calls fn for every file below the folder at name whose last element contains text, in whatever case.
func (t *Tree) Search(ctx context.Context, name, text string, fn func(Object) error) error {
	text = strings.ToLower(text)
	return t.Walk(ctx, name, func(o Object) error {
		base := o.Key[strings.LastIndexByte(o.Key, '/')+1:]
		if !strings.Contains(strings.ToLower(base), text) {
			return nil
		}
		return fn(o)
	})
}

// Usage is what is below a folder.
type Usage struct {
	Files, Bytes int64
}

// Usage counts the files below name; that of a file is the file.
func (t *Tree) Usage(ctx context.Context, name string) (u Usage, err error) {
	o, err := t.Stat(ctx, name)
	if err != nil {
		return u, err
	}
	if !o.Folder {
		return Usage{1, o.Size}, nil
	}
	err = t.Walk(ctx, name, func(o Object) error {
		if !o.Folder {
			u.Files++
			u.Bytes += o.Size
		}
		return nil
	})
	return u, err
}

// Mkdir makes the folder at name, as a marker, so that it stays when nothing is in it. One that has a marker is no error; a
// file of that name is Exists.
func (t *Tree) Mkdir(ctx context.Context, name string, attr Attr) error {
	prefix := t.folderKey(name)
	if prefix == "" {
		return nil
	}
	if key := t.Key(name); key != strings.TrimSuffix(t.prefix, "/") {
		o, err := t.b.Stat(ctx, key)
		switch {
		case err == nil && !o.Folder:
			return &Error{Op: "make folder", Key: key, Kind: Exists, Err: errors.New("a file has this name")}
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
	}
	if _, err := t.b.Stat(ctx, prefix); err == nil || !errors.Is(err, ErrNotFound) {
		return err
	}
	return t.Mark(ctx, name, attr)
}

// Mark puts the marker of the folder at name, with attributes, whether there is one or not.
func (t *Tree) Mark(ctx context.Context, name string, attr Attr) error {
	prefix := t.folderKey(name)
	if prefix == "" {
		return nil
	}
	_, err := t.b.Put(ctx, prefix, strings.NewReader(""), 0, PutOptions{Attr: attr})
	return err
}

// Remove removes the file at name, or the folder if it is empty.
func (t *Tree) Remove(ctx context.Context, name string) error {
	o, err := t.Stat(ctx, name)
	if err != nil {
		return err
	}
	if !o.Folder {
		return t.b.Delete(ctx, t.Key(name))
	}
	prefix := t.folderKey(name)
	p, err := t.b.ListPage(ctx, ListOptions{Prefix: prefix, Max: 3})
	if err != nil {
		return err
	}
	for _, o := range p.Objects {
		if o.Key != prefix {
			return &Error{Op: "remove", Key: t.Key(name), Kind: Exists, Err: errors.New("the folder is not empty"), Hint: "remove what is in it first, or all of it at once"}
		}
	}
	return t.b.Delete(ctx, prefix)
}

// RemoveAll removes the file, or the folder with all that is in it, at name, and returns how many objects it removed. It
// goes on after an error and returns the first. What is not there is no error.
func (t *Tree) RemoveAll(ctx context.Context, name string) (n int64, err error) {
	var first error
	if key := t.Key(name); key != "" && key+"/" != t.prefix {
		o, err := t.b.Stat(ctx, key)
		switch {
		case err == nil && !o.Folder:
			if first = t.b.Delete(ctx, key, key+UploadSuffix); first == nil {
				n++
			}
		case err != nil && !errors.Is(err, ErrNotFound):
			return 0, err
		}
	}
	var batch []string
	flush := func() {
		if len(batch) == 0 {
			return
		}
		err := t.b.Delete(ctx, batch...)
		if err == nil {
			n += int64(len(batch))
		} else if first == nil {
			first = err
		}
		batch = batch[:0]
	}
	for o, err := range t.b.List(ctx, ListOptions{Prefix: t.folderKey(name)}) {
		if err != nil {
			if first == nil {
				first = err
			}
			break
		}
		if batch = append(batch, o.Key); len(batch) == deleteBatch {
			flush()
		}
	}
	flush()
	return n, first
}

// treeParallel is how many objects of a folder are copied at a time; the Bucket adapts the requests to the store.
const treeParallel = 32

// Rename gives the file or folder at old the name new, by copies within the store and deleting what was copied; it returns
// how many objects it moved. Nothing is deleted before all is copied, so that after an error everything is still under the
// old name. A file that exists at the new name is Exists unless replace is set, a folder always.
func (t *Tree) Rename(ctx context.Context, old, name string, replace bool) (int64, error) {
	if t.Key(old) == t.Key(name) {
		return 0, nil
	}
	if strings.HasPrefix(t.folderKey(name), t.folderKey(old)) {
		return 0, &Error{Op: "rename", Key: t.Key(old), Kind: Invalid, Err: fmt.Errorf("%q lies in it", name)}
	}
	src, err := t.Stat(ctx, old)
	if err != nil {
		return 0, err
	}
	dst, err := t.Stat(ctx, name)
	if err == nil && (dst.Folder || src.Folder || !replace) {
		return 0, &Error{Op: "rename", Key: t.Key(name), Kind: Exists}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if !src.Folder {
		if err := t.copy(ctx, t.Key(old), t.Key(name)); err != nil {
			return 0, err
		}
		return 1, t.b.Delete(ctx, t.Key(old))
	}
	from, to := t.folderKey(old), t.folderKey(name)
	var moved []string
	var n atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(treeParallel)
	for o, err := range t.b.List(gctx, ListOptions{Prefix: from}) {
		if err != nil {
			g.Go(func() error { return err })
			break
		}
		if strings.HasSuffix(o.Key, UploadSuffix) {
			continue // the upload knows its own key; it goes on there
		}
		moved = append(moved, o.Key)
		g.Go(func() error {
			if err := t.copy(gctx, o.Key, to+strings.TrimPrefix(o.Key, from)); err != nil {
				return err
			}
			n.Add(1)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return n.Load(), err
	}
	return n.Load(), t.b.Delete(ctx, moved...)
}

// copy copies an object within the store, or through here where the store cannot.
func (t *Tree) copy(ctx context.Context, src, dst string) error {
	_, err := Copy(ctx, t.b, dst, t.b, src, CopyOptions{})
	return err
}
