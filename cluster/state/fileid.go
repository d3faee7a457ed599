package state

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// FileID gives a file or folder of a place a number that stays when it, or a folder above it, is renamed. The parts of a path each have one; the
// top of a place is RootFile.
type FileID struct {
	Place  string
	ID     int64  // never given twice in a place
	Parent int64  // the folder it is in; 0 for the top
	Name   string // in that folder, any bytes but "/", up to 1024; empty for the top
}

// RootFile is the id of the top of each place.
const RootFile = 1

// FileIDFilter chooses what is in a folder.
type FileIDFilter struct {
	Place  string // required
	Parent int64  // required
}

// maxDepth is how many folders may be within one another.
const maxDepth = 4096

var fileIDs = kind[FileID]{
	name: "file id", table: "file_ids", keys: 2,
	cols: []string{"place", "id", "parent", "name"},
	fields: func(f *FileID) []field {
		return []field{text{p: &f.Place, must: true}, number{&f.ID}, number{&f.Parent}, raw{&f.Name, maxName}}
	},
}

// placeRow holds the id that was given last in a place.
type placeRow struct {
	place string
	last  int64
}

var places = kind[placeRow]{
	name: "place", table: "places", keys: 1,
	cols: []string{"place", "last"},
	fields: func(p *placeRow) []field {
		return []field{text{p: &p.place, must: true}, number{&p.last}}
	},
}

// FileID returns the file of this id. Errors: ErrNotFound.
func (o ops) FileID(ctx context.Context, place string, id int64) (FileID, error) {
	return get(ctx, o, &fileIDs, FileID{Place: place, ID: id})
}

// FileIDs returns a page of what is known to be in a folder, by name, and the cursor of the next page.
func (o ops) FileIDs(ctx context.Context, f FileIDFilter, p Page) ([]FileID, string, error) {
	var w where
	w.add("place = ?", f.Place)
	w.add("parent = ?", f.Parent)
	return list(ctx, o, &fileIDs, w, order{cols: []string{"name"}}, p)
}

// FilePath returns the file and all folders above it, the top first. Errors: ErrNotFound.
func (o ops) FilePath(ctx context.Context, place string, id int64) ([]FileID, error) {
	var path []FileID
	err := o.read(ctx, func(q queries) (err error) {
		path, err = upward(ctx, q, place, id)
		return err
	})
	if err != nil {
		return nil, fileIDs.fail("find", &FileID{Place: place, ID: id}, err)
	}
	slices.Reverse(path)
	return path, nil
}

// upward returns the file and what is above it, the top last.
func upward(ctx context.Context, q queries, place string, id int64) ([]FileID, error) {
	var path []FileID
	for id != 0 {
		if len(path) == maxDepth {
			return nil, fmt.Errorf("%w: more than %d folders are within one another", ErrDamaged, maxDepth)
		}
		f := FileID{Place: place, ID: id}
		if err := fileIDs.load(ctx, q, &f); err != nil {
			return nil, err
		}
		path = append(path, f)
		id = f.Parent
	}
	if len(path) == 0 {
		return nil, ErrNotFound
	}
	return path, nil
}

// EnsureFileIDs returns the ids of these names in a folder, in their order, and gives ids to those that have none, at most 10,000 names in a
// call. RootFile as the parent makes the place if it is new, even without names. Errors: ErrReference if the folder has no id, ErrInvalid.
func (o ops) EnsureFileIDs(ctx context.Context, place string, parent int64, names []string) ([]FileID, error) {
	var found map[string]FileID
	err := checkNames(place, names)
	if err == nil {
		err = o.read(ctx, func(q queries) (err error) {
			found, err = children(ctx, q, place, parent, names)
			return err
		})
	}
	if err == nil && (len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return found[n].ID == 0 })) {
		err = o.write(ctx, func(q queries) (err error) {
			found, err = ensureChildren(ctx, q, place, parent, names)
			return err
		})
	}
	if err != nil {
		return nil, fileIDs.fail("give ids in", &FileID{Place: place, ID: parent}, err)
	}
	all := make([]FileID, len(names))
	for i, n := range names {
		all[i] = found[n]
	}
	return all, nil
}

// FindFileID returns the file at a path of names below the top, which itself is found by no names. Errors: ErrNotFound.
func (o ops) FindFileID(ctx context.Context, place string, names ...string) (FileID, error) {
	f := FileID{Place: place, ID: RootFile}
	err := o.read(ctx, func(q queries) error {
		f = FileID{Place: place, ID: RootFile}
		if err := fileIDs.load(ctx, q, &f); err != nil {
			return err
		}
		for _, n := range names {
			found, err := children(ctx, q, place, f.ID, []string{n})
			if err != nil {
				return err
			}
			var ok bool
			if f, ok = found[n]; !ok {
				return ErrNotFound
			}
		}
		return nil
	})
	if err != nil {
		return FileID{}, fileIDs.fail("find", &FileID{Place: place, ID: RootFile}, err)
	}
	return f, nil
}

// EnsureFileID is EnsureFileIDs for one name.
func (o ops) EnsureFileID(ctx context.Context, place string, parent int64, name string) (FileID, error) {
	fs, err := o.EnsureFileIDs(ctx, place, parent, []string{name})
	if err != nil {
		return FileID{}, err
	}
	return fs[0], nil
}

