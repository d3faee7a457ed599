package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/tradewind-io/tradewind/fasp"
)

// Code is a product error code: the numbers that management ports, node APIs and exit texts carry.
// The zero Code is CodeUnknown; on a record it means that nothing went wrong.
type Code uint16

// The codes this package reports. Others exist in the product's list and are accepted from a peer.
const (
	CodeUnknown            Code = 0
	CodeFaspProto          Code = 1
	CodeASCP               Code = 2
	CodeAmbiguousTarget    Code = 3
	CodeNoSuchFile         Code = 4
	CodeNoPerms            Code = 5
	CodeNotDir             Code = 6
	CodeIsDir              Code = 7
	CodeUsage              Code = 8
	CodeInternal           Code = 11
	CodeTransferError      Code = 12
	CodeTransferTimeout    Code = 13
	CodeConnectionError    Code = 14
	CodeConnectionTimeout  Code = 15
	CodeConnectionLost     Code = 16
	CodeAuth               Code = 19
	CodeNothing            Code = 20
	CodeNotRegular         Code = 21
	CodeTooManyFiles       Code = 23
	CodeFileTooBig         Code = 24
	CodeNoSpace            Code = 25
	CodeReadOnlyFS         Code = 26
	CodeSomeFileErrors     Code = 27
	CodeUserCancel         Code = 28
	CodeSockSetup          Code = 31
	CodeUnauthorized       Code = 34
	CodeDiskRead           Code = 35
	CodeDiskWrite          Code = 36
	CodePeerAborted        Code = 39
	CodeBadPath            Code = 41
	CodeAlreadyExists      Code = 42
	CodePMTU               Code = 44
	CodeInsecureConnection Code = 51
	CodePathTooLong        Code = 55
	CodeLinkLoop           Code = 63
)

var mnemonics = [...]string{
	0: "UNKNOWN", 1: "FASP_PROTO", 2: "ASCP", 3: "AMBIGUOUS_TARGET", 4: "NO_SUCH_FILE", 5: "NO_PERMS", 6: "NOT_DIR", 7: "IS_DIR",
	8: "USAGE", 9: "LIC_DUP", 10: "LIC_RATE_EXCEEDED", 11: "INTERNAL_ERROR", 12: "TRANSFER_ERROR", 13: "TRANSFER_TIMEOUT",
	14: "CONNECTION_ERROR", 15: "CONNECTION_TIMEOUT", 16: "CONNECTION_LOST", 17: "RCVR_SEND_ERROR", 18: "RCVR_RECV_ERROR", 19: "AUTH",
	20: "NOTHING", 21: "NOT_REGULAR", 22: "FILE_TABLE_OVR", 23: "TOO_MANY_FILES", 24: "FILE_TOO_BIG", 25: "NO_SPACE_LEFT",
	26: "READ_ONLY_FS", 27: "SOME_FILE_ERRS", 28: "USER_CANCEL", 29: "LIC_NOLIC", 30: "LIC_EXPIRED", 31: "SOCK_SETUP", 32: "OUT_OF_MEMORY",
	33: "THREAD_SPAWN", 34: "UNAUTHORIZED", 35: "DISK_READ", 36: "DISK_WRITE", 37: "AUTHORIZATION", 38: "LIC_ILLEGAL",
	39: "PEER_ABORTED_SESSION", 40: "DATA_TRANSFER_TIMEOUT", 41: "BAD_PATH", 42: "ALREADY_EXISTS", 43: "STAT_FAILS", 44: "PMTU_BRTT_ERROR",
	45: "BWMEAS_ERROR", 46: "VLINK_ERROR", 47: "CONNECTION_ERROR_HTTP", 48: "FILE_ENCRYPTION_ERROR", 49: "FILE_DECRYPTION_PASS",
	50: "BAD_CONFIGURATION", 51: "INSECURE_CONNECTION", 52: "START_VALIDATION_FAILED", 53: "STOP_VALIDATION_FAILED",
	54: "THRESHOLD_VALIDATION_FAILED", 55: "FILEPATH_TOO_LONG", 56: "ILLEGAL_CHARS_IN_PATH", 57: "CHUNK_MUST_MATCH_ALIGNMENT",
	58: "VALIDATION_SESSION_ABORT", 59: "REMOTE_STORAGE_ERROR", 60: "LUA_SCRIPT_ABORTED_SESSION", 61: "SSEAR_RETRYABLE", 62: "SSEAR_FATAL",
	63: "LINK_LOOP", 64: "CANNOT_RENAME_PARTIAL_FILES", 65: "CIPHER_NON_COMPAT_FIPS", 66: "PEER_REQUIRES_FIPS",
}

// String returns the product's mnemonic, such as "NO_SPACE_LEFT".
func (c Code) String() string {
	if int(c) < len(mnemonics) {
		return mnemonics[c]
	}
	return "CODE_" + strconv.Itoa(int(c))
}

// Retryable says whether a session that ended with c may succeed when it is tried again unchanged.
func (c Code) Retryable() bool {
	switch c {
	case 12, 13, 14, 15, 16, 17, 18, 23, 32, 33, 35, 36, 37, 39, 40, 45, 61:
		return true
	}
	return false
}

// Error is a failure of a session or of one file, with the product's code. Match it with errors.As;
// Unwrap gives the cause where there is one.
type Error struct {
	Code Code
	Op   string // what was being done, such as "write"; may be empty
	Path string // the file, may be empty
	Err  error  // the cause, may be nil
}

