package transfer

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"
)

// found is one thing the walk came across. err is set where it cannot be sent.
type found struct {
	name string // below the destination, slash-separated
	path string // in the store
	info Info
	link string // target, for links that are sent as links
	err  *Error
}

// walker goes through the sources with a few goroutines. What it finds comes in no particular order,
// but a folder comes before what is in it.
type walker struct {
	store   Store
	links   Symlinks
	filters filterSet
	special bool // special files are left out silently
	noList  bool // folders may not be listed: each fails with CodeNoPerms
	emit    func(context.Context, found) error

	dirs *fifo[*walkDir]
}

// walkDir is a folder to read, with those above it, to notice loops of links.
type walkDir struct {
	name, path string
	dev, ino   uint64
	up         *walkDir
	linked     bool // this folder or one above it was reached through a link
}

const walkWorkers = 4

// run walks all sources. names has one name below the destination for each source.
func (w *walker) run(ctx context.Context, sources []source, names []string) error {
	w.dirs = newFifo[*walkDir]()
	for i, s := range sources {
		if err := w.source(ctx, s.Source, names[i]); err != nil {
			return err
		}
		// A round for each source keeps the order of the sources roughly, and the queue short.
		if err := w.drain(ctx); err != nil {
			return err
		}
	}
	return nil
}

// source looks at one named source.
func (w *walker) source(ctx context.Context, p, name string) error {
	if hasPartialElement(p) {
		return w.emit(ctx, found{name: name, path: p, err: failf(CodeBadPath, name, "a partial file of a transfer")})
	}
	info, err := w.store.Stat(ctx, p, w.links == SymlinksFollow)
	if err != nil {
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		return w.emit(ctx, found{name: name, path: p, err: storeError(CodeDiskRead, "open", name, err)})
	}
	if name == "" { // the content of the store's root
		if !info.Mode.IsDir() {
			return nil
		}
		if w.noList {
			return w.emit(ctx, found{name: ".", path: p, err: errNoList(".")})
		}
		w.dirs.push(&walkDir{name: "", path: p, dev: info.Dev, ino: info.Ino})
		return nil
	}
	return w.visit(ctx, name, p, info, nil)
}

// drain reads the queued folders, and those found in them, until none is left.
func (w *walker) drain(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(walkWorkers)
	busy := make(chan struct{}, walkWorkers) // finished folders wake the loop; never full: each goroutine puts one
	running := 0
	for {
		for running < walkWorkers {
			// The folder found last is next: so few wait, those beside the path down to it, where breadth first would hold
			// all of the widest level; and the destination's folders are made and filled one after the other.
			d, ok := w.dirs.tryPopLast()
			if !ok {
				break
			}
			running++
			g.Go(func() error {
				defer func() { busy <- struct{}{} }()
				return w.readDir(gctx, d)
			})
		}
		if running == 0 {
			return g.Wait()
		}
		select {
		case <-busy:
			running--
		case <-gctx.Done():
			return g.Wait()
		}
	}
}

