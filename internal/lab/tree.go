package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// WriteFile makes a file of size random bytes.
func WriteFile(name string, size int64, seed uint64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	_, err = io.CopyN(f, rand.NewChaCha8(key), size)
	return errors.Join(err, f.Close())
}

// WriteSmall makes count files of size bytes below dir, 100 in a folder, two levels deep.
func WriteSmall(dir string, count int, size int64) error {
	for i := range count {
		sub := filepath.Join(dir, fmt.Sprintf("part-%02d", i/1000), fmt.Sprintf("batch-%02d", i/100%10))
		if i%100 == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return err
			}
		}
		if err := WriteFile(filepath.Join(sub, fmt.Sprintf("file-%05d.bin", i)), size, uint64(i)); err != nil {
			return err
		}
	}
	return nil
}

// Compare checks that two trees hold the same names, folders and bytes, and returns how many files it compared.
func Compare(a, b string) (files int, err error) {
	seen := map[string]bool{}
	err = filepath.WalkDir(a, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(a, path)
		if err != nil {
			return err
		}
		seen[rel] = true
		if d.IsDir() {
			s, err := os.Stat(filepath.Join(b, rel))
			if err == nil && !s.IsDir() {
				err = fmt.Errorf("%s is not a folder", filepath.Join(b, rel))
			}
			return err
		}
		files++
		return sameFile(path, filepath.Join(b, rel))
	})
	if err != nil {
		return files, err
	}
	return files, filepath.WalkDir(b, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(b, path)
		if err == nil && !seen[rel] {
			err = fmt.Errorf("%s has no counterpart in %s", path, a)
		}
		return err
	})
}

func sameFile(a, b string) error {
	fa, err := os.Open(a)
	if err != nil {
		return err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return err
	}
	defer fb.Close()
	ba, bb := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		na, ea := io.ReadFull(fa, ba)
		nb, eb := io.ReadFull(fb, bb)
		if !bytes.Equal(ba[:na], bb[:nb]) {
			return fmt.Errorf("%s and %s differ", a, b)
		}
		if ea != nil || eb != nil {
			for _, e := range []error{ea, eb} {
				if e != nil && e != io.EOF && e != io.ErrUnexpectedEOF {
					return e
				}
			}
			return nil
		}
	}
}