func (e *Error) Error() string { return fmt.Sprintf("%s (code %d)", e.text(), uint16(e.Code)) }

// text is what went wrong without the code, for where that stands beside it.
func (e *Error) text() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteByte(' ')
	}
	if e.Path != "" {
		b.WriteString(strconv.Quote(e.Path))
		b.WriteByte(' ')
	}
	if b.Len() > 0 {
		s := strings.TrimSuffix(b.String(), " ")
		b.Reset()
		b.WriteString(s)
		b.WriteString(": ")
	}
	if e.Err != nil {
		b.WriteString(e.Err.Error())
	} else {
		b.WriteString(strings.ToLower(strings.ReplaceAll(e.Code.String(), "_", " ")))
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// fail builds an *Error from a cause; a cause that is an *Error already is returned as it is.
func fail(code Code, op, path string, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: code, Op: op, Path: path, Err: err}
}

// failf builds an *Error whose cause is a text.
func failf(code Code, path, format string, args ...any) *Error {
	return &Error{Code: code, Path: path, Err: fmt.Errorf(format, args...)}
}

// storeError gives an error of a Store its code. other is the code for what is not recognised.
func storeError(other Code, op, path string, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	code := other
	switch {
	case isEscape(err):
		code = CodeBadPath
	case errors.Is(err, ErrBusy):
		code = CodeAlreadyExists
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, errQuota):
		code = CodeNoSpace
	case errors.Is(err, syscall.EROFS):
		code = CodeReadOnlyFS
	case errors.Is(err, fs.ErrPermission):
		code = CodeNoPerms
	case errors.Is(err, fs.ErrNotExist):
		code = CodeNoSuchFile
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		code = CodeTooManyFiles
	case errors.Is(err, syscall.EFBIG):
		code = CodeFileTooBig
	case errors.Is(err, syscall.ENOTDIR):
		code = CodeNotDir
	case errors.Is(err, syscall.EISDIR):
		code = CodeIsDir
	case errors.Is(err, syscall.ENAMETOOLONG):
		code = CodePathTooLong
	case errors.Is(err, syscall.ELOOP):
		code = CodeLinkLoop
	case errors.Is(err, fs.ErrExist):
		code = CodeAlreadyExists
	}
	// The path is said once: by us, in the peer's terms, not by the operating system's error.
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		err = pe.Err
	case errors.As(err, &le): // with our temporary name
		err = le.Err
	}
	return &Error{Code: code, Op: op, Path: path, Err: err}
}

// isEscape recognises os.Root's refusal of a name that leads out of the root. The package os does not
// export the error, so its text is compared.
func isEscape(err error) bool {
	return err != nil && strings.Contains(err.Error(), "path escapes from parent")
}

// errEscape is that word of os.Root, which exports none.
var errEscape = errors.New("path escapes from parent")

// sessionError turns what ended a session into an *Error with the product's code.
func sessionError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var pe *fasp.PeerError
	if errors.As(err, &pe) {
		code := CodePeerAborted
		switch {
		case pe.Code >= fasp.CodeApplication:
			code = Code(pe.Code - fasp.CodeApplication)
		case pe.Code == fasp.CodeAuth:
			code = CodeAuth
		case pe.Code == fasp.CodeProtocol:
			code = CodeFaspProto
		}
		return &Error{Code: code, Err: err}
	}
	var pr *fasp.ProtocolError
	code := CodeASCP
	switch {
	case errors.As(err, &pr):
		code = CodeFaspProto
	case errors.Is(err, context.Canceled):
		code = CodeUserCancel
	case errors.Is(err, context.DeadlineExceeded):
		code = CodeTransferTimeout
	case errors.Is(err, fasp.ErrIdentity):
		code = CodeInsecureConnection
	case errors.Is(err, fasp.ErrHandshakeTimeout):
		code = CodeConnectionError
	case errors.Is(err, fasp.ErrPathMTU):
		code = CodePMTU
	case errors.Is(err, fasp.ErrIdleTimeout), errors.Is(err, fasp.ErrReset), errors.Is(err, fasp.ErrClosed):
		code = CodeConnectionLost
	}
	return &Error{Code: code, Err: err}
}

// retryable says whether another session may succeed where this one ended with err.
func retryable(err error) bool {
	var pe *fasp.PeerError
	if errors.As(err, &pe) {
		switch pe.Code {
		case fasp.CodeBusy, fasp.CodeShutdown, fasp.CodeTimeout, fasp.CodeInternal:
			return true
		}
		return pe.Code >= fasp.CodeApplication && Code(pe.Code-fasp.CodeApplication).Retryable()
	}
	switch {
	case errors.Is(err, fasp.ErrIdentity), errors.Is(err, fasp.ErrPathMTU):
		return false
	case errors.Is(err, fasp.ErrIdleTimeout), errors.Is(err, fasp.ErrReset), errors.Is(err, fasp.ErrHandshakeTimeout), errors.Is(err, fasp.ErrClosed):
		return true
	}
	var pr *fasp.ProtocolError
	if errors.As(err, &pr) {
		return false
	}
	var ne interface{ Timeout() bool } // net.Error, without importing net for it
	if errors.As(err, &ne) {
		return true
	}
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETDOWN)
}
