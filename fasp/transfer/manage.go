package transfer

import (
	"context"
	"time"
)

// Manager is a Store whose files can be looked at and arranged, beside being transferred. *Dir and *BucketStore are
// Managers. Names are as in Store; the place itself, ".", can be listed and counted and nothing else. Partial files are not
// shown and not counted, except by Clean.
type Manager interface {
	Store
	// Folder opens the folder at name as a place of its own, out of which no name and no link leads, whatever stands at the name later. Links on the way to it are not
	// followed. It fails with CodeNotDir for what is no folder. It must be closed, and before this place is.
	Folder(ctx context.Context, name string) (Manager, error)
	// Walk calls fn for what is in the folder at name, or with Deep for all below it, or for the file at name alone.
	// Info.Name is the path below name. It stops at fn's first error and returns it.
	Walk(ctx context.Context, name string, o WalkOptions, fn func(Info) error) error
	// Remove removes a file, an empty folder, or with all a folder and what is in it, and returns how many files and
	// folders it removed. Links are removed, not followed.
	Remove(ctx context.Context, name string, all bool) (int64, error)
	// Rename gives a file or folder another name. A file gives way to a file with replace; anything else that exists at
	// the new name is fs.ErrExist. It returns how many objects were moved.
	Rename(ctx context.Context, old, name string, replace bool) (int64, error)
	// Clean finds what transfers that never came back left below name, if nothing happened to it for age, removes it unless
	// dry is set, and calls fn for each. What this process is writing is not touched.
	Clean(ctx context.Context, name string, age time.Duration, dry bool, fn func(Leftover) error) error
}

// WalkOptions says what Walk finds.
type WalkOptions struct {
	Deep  bool
	Match string // part of the last element, in whatever case; "" matches all
}

// Leftover is something that a transfer left unfinished.
type Leftover struct {
	Name  string    // of the file that it was to become, or its own where that is not known
	Kind  string    // "partial file", "checkpoint", "upload", "note"
	Size  int64     // bytes, where it is known
	Begun time.Time // or changed last; zero where not known
}

// usage counts the files below name.
func usage(ctx context.Context, m Manager, name string) (files, bytes int64, err error) {
	err = m.Walk(ctx, name, WalkOptions{Deep: true}, func(in Info) error {
		if in.Mode.IsRegular() {
			files++
			bytes += max(in.Size, 0)
		}
		return nil
	})
	return files, bytes, err
}

var (
	_ Manager = (*Dir)(nil)
	_ Manager = (*BucketStore)(nil)
)
