package filestore

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/tradewind-io/tradewind/objstore"
)

func fail(op, key string, kind objstore.Kind, err error) error {
	return &objstore.Error{Op: op, Key: key, Kind: kind, Err: err}
}

// failure makes an *objstore.Error of what the system says; nil of nil. One that is an *objstore.Error already gets
// operation and key if it has none.
func failure(op, key string, err error) error {
	if err == nil {
		return nil
	}
	var e *objstore.Error
	if errors.As(err, &e) {
		if e.Op != "" {
			return err
		}
		c := *e
		c.Op, c.Key = op, key
		return &c
	}
	// The path in the system's error says no more than the key.
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fail(op, key, kindOf(err), err)
}

func kindOf(err error) objstore.Kind {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return objstore.NotFound
	case errors.Is(err, fs.ErrExist):
		return objstore.Exists
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), isEscape(err):
		return objstore.Denied
	case errors.Is(err, fs.ErrClosed):
		return objstore.Closed
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return objstore.Full
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR),
		errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.EILSEQ), errors.Is(err, syscall.ELOOP):
		return objstore.Invalid
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.ESTALE):
		return objstore.Temporary
	}
	return objstore.Other
}

// isEscape says whether os.Root refused a link that leads out. It has no error of its own to compare with.
func isEscape(err error) bool {
	return err != nil && strings.Contains(err.Error(), "path escapes from parent")
}

// isMissing says whether nothing is at a path, nor can be because of what is above it.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

func isNotEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)
}

// reading makes NotFound of what cannot be there.
func reading(err error) error {
	if isMissing(err) {
		return &objstore.Error{Kind: objstore.NotFound}
	}
	return err
}

// ignoreMissing drops the error about a file that is gone already.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
