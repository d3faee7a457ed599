package state

import (
	"errors"
	"fmt"
)

// Conditions that callers branch on. They are matched with errors.Is.
var (
	// ErrNotFound: there is no record of this id.
	ErrNotFound = errors.New("not found")
	// ErrExists: a record of this id, or a file of this name, is there already.
	ErrExists = errors.New("already exists")
	// ErrConflict: the record was changed since it was read. Read it again.
	ErrConflict = errors.New("changed by someone else")
	// ErrReference: the record names one that is not there, or others still refer to the one to be deleted.
	ErrReference = errors.New("refers to a record that is not there, or is still referred to")
	// ErrInvalid: the caller gave something that cannot be kept or asked for, such as text that is not UTF-8 or a limit out of range.
	ErrInvalid = errors.New("invalid")
	// ErrReadOnly: a View tried to write.
	ErrReadOnly = errors.New("this transaction only reads; use Update to write")
	// ErrClosed: the Store is closed.
	ErrClosed = errors.New("the state store is closed")

	// ErrFull: there is no room for the change, and nothing of it was done. The Store goes on when there is room again.
	ErrFull = errors.New("no room left for the state store")
	// ErrBusy: another program keeps the database locked, and went on doing so through all retries.
	ErrBusy = errors.New("the state database is locked by another program")
	// ErrLocked: another process, or another Store of this one, has the database open.
	ErrLocked = errors.New("the state store is in use by another process")
	// ErrDamaged: the file is not a state database, or is damaged.
	ErrDamaged = errors.New("not a usable state database")
	// ErrNewer: the database, or the backup, was written by a newer version of this program.
	ErrNewer = errors.New("written by a newer version")
	// ErrNotEmpty: a backup is restored into an empty store only.
	ErrNotEmpty = errors.New("the state store is not empty")
	// ErrBackup: what was to be restored is not a backup, or not a whole one.
	ErrBackup = errors.New("not a valid backup")
	// ErrTampered: the audit log is not what was written. The error is an [AuditError].
	ErrTampered = errors.New("the audit log was tampered with")
)

// Error says which record an operation failed on. Err matches one of the conditions above, or is what the database said.
type Error struct {
	Op   string // "create", "get", "update", ...
	Kind string // "job", "key", ...
	ID   string // its parts joined by "/"; empty if the operation has none
	Err  error
}

func (e *Error) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("%s %s: %v", e.Op, e.Kind, e.Err)
	}
	return fmt.Sprintf("%s %s %q: %v", e.Op, e.Kind, e.ID, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// invalidf returns an error that matches ErrInvalid.
func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
