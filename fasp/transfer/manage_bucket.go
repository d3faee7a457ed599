package transfer

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/objstore"
)

// Walk implements Manager. What a listing does not say of an object is not asked for: times are those of the store then.
func (s *BucketStore) Walk(ctx context.Context, name string, o WalkOptions, fn func(Info) error) error {
	at, err := s.tree.Stat(ctx, name)
	if errors.Is(err, objstore.ErrNotFound) && name == "." {
		return nil
	}
	if err != nil {
		return err
	}
	if !at.Folder {
		return fn(objectInfo(&at))
	}
	each := func(obj objstore.Object) error {
		in := objectInfo(&obj)
		in.Name = strings.TrimPrefix(obj.Key, name+"/")
		if name == "." {
			in.Name = obj.Key
		}
		if !o.matches(in.Name) {
			return nil
		}
		return fn(in)
	}
	if o.Deep {
		return s.tree.Walk(ctx, name, each)
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
			return nil
		}
		token = p.Next
	}
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

// Clean implements Manager: uploads that are open, and notes whose upload is gone.
func (s *BucketStore) Clean(ctx context.Context, name string, age time.Duration, dry bool, fn func(Leftover) error) error {
	prefix := s.tree.Key(name)
	before := time.Now().Add(-age)
	open := make(map[string]bool) // ids of uploads that stay
	notes := make(map[string]objstore.Object)
	for o, err := range s.b.List(ctx, objstore.ListOptions{Prefix: prefix}) {
		if err != nil {
			return err
		}
		if strings.HasSuffix(o.Key, objstore.UploadSuffix) {
			notes[strings.TrimSuffix(o.Key, objstore.UploadSuffix)] = o
		}
	}
	uploads, err := s.openUploads(ctx, prefix, notes)
	if err != nil {
		return err
	}
	for _, u := range uploads {
		if !within(prefix, u.Key) || !u.Begun.IsZero() && !u.Begun.Before(before) || u.Begun.IsZero() && age > 0 {
			open[u.Key] = true
			continue
		}
		if n, noted := notes[u.Key]; noted && !n.Modified.Before(before) {
			open[u.Key] = true // begun long ago, and still being worked on
			continue
		}
		if !dry {
			if err := s.b.Abort(ctx, objstore.Upload{Key: u.Key, ID: u.ID, Plan: objstore.Plan{First: 1}}); err != nil {
				return err
			}
		}
		if err := fn(Leftover{Name: s.below(u.Key), Kind: "upload", Begun: u.Begun}); err != nil {
			return err
		}
	}
	for key, n := range notes {
		if open[key] || !n.Modified.Before(before) || !within(prefix, key) {
			continue
		}
		if !dry {
			if err := s.b.Delete(ctx, n.Key); err != nil {
				return err
			}
		}
		if err := fn(Leftover{Name: s.below(key), Kind: "note", Size: n.Size, Begun: n.Modified}); err != nil {
			return err
		}
	}
	return nil
}

// openUploads lists uploads below prefix. Some stores list them for whole keys only, so those that have a note are asked
// for by name.
func (s *BucketStore) openUploads(ctx context.Context, prefix string, notes map[string]objstore.Object) ([]objstore.UploadInfo, error) {
	var list []objstore.UploadInfo
	seen := make(map[string]bool)
	add := func(prefix string) error {
		for u, err := range s.b.Uploads(ctx, prefix) {
			if err != nil {
				return err
			}
			if !seen[u.ID] {
				seen[u.ID] = true
				list = append(list, u)
			}
		}
		return nil
	}
	if err := add(prefix); err != nil {
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
