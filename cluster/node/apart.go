package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// apart refuses a state folder in the docroot, and a docroot in the state folder. Links are followed first; the state folder need not exist.
// Whoever changes links afterwards is the node's operator: clients cannot make a link that leads out of the docroot.
func apart(state, docroot string) error {
	s, err := resolve(state)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	d, err := resolve(docroot)
	if err != nil {
		return fmt.Errorf("docroot: %w", err)
	}
	switch {
	case within(s, d):
		return fmt.Errorf("the state folder %s lies in the docroot %s, where clients could reach the node's keys: choose a folder outside", state, docroot)
	case within(d, s):
		return fmt.Errorf("the docroot %s lies in the state folder %s: choose folders apart from each other", docroot, state)
	}
	return nil
}

// resolve returns the absolute path of a folder without links in it. The folder, and folders above it, need not exist.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	parent := filepath.Dir(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || parent == path {
		return real, err
	}
	if fi, lerr := os.Lstat(path); lerr == nil && fi.Mode()&os.ModeSymlink != 0 {
		return "", fmt.Errorf("%s is a link to nowhere", path)
	}
	if parent, err = resolve(parent); err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(path)), nil
}

// within says whether the folder inner is outer or lies below it. Folders are compared, not names, for file systems to which upper and lower case are the same.
func within(inner, outer string) bool {
	out, err := os.Stat(outer)
	for {
		if inner == outer {
			return true
		}
		if err == nil {
			if in, err := os.Stat(inner); err == nil && os.SameFile(in, out) {
				return true
			}
		}
		parent := filepath.Dir(inner)
		if parent == inner {
			return false
		}
		inner = parent
	}
}
