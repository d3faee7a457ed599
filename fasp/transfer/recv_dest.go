package transfer

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// destination is where names of a session land (docs/protocol-transfer.md section 25.2).
type destination struct {
	base   string // folder, or the file's own name if exact
	exact  bool   // a file without folders gets the name base
	single bool   // the job is one source
	absent bool   // it is a folder that prepare has to make
	fresh  bool   // it holds nothing that could matter to the job

	roots []string // the top-level names of which fresh is true in a folder that was there; empty = of all
}

// name maps a name from the wire, which checkName has passed, to one in the store.
func (d destination) name(name string, k kind) string {
	if d.exact && k == kindFile && !strings.Contains(name, "/") {
		return d.base
	}
	return joinName(d.base, name)
}

// looked tells whether fresh is true of a name from the wire: a peer may send others than it spoke of, and devices, pipes and links that lead
// out of the place are not to be replaced.
func (d destination) looked(name string) bool {
	top, _, _ := strings.Cut(name, "/")
	return len(d.roots) == 0 || slices.Contains(d.roots, top)
}

var errStop = errors.New("stop")

// findDestination settles what dest stands for in store and what there is, as far as files below the top-level names roots are concerned. It
// changes nothing; prepare must be called before files are received.
func findDestination(ctx context.Context, store Store, dest string, single, createDir bool, roots []string) (destination, error) {
	folder := createDir || !single || strings.HasSuffix(dest, "/")
	base, err := cleanPath(dest)
	if err != nil {
		return destination{}, err
	}
	d := destination{base: base, single: single}
	info, err := store.Stat(ctx, base, true)
	switch {
	case err == nil && info.Mode.IsDir():
		d.fresh, d.roots = emptyBelow(ctx, store, base, roots), roots
	case err == nil && folder:
		return d, failf(CodeNotDir, dest, "the destination is a file and must be a folder")
	case err == nil:
		d.exact = true
	case !errors.Is(err, fs.ErrNotExist):
		return d, storeError(CodeNoPerms, "open destination", dest, err)
	case folder:
		d.absent, d.fresh = true, true
	default:
		d.exact, d.fresh = true, !hasPartial(ctx, store, base)
	}
	return d, nil
}

// prepare makes the folder, if it is to be one and was not there.
func (d destination) prepare(ctx context.Context, store Store) error {
	if !d.absent {
		return nil
	}
	if err := store.Mkdir(ctx, d.base); err != nil {
		return storeError(CodeNoPerms, "make destination", d.base, err)
	}
	return nil
}

// hasPartial says whether an interrupted transfer left something for name. In doubt it did.
func hasPartial(ctx context.Context, store Store, name string) bool {
	left, err := store.HasPartial(ctx, name)
	return left || err != nil && !errors.Is(err, fs.ErrNotExist)
}

// emptyBelow says whether the folder holds none of the names, nor partial files of them. Without names
// it must be empty.
func emptyBelow(ctx context.Context, store Store, dir string, roots []string) bool {
	if len(roots) == 0 {
		err := store.ReadDir(ctx, dir, func(Info) error { return errStop })
		return err == nil
	}
	for _, name := range roots {
		if checkName(name) != nil {
			return false
		}
		full := joinName(dir, name)
		if _, err := store.Stat(ctx, full, false); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
		if hasPartial(ctx, store, full) {
			return false
		}
	}
	return true
}
