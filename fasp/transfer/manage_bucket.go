package transfer

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/objstore"
)

// Walk implements Manager. What a listing does not say of an object is not asked for: times are those of the store then.
// Keys that no name leads to are left out and make it fail at the end.
func (s *BucketStore) Walk(ctx context.Context, name string, o WalkOptions, fn func(Info) error) error {
	at, err := s.tree.Stat(ctx, name)
	if errors.Is(err, objstore.ErrNotFound) && name == "." && s.tree.Key(".") != "" {
		return nil // nothing is in the folder yet that is the place; without one it is the bucket that is not there
	}
	if err != nil {
		return err
	}
	if !at.Folder {
		return fn(objectInfo(&at))
	}
	var odd error
	each := func(obj objstore.Object) error {
		in := objectInfo(&obj)
		in.Name = strings.TrimPrefix(obj.Key, name+"/")
		if name == "." {
			in.Name = obj.Key
		}
		switch {
		case hasPartialElement(in.Name):
			return nil
		case hasOddElement(in.Name):
			odd = failf(CodeBadPath, "", "some keys have elements that no file can have, empty, . or .., and are left out")
			return nil
		case !o.matches(in.Name):
			return nil
		}
		return fn(in)
	}
	if o.Deep {
		return orElse(s.tree.Walk(ctx, name, each), odd)
	}
	for token := ""; ; {
		p, err := s.tree.ReadDir(ctx, name, token, 0)
		if err != nil {
			return err
		}
		for _, obj := range p.Objects {
			if err := each(obj); err != nil {
				return err
			}
		}
		if p.Next == "" {
			return odd
		}
		token = p.Next
	}
}

// hasOddElement says whether a name below a folder has an element that no path can have.
func hasOddElement(name string) bool {
	for el := range strings.SplitSeq(name, "/") {
		if el == "" || el == "." || el == ".." {
			return true
		}
	}
	return false
}

// Remove implements Manager.
func (s *BucketStore) Remove(ctx context.Context, name string, all bool) (int64, error) {
	if name == "." {
		return 0, errRoot("remove")
	}
	if !all {
		err := s.tree.Remove(ctx, name)
		if errors.Is(err, objstore.ErrExists) {
			return 0, &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
		}
		if err != nil {
			return 0, err
		}
		return 1, nil
	}
	if _, err := s.tree.Stat(ctx, name); err != nil {
		return 0, err
	}
	return s.tree.RemoveAll(ctx, name)
}

// Rename implements Manager: by copies within the store.
func (s *BucketStore) Rename(ctx context.Context, old, name string, replace bool) (int64, error) {
	if old == "." || name == "." {
		return 0, errRoot("rename")
	}
	return s.tree.Rename(ctx, old, name, replace)
}

// Clean implements Manager: uploads that are open, and notes whose upload is gone. The note is written anew while an upload
// goes on, and so tells its age; an upload of a stream has none and counts from its beginning. Other processes' uploads are
// not known from those that nobody goes on with in any other way. It goes on after an error and returns the first.
func (s *BucketStore) Clean(ctx context.Context, name string, age time.Duration, dry bool, fn func(Leftover) error) error {
	prefix := s.tree.Key(name)
	before := time.Now().Add(-age)
	notes := make(map[string]objstore.Object)
	for o, err := range s.b.List(ctx, objstore.ListOptions{Prefix: prefix}) {
		if err != nil {
			return err
		}
		if key, ok := strings.CutSuffix(o.Key, objstore.UploadSuffix); ok && within(prefix, key) {
			notes[key] = o
		}
	}
	uploads, err := s.openUploads(ctx, prefix, notes)
	if err != nil {
		return err
	}
	stays := make(map[string]bool) // keys with an upload that is not removed
	var first error
	for _, u := range uploads {
		old := u.Begun.Before(before) && (!u.Begun.IsZero() || age <= 0)
		if n, noted := notes[u.Key]; noted && !n.Modified.Before(before) {
			old = false // begun long ago, and still being worked on
		}
		if !old || s.writing(u.Key) {
			stays[u.Key] = true
			continue
		}
		if !dry {
			if err := s.b.Abort(ctx, objstore.Upload{Key: u.Key, ID: u.ID, Plan: objstore.Plan{First: 1}}); err != nil {
				first, stays[u.Key] = orElse(first, err), true
				continue
			}
		}
		if err := fn(Leftover{Name: s.below(u.Key), Kind: "upload", Begun: u.Begun}); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		n := notes[key]
		if stays[key] || !n.Modified.Before(before) || s.writing(key) {
			continue
		}
		if !dry {
			if err := s.b.Delete(ctx, n.Key); err != nil {
				first = orElse(first, err)
				continue
			}
		}
		if err := fn(Leftover{Name: s.below(key), Kind: "note", Size: n.Size, Begun: n.Modified}); err != nil {
			return err
		}
	}
	return first
}

// writing says whether a Target of this store has the file open.
func (s *BucketStore) writing(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, open := s.open[key]
	return open
}

// openUploads lists uploads of and below the key. Some stores list them for whole keys only, so those that have a note are asked
// for by name.
func (s *BucketStore) openUploads(ctx context.Context, below string, notes map[string]objstore.Object) ([]objstore.UploadInfo, error) {
	var list []objstore.UploadInfo
	seen := make(map[string]bool)
	add := func(prefix string) error {
		for u, err := range s.b.Uploads(ctx, prefix) {
			if err != nil {
				return err
			}
			if id := u.Key + "\x00" + u.ID; within(below, u.Key) && !seen[id] {
				seen[id] = true
				list = append(list, u)
			}
		}
		return nil
	}
	if err := add(below); err != nil {
		return nil, err
	}
	for key := range notes {
		if err := add(key); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// within says whether key is the file or lies in the folder at prefix.
func within(prefix, key string) bool {
	return prefix == "" || key == prefix || strings.HasPrefix(key, prefix+"/")
}

// below is the name of a key in this place.
func (s *BucketStore) below(key string) string {
	if root := s.tree.Key("."); root != "" {
		return strings.TrimPrefix(key, root+"/")
	}
	return key
}
