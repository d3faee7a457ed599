package sshd

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// errno is an error as ascmd tells it: a number of Linux, on whatever system the node runs, and a text.
type errno struct {
	number int64
	text   string
}

func (e *errno) Error() string { return e.text }

// The errors that are told. Texts of the system stay at the node: they may name folders of the host.
var (
	errNoEntry   = &errno{2, "No such file or directory"}
	errIO        = &errno{5, "Input/output error"}
	errAccess    = &errno{13, "Permission denied"}
	errExists    = &errno{17, "File exists"}
	errNotDir    = &errno{20, "Not a directory"}
	errIsDir     = &errno{21, "Is a directory"}
	errFiles     = &errno{23, "Too many open files in system"}
	errFull      = &errno{28, "No space left on device"}
	errReadOnly  = &errno{30, "Read-only file system"}
	errLong      = &errno{36, "File name too long"}
	errNotEmpty  = &errno{39, "Directory not empty"}
	errLoop      = &errno{40, "Too many levels of symbolic links"}
	errCancelled = &errno{125, "Operation canceled"}
)

func invalid(text string) *errno { return &errno{22, text} }

func notOffered(text string) *errno { return &errno{38, text} }

// tooMany is that of an answer that would be too large.
func tooMany(text string) *errno { return &errno{75, text} }

var byCode = map[transfer.Code]*errno{
	transfer.CodeNoSuchFile: errNoEntry, transfer.CodeNoPerms: errAccess, transfer.CodeNotDir: errNotDir, transfer.CodeIsDir: errIsDir, transfer.CodeTooManyFiles: errFiles,
	transfer.CodeNoSpace: errFull, transfer.CodeReadOnlyFS: errReadOnly, transfer.CodeAlreadyExists: errExists, transfer.CodePathTooLong: errLong, transfer.CodeLinkLoop: errLoop,
}

// errnoOf is what the client is told of an error of a place.
func errnoOf(err error) *errno {
	var e *errno
	if errors.As(err, &e) {
		return e
	}
	var te *transfer.Error
	if errors.As(err, &te) {
		switch e := byCode[te.Code]; {
		case e != nil:
			return e
		case te.Code == transfer.CodeBadPath && te.Err != nil: // our own words, about the client's path
			return invalid(te.Err.Error())
		}
	}
	for _, x := range []struct {
		is   error
		told *errno
	}{
		{context.Canceled, errCancelled},
		{syscall.ENOTEMPTY, errNotEmpty},
		{syscall.ENOTDIR, errNotDir},
		{syscall.EISDIR, errIsDir},
		{syscall.ENOSPC, errFull},
		{syscall.EDQUOT, errFull},
		{syscall.EROFS, errReadOnly},
		{syscall.ENAMETOOLONG, errLong},
		{syscall.ELOOP, errLoop},
		{syscall.EMFILE, errFiles},
		{syscall.ENFILE, errFiles},
		{fs.ErrNotExist, errNoEntry},
		{fs.ErrPermission, errAccess},
		{fs.ErrExist, errExists},
	} {
		if errors.Is(err, x.is) {
			return x.told
		}
	}
	if strings.Contains(err.Error(), "path escapes from parent") { // os.Root exports no error for it
		return errAccess
	}
	return errIO
}
