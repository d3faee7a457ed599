//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// tree is files of one size, perFolder in a folder and 100 such folders in a folder.
type tree struct {
	root             string
	files, perFolder int
	size             int64
}

func (t tree) folder(i int) string {
	k := i / t.perFolder
	return filepath.Join(t.root, fmt.Sprintf("part-%03d", k/100), fmt.Sprintf("batch-%02d", k%100))
}

func (t tree) name(i int) string {
	return filepath.Join(t.folder(i), fmt.Sprintf("record-%07d.dat", i))
}

// content fills b, of the tree's size, with what file i holds.
func (t tree) content(i int, b []byte) {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], uint64(i))
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
}

// make writes the tree and syncs its file system.
func (t tree) make(ctx context.Context, workers int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for first := 0; first < t.files; first += t.perFolder {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := os.MkdirAll(t.folder(first), 0o755); err != nil {
				return err
			}
			b := make([]byte, t.size)
			for i := first; i < min(first+t.perFolder, t.files); i++ {
				t.content(i, b)
				if err := os.WriteFile(t.name(i), b, 0o644); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return syncFS(t.root)
}

// check says whether the tree stands below root: every name, every size, and the content of one file in 50.
func (t tree) check(root string) error {
	at := t
	at.root = root
	n := 0
	err := filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		return err
	}
	if n != t.files {
		return fmt.Errorf("%d files arrived of %d", n, t.files)
	}
	want := make([]byte, t.size)
	for i := range t.files {
		fi, err := os.Lstat(at.name(i))
		if err != nil {
			return err
		}
		if fi.Size() != t.size {
			return fmt.Errorf("%s has %d bytes, not %d", at.name(i), fi.Size(), t.size)
		}
		if i%50 != 0 {
			continue
		}
		got, err := os.ReadFile(at.name(i))
		if err != nil {
			return err
		}
		if t.content(i, want); !bytes.Equal(got, want) {
			return fmt.Errorf("%s has other bytes", at.name(i))
		}
	}
	return nil
}

// syncFS writes back the file system that the folder lies on.
func syncFS(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}
