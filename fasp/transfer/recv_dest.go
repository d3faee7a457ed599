package transfer

import (
	"context"
	"errors"
	"io/fs"
	"strings"
)

// destination is where names of a session land (docs/protocol-transfer.md section 25.2).
type destination struct {
	base   string // folder, or the file's own name if exact
	exact  bool   // a file without folders gets the name base
	single bool   // the job is one source
}

// name maps a name from the wire, which checkName has passed, to one in the store.
func (d destination) name(name string, k kind) string {
	if d.exact && k == kindFile && !strings.Contains(name, "/") {
		return d.base
	}
	return joinName(d.base, name)
}

var errStop = errors.New("stop")

// findDestination settles what dest stands for in store, makes it if it must be a folder, and says
// whether it holds nothing that could matter to files below the top-level names roots.
func findDestination(ctx context.Context, store Store, dest string, single, createDir bool, roots []string) (destination, bool, error) {
	folder := createDir || !single || strings.HasSuffix(dest, "/")
	base, err := cleanPath(dest)
	if err != nil {
		return destination{}, false, err
	}
	d := destination{base: base, single: single}
	info, err := store.Stat(ctx, base, true)
	switch {
	case err == nil && info.Mode.IsDir():
		return d, emptyBelow(ctx, store, base, roots), nil
	case err == nil && folder:
		return d, false, failf(CodeNotDir, dest, "the destination is a file and must be a folder")
	case err == nil:
		d.exact = true
		return d, false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return d, false, storeError(CodeNoPerms, "open destination", dest, err)
	case folder:
		if err := store.Mkdir(ctx, base); err != nil {
			return d, false, storeError(CodeNoPerms, "make destination", dest, err)
		}
		return d, true, nil
	}
	d.exact = true
	return d, !hasPartial(ctx, store, base), nil
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