func (w *walker) readDir(ctx context.Context, d *walkDir) error {
	err := w.store.ReadDir(ctx, d.path, func(in Info) error {
		if isPartial(in.Name) {
			return nil
		}
		name := in.Name
		if d.name != "" {
			name = d.name + "/" + in.Name
		}
		p := joinName(d.path, in.Name)
		if in.Mode&fs.ModeSymlink != 0 && w.links == SymlinksFollow {
			t, err := w.store.Stat(ctx, p, true)
			if err != nil {
				if w.filters.excluded(name, false) {
					return nil
				}
				return w.emit(ctx, found{name: name, path: p, err: storeError(CodeNoSuchFile, "follow link", name, err)})
			}
			t.Name = in.Name
			return w.visitLinked(ctx, name, p, t, d)
		}
		return w.visit(ctx, name, p, in, d)
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	var stop *emitError
	if errors.As(err, &stop) {
		return err
	}
	name := d.name
	if name == "" {
		name = "."
	}
	return w.emit(ctx, found{name: name, path: d.path, err: storeError(CodeDiskRead, "read folder", name, err)})
}

// emitError marks errors of emit, which end the walk, apart from those of the store, which fail a folder.
type emitError struct{ err error }

func (e *emitError) Error() string { return e.err.Error() }
func (e *emitError) Unwrap() error { return e.err }

func (w *walker) send(ctx context.Context, f found) error {
	if err := w.emit(ctx, f); err != nil {
		return &emitError{err}
	}
	return nil
}

func (w *walker) visitLinked(ctx context.Context, name, p string, in Info, up *walkDir) error {
	if in.Mode.IsDir() {
		return w.folder(ctx, name, p, in, up, true)
	}
	return w.visit(ctx, name, p, in, up)
}

func (w *walker) visit(ctx context.Context, name, p string, in Info, up *walkDir) error {
	dir := in.Mode.IsDir()
	if dir {
		return w.folder(ctx, name, p, in, up, false)
	}
	if w.filters.excluded(name, false) {
		return nil
	}
	switch {
	case in.Mode&fs.ModeSymlink != 0:
		if w.links == SymlinksSkip {
			return nil
		}
		t, err := w.store.Readlink(ctx, p)
		if err == nil && len(t) > maxName {
			err = failf(CodePathTooLong, name, "link target longer than %d bytes", maxName)
		}
		if err != nil {
			return w.send(ctx, found{name: name, path: p, err: storeError(CodeDiskRead, "read link", name, err)})
		}
		return w.send(ctx, found{name: name, path: p, info: in, link: t})
	case !in.Mode.IsRegular():
		if w.special {
			return nil
		}
		return w.send(ctx, found{name: name, path: p, err: failf(CodeNotRegular, name, "not a regular file: %v", in.Mode.Type())})
	case len(name) > maxName:
		return w.send(ctx, found{name: name[:64], path: p, err: failf(CodePathTooLong, name[:64], "path longer than %d bytes", maxName)})
	}
	return w.send(ctx, found{name: name, path: p, info: in})
}

func (w *walker) folder(ctx context.Context, name, p string, in Info, up *walkDir, linked bool) error {
	if w.filters.excluded(name, true) {
		return nil
	}
	if w.noList {
		return w.send(ctx, found{name: name, path: p, err: errNoList(name)})
	}
	d := &walkDir{name: name, path: p, dev: in.Dev, ino: in.Ino, up: up, linked: linked || up != nil && up.linked}
	if d.linked && d.ino != 0 {
		for a := up; a != nil; a = a.up {
			if a.ino == d.ino && a.dev == d.dev {
				return w.send(ctx, found{name: name, path: p, err: failf(CodeLinkLoop, name, "symbolic link leads to a folder above it")})
			}
		}
	}
	if strings.Count(name, "/") > maxDepth || len(name) > maxName {
		return w.send(ctx, found{name: clip(name, 64), path: p, err: failf(CodePathTooLong, clip(name, 64), "folders nested too deep")})
	}
	if err := w.send(ctx, found{name: name, path: p, info: in}); err != nil {
		return err
	}
	w.dirs.push(d)
	return nil
}

func errNoList(name string) *Error { return failf(CodeNoPerms, name, "listing folders is not allowed") }

// maxDepth bounds nesting where a file system cannot tell folders apart, so that loops end.
const maxDepth = 1000

// destNames gives each source its name below the destination (docs/protocol-transfer.md section 25.1).
// A name of "" stands for the content of a whole store.
func destNames(sources []source, srcBase string) ([]string, error) {
	base := ""
	if srcBase != "" {
		b, err := cleanPath(srcBase)
		if err != nil {
			return nil, err
		}
		base = b
	}
	names := make([]string, len(sources))
	for i, s := range sources {
		switch {
		case s.Dest != "":
			d, err := cleanPath(s.Dest)
			if err != nil {
				return nil, err
			}
			if d == "." {
				d = ""
			}
			names[i] = d
		case base == "." && srcBase != "":
			names[i] = dotless(s.Source)
		case base != "" && s.Source == base:
			names[i] = ""
		case base != "" && strings.HasPrefix(s.Source, base+"/"):
			names[i] = s.Source[len(base)+1:]
		case base != "":
			return nil, failf(CodeUsage, s.Source, "source does not lie below the source base %q", srcBase)
		case s.Source == ".":
			names[i] = ""
		default:
			names[i] = path.Base(s.Source)
		}
	}
	return names, nil
}

func dotless(p string) string {
	if p == "." {
		return ""
	}
	return p
}
