//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// copyRole is the first argument of this program where it is the local copy: a process of its own, so that what it takes
// can be measured.
const copyRole = "local-copy"

// copyMain copies the tree args[0] to args[1] with args[2] workers, each taking folders. With args[3] "rename" files get temporary
// names; when all data is synced they are renamed, and that is synced.
func copyMain(args []string) error {
	if len(args) != 4 {
		return errors.New("local-copy: want SOURCE DESTINATION WORKERS plain|rename")
	}
	workers, err := strconv.Atoi(args[2])
	if err != nil || workers < 1 {
		return fmt.Errorf("local-copy: %q workers", args[2])
	}
	from, to, suffix := args[0], args[1], ""
	if args[3] == "rename" {
		suffix = ".tmp"
	}
	g := new(errgroup.Group)
	g.SetLimit(workers)
	var folders []string
	err = filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		folders = append(folders, rel)
		if err := os.Mkdir(filepath.Join(to, rel), 0o755); err != nil && rel != "." {
			return err
		}
		g.Go(func() error { return copyFolder(p, filepath.Join(to, rel), suffix) })
		return nil
	})
	if err := errors.Join(err, g.Wait()); err != nil {
		return err
	}
	if err := syncFS(to); err != nil || suffix == "" {
		return err
	}
	for _, rel := range folders {
		g.Go(func() error { return renameAll(filepath.Join(to, rel), suffix) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return syncFS(to)
}

// copyFolder copies the files of a folder with as few system calls as it takes.
func copyFolder(from, to, suffix string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Open(to)
	if err != nil {
		return err
	}
	defer dst.Close()
	list, err := src.ReadDir(-1)
	if err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for _, e := range list {
		if e.Type().IsRegular() {
			if err := copyFile(int(src.Fd()), int(dst.Fd()), e.Name(), suffix, buf); err != nil {
				return fmt.Errorf("copy %s: %w", e.Name(), err)
			}
		}
	}
	return nil
}

func copyFile(from, to int, name, suffix string, buf []byte) (err error) {
	in, err := unix.Openat(from, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(in)
	var st unix.Stat_t
	if err := unix.Fstat(in, &st); err != nil {
		return err
	}
	out, err := unix.Openat(to, name+suffix, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, st.Mode&0o777)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(out)) }()
	for left := st.Size; left > 0; {
		n, err := unix.Read(in, buf[:min(left, int64(len(buf)))])
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("it became shorter")
		}
		if _, err := unix.Write(out, buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

func renameAll(dir, suffix string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil {
		return err
	}
	fd := int(f.Fd())
	for _, e := range list {
		if n := e.Name(); e.Type().IsRegular() {
			if err := unix.Renameat(fd, n, fd, n[:len(n)-len(suffix)]); err != nil {
				return fmt.Errorf("rename %s: %w", n, err)
			}
		}
	}
	return nil
}
