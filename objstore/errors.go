package objstore

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// Conditions that callers branch on, matched with errors.Is. Each stands for a Kind.
var (
	ErrNotFound    = errors.New("no such object")
	ErrDenied      = errors.New("access denied")
	ErrExists      = errors.New("object exists")
	ErrChanged     = errors.New("object has changed")
	ErrNoUpload    = errors.New("no such upload")
	ErrUnsupported = errors.New("not supported by this storage")
	ErrPassphrase  = errors.New("wrong passphrase")
	// ErrClosed is returned by calls on something that was closed.
	ErrClosed = errors.New("closed")
)

// Kind says what sort of failure an Error is. The Driver decides it, where the cause is known.
type Kind uint8

// The kinds. Only Temporary and Busy are worth trying again unchanged.
const (
	Other       Kind = iota
	NotFound         // the object or the bucket is not there
	Denied           // the credentials may not do this
	Auth             // the credentials are wrong or expired
	Clock            // the clocks of client and store differ too much
	Exists           // PutOptions.IfAbsent, and there is an object
	Changed          // the object is not the one of the given etag
	Range            // the range begins behind the end of the object
	Busy             // the store asks to be asked less: 429, 503 and the like
	Temporary        // network, 500, time-out, a truncated answer
	Corrupt          // a checksum does not agree; the bytes were changed on the way
	Invalid          // the store does not take this name, size or option
	Full             // quota or space is used up
	NoUpload         // the upload is not known, or not any more
	BadPart          // a part is not what Complete was told
	Unsupported      // the platform, or this installation of it, cannot do it
	Closed
)

var kinds = [...]struct {
	name string
	err  error
	hint string
}{
	Other:       {"error", nil, ""},
	NotFound:    {"not found", ErrNotFound, ""},
	Denied:      {"access denied", ErrDenied, "the credentials lack a right that this needs"},
	Auth:        {"not authenticated", ErrDenied, "check the credentials, and whether they have expired"},
	Clock:       {"clocks differ", nil, "set this machine's clock"},
	Exists:      {"exists", ErrExists, ""},
	Changed:     {"changed", ErrChanged, "the object was replaced while it was read; start again"},
	Range:       {"range beyond the end", nil, ""},
	Busy:        {"store is busy", nil, "fewer requests at a time may help"},
	Temporary:   {"temporary failure", nil, ""},
	Corrupt:     {"checksum does not agree", nil, ""},
	Invalid:     {"refused as invalid", nil, ""},
	Full:        {"storage is full", nil, ""},
	NoUpload:    {"no such upload", ErrNoUpload, "it was completed, aborted, or removed by the store's own clean-up"},
	BadPart:     {"part does not fit", nil, ""},
	Unsupported: {"not supported", ErrUnsupported, ""},
	Closed:      {"closed", ErrClosed, ""},
}

// String names the kind in a few words.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k].name
	}
	return "kind " + strconv.Itoa(int(k))
}

// Temporary says whether the same call may succeed later.
func (k Kind) Temporary() bool { return k == Busy || k == Temporary || k == Corrupt }

// Error is a failure of a store. It matches the sentinel of its Kind, fs.ErrNotExist, fs.ErrExist and fs.ErrPermission
// where those fit, and what Err matches.
type Error struct {
	Op   string // what was being done, such as "put part 3"
	Key  string // the object; "" for the place itself
	Kind Kind
	Err  error  // the cause, never with a secret in it; may be nil
	Hint string // what the user can do, "" = that of the Kind
	// After is how long the store asks to wait before the next try; 0 = it does not say.
	After time.Duration
}

// Error says operation, key, kind, cause and hint.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op)
		b.WriteByte(' ')
	}
	if e.Key != "" {
		b.WriteString(strconv.Quote(e.Key))
		b.WriteByte(' ')
	}
	text := strings.TrimSuffix(b.String(), " ")
	if text != "" {
		text += ": "
	}
	text += e.Kind.String()
	if e.Kind == Other && e.Err != nil {
		text = strings.TrimSuffix(text, e.Kind.String()) + e.Err.Error()
	} else if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if hint := e.hint(); hint != "" {
		text += " (" + hint + ")"
	}
	return text
}

func (e *Error) hint() string {
	if e.Hint == "" && int(e.Kind) < len(kinds) {
		return kinds[e.Kind].hint
	}
	return e.Hint
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches the sentinel of the Kind.
func (e *Error) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e.Kind == NotFound
	case fs.ErrExist:
		return e.Kind == Exists
	case fs.ErrPermission:
		return e.Kind == Denied || e.Kind == Auth
	}
	return int(e.Kind) < len(kinds) && kinds[e.Kind].err != nil && target == kinds[e.Kind].err
}

// KindOf returns the Kind of the *Error in err's chain. Errors without one are Other, those of a context that ended too.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Other
}

// temporary says whether err is worth another try while ctx lasts.
func temporary(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && KindOf(err).Temporary()
}