func checkNames(place string, names []string) error {
	if err := checkBatch(len(names)); err != nil {
		return err
	}
	for _, n := range names {
		if n == "" || strings.Contains(n, "/") {
			return invalidf("%q is not the name of a file", n)
		}
		if err := fileIDs.check(&FileID{Place: place, Name: n}); err != nil {
			return err
		}
	}
	return nil
}

// children finds those of the names that have ids.
func children(ctx context.Context, q queries, place string, parent int64, names []string) (map[string]FileID, error) {
	found := make(map[string]FileID, len(names))
	for some := range slices.Chunk(names, 500) {
		as := make([][]byte, len(some))
		for i, n := range some {
			as[i] = []byte(n)
		}
		var w where
		w.add("place = ?", place)
		w.add("parent = ?", parent)
		in(&w, "name", as)
		err := q.each(ctx, func(rows *sql.Rows) error {
			var f FileID
			err := rows.Scan(args(fileIDs.fields(&f))...)
			found[f.Name] = f
			return err
		}, fileIDs.selects()+w.String(), w.args...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func ensureChildren(ctx context.Context, q queries, place string, parent int64, names []string) (map[string]FileID, error) {
	if err := ensureFolder(ctx, q, place, parent); err != nil {
		return nil, err
	}
	found, err := children(ctx, q, place, parent, names)
	if err != nil {
		return nil, err
	}
	var add []FileID
	for _, n := range names {
		if _, ok := found[n]; !ok {
			f := FileID{Place: place, Parent: parent, Name: n}
			found[n] = f
			add = append(add, f)
		}
	}
	if len(add) == 0 {
		return found, nil
	}
	if _, err := q.exec(ctx, "UPDATE places SET last = last + ? WHERE place = ?", len(add), place); err != nil {
		return nil, err
	}
	var last int64
	if err := q.one(ctx, []any{&last}, "SELECT last FROM places WHERE place = ?", place); err != nil {
		return nil, err
	}
	for i := range add {
		add[i].ID = last - int64(len(add)-1-i)
		found[add[i].Name] = add[i]
	}
	return found, fileIDs.insert(ctx, q, add)
}

// ensureFolder wants the folder to be there, and makes the top of a new place.
func ensureFolder(ctx context.Context, q queries, place string, id int64) error {
	err := fileIDs.load(ctx, q, &FileID{Place: place, ID: id})
	if err != ErrNotFound {
		return err
	}
	if id != RootFile {
		return fmt.Errorf("%w: no folder has this id", ErrReference)
	}
	if err := places.load(ctx, q, &placeRow{place: place}); err == ErrNotFound {
		if err := places.insert(ctx, q, []placeRow{{place, RootFile}}); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return fileIDs.insert(ctx, q, []FileID{{Place: place, ID: RootFile}})
}

// MoveFileID renames a file or folder, into another folder or in its own; it and all below it keep their ids. Errors: ErrNotFound, ErrReference
// if the folder has no id, ErrExists if it has a file of this name, ErrInvalid for the top, and for a folder into itself.
func (o ops) MoveFileID(ctx context.Context, place string, id, parent int64, name string) error {
	err := checkNames(place, []string{name})
	if err == nil && id == RootFile {
		err = invalidf("the top of a place stays where it is")
	}
	if err == nil {
		err = o.write(ctx, func(q queries) error {
			above, err := upward(ctx, q, place, parent)
			if err == ErrNotFound {
				return fmt.Errorf("%w: no folder has the id %d", ErrReference, parent)
			}
			if err != nil {
				return err
			}
			if slices.ContainsFunc(above, func(f FileID) bool { return f.ID == id }) {
				return invalidf("a folder cannot move into itself")
			}
			n, err := q.exec(ctx, "UPDATE file_ids SET parent = ?, name = ? WHERE place = ? AND id = ?", parent, []byte(name), place, id)
			if err == nil && n == 0 {
				err = ErrNotFound
			}
			return err
		})
	}
	if err != nil {
		return fileIDs.fail("move", &FileID{Place: place, ID: id}, err)
	}
	return nil
}

// DeleteFileID forgets a file or folder and all below it, with their permissions, in one transaction. RootFile forgets all of the place; ids
// still go on where they were. Errors: ErrNotFound.
func (o ops) DeleteFileID(ctx context.Context, place string, id int64) error {
	err := o.write(ctx, func(q queries) error {
		if err := fileIDs.load(ctx, q, &FileID{Place: place, ID: id}); err != nil {
			return err
		}
		for level := []int64{id}; len(level) > 0; {
			var below []int64
			for some := range slices.Chunk(level, 500) {
				var w, v where
				w.add("place = ?", place)
				in(&w, "parent", some)
				if err := q.each(ctx, func(rows *sql.Rows) error {
					var n int64
					err := rows.Scan(&n)
					below = append(below, n)
					return err
				}, "SELECT id FROM file_ids"+w.String(), w.args...); err != nil {
					return err
				}
				v.add("place = ?", place)
				in(&v, "id", some)
				if _, err := q.exec(ctx, "DELETE FROM file_ids"+v.String(), v.args...); err != nil {
					return err
				}
			}
			level = below
		}
		return nil
	})
	if err != nil {
		return fileIDs.fail("delete", &FileID{Place: place, ID: id}, err)
	}
	return nil
}
