package nodeapi

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"syscall"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// fail writes err as the answer. What is no *api.Error is ours to know and not the client's, unless it works on the node's machine.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *api.Error
	if !errors.As(err, &e) {
		if r.Context().Err() != nil {
			return // nobody is there to read it
		}
		s.cfg.Logger.Error("request failed", "method", r.Method, "route", r.Pattern, "error", err)
		e = api.Errorf(http.StatusInternalServerError, "internal error; the node's log says more")
		if isTrusted(r) { // who could read the log, if there is one: a command that looks after a state folder itself has none
			e = api.Errorf(http.StatusInternalServerError, "%v", err)
		}
	}
	if e.Code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="tradewind", charset="UTF-8"`)
	}
	s.reply(w, e.Code, api.ErrorBody{Error: e})
}

// pathError is what the client is told of an error of a Store at a path. Texts of the system stay here: they may name folders of the host.
func (s *Server) pathError(ctx context.Context, shown string, err error) error {
	return PathError(ctx, s.cfg.Logger, shown, err)
}

// PathError is what a client is told of an error of a Store at a path, which is shown in it. An *api.Error stays as it is, and so does what came of the end of ctx. What is no fault of the
// client goes to log.
func PathError(ctx context.Context, log *slog.Logger, shown string, err error) error {
	var e *api.Error
	if errors.As(err, &e) || ctx.Err() != nil {
		return err
	}
	var te *transfer.Error
	code := transfer.CodeUnknown
	if errors.As(err, &te) {
		code = te.Code
	}
	is := func(c transfer.Code, targets ...error) bool {
		if code != transfer.CodeUnknown {
			return code == c
		}
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	escapes := strings.Contains(err.Error(), "path escapes from parent") // package os exports no error for it
	switch {
	case escapes, is(transfer.CodeBadPath):
		return api.Errorf(http.StatusForbidden, "%s: not a path that this access key reaches", shown)
	case is(transfer.CodeNoSuchFile, fs.ErrNotExist):
		return api.Errorf(http.StatusNotFound, "%s: no such file or folder", shown)
	case is(transfer.CodeReadOnlyFS, syscall.EROFS):
		return api.Errorf(http.StatusForbidden, "%s: the file system is read-only", shown)
	case is(transfer.CodeNoPerms, fs.ErrPermission):
		return api.Errorf(http.StatusForbidden, "%s: the node may not do this", shown)
	case is(transfer.CodeNotDir, syscall.ENOTDIR):
		return api.Errorf(http.StatusConflict, "%s: not a folder, or below a file", shown)
	case is(transfer.CodeIsDir, syscall.EISDIR):
		return api.Errorf(http.StatusConflict, "%s: a folder", shown)
	case errors.Is(err, syscall.ENOTEMPTY):
		return api.Errorf(http.StatusConflict, "%s: the folder is not empty", shown)
	case is(transfer.CodeAlreadyExists, fs.ErrExist, transfer.ErrBusy):
		return api.Errorf(http.StatusConflict, "%s: exists already", shown)
	case is(transfer.CodeNoSpace, syscall.ENOSPC):
		return api.Errorf(http.StatusInsufficientStorage, "%s: no space left", shown)
	case is(transfer.CodePathTooLong, syscall.ENAMETOOLONG):
		return api.Errorf(http.StatusBadRequest, "%s: the name is too long", shown)
	case is(transfer.CodeLinkLoop, syscall.ELOOP):
		return api.Errorf(http.StatusConflict, "%s: a loop of links", shown)
	case errors.Is(err, errors.ErrUnsupported):
		return api.Errorf(http.StatusNotImplemented, "%s: this storage cannot do it", shown)
	}
	log.Error("file operation failed", "path", shown, "error", err)
	return api.Errorf(http.StatusInternalServerError, "%s: internal error; the node's log says more", shown)
}

// inAnswer is an error that stands with a path inside an answer; nil for nil. ok is false if the whole request fails.
func inAnswer(err error) (e *api.Error, ok bool) {
	return e, err == nil || errors.As(err, &e)
}
