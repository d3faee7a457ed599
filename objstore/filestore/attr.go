package filestore

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/tradewind-io/tradewind/objstore"
)

// attrName is the extended attribute that holds extra.
const attrName = "user.tradewind"

// maxAttr bounds what is read of it, in bytes. Linux takes no more.
const maxAttr = 64 << 10

// extra is what a file system has no place for.
type extra struct {
	ID       string            `json:"id"` // of this content: file numbers are used again
	Btime    *time.Time        `json:"btime,omitempty"`
	Type     string            `json:"type,omitempty"`
	Metadata map[string]string `json:"meta,omitempty"`
}

// describe returns what there is to know of an open file.
func describe(key string, f *os.File) (objstore.Object, error) {
	fi, err := f.Stat()
	if err != nil {
		return objstore.Object{}, err
	}
	if fi.IsDir() {
		return objstore.Object{}, &objstore.Error{Kind: objstore.NotFound}
	}
	x := readExtra(f)
	o := objectOf(key, fi, x.ID)
	o.Attr.ContentType, o.Attr.Metadata = x.Type, x.Metadata
	if x.Btime != nil {
		o.Attr.Btime = *x.Btime
	}
	return o, nil
}

// objectOf describes a file without its extended attribute.
func objectOf(key string, fi fs.FileInfo, id string) objstore.Object {
	ino, changed := sysInfo(fi)
	return objstore.Object{
		Key: key, Size: fi.Size(), Modified: changed, HasAttr: true,
		ETag: fmt.Sprintf(`"%x-%x-%x-%x-%s"`, ino, fi.Size(), fi.ModTime().UnixNano(), changed.UnixNano(), id),
		Attr: objstore.Attr{Mtime: fi.ModTime()},
	}
}

// sameContent says whether a file that was open all the time still has the bytes it had. Its other times do not count:
// that it was replaced or removed changes them too.
func sameContent(a, b *objstore.Object) bool {
	return a.Size == b.Size && a.Attr.Mtime.Equal(b.Attr.Mtime)
}

// markerOf describes a folder.
func markerOf(key string, fi fs.FileInfo) objstore.Object {
	_, changed := sysInfo(fi)
	return objstore.Object{Key: key, Modified: changed, HasAttr: true, Attr: objstore.Attr{Mtime: fi.ModTime()}}
}

// readExtra returns what the extended attribute says. None, or one that others wrote, is like an empty one.
func readExtra(f *os.File) (x extra) {
	b, err := getAttr(f, attrName, maxAttr)
	if err != nil || json.Unmarshal(b, &x) != nil {
		return extra{}
	}
	return x
}

// setAttr gives the file at name, which is open, attributes. The time comes last, as all else changes it.
func (s *Store) setAttr(f *os.File, name string, a objstore.Attr) error {
	x := extra{ID: newID(), Type: a.ContentType, Metadata: a.Metadata}
	if !a.Btime.IsZero() {
		x.Btime = &a.Btime
	}
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	if len(b) > maxAttr {
		return &objstore.Error{Kind: objstore.Invalid, Err: fmt.Errorf("%d bytes of attributes; %d fit", len(b), maxAttr)}
	}
	if err := putAttr(f, attrName, b); err != nil {
		return fmt.Errorf("set attributes: %w", err)
	}
	if !a.Mtime.IsZero() {
		return s.root.Chtimes(native(name), time.Time{}, a.Mtime)
	}
	return nil
}
