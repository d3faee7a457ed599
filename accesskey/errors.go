package accesskey

import "errors"

// Conditions that callers branch on. They are matched with errors.Is.
var (
	// ErrAuth: the proof is not that of a known key. Which part is wrong is not said.
	ErrAuth = errors.New("failed to authenticate")
	// ErrDisabled: the proof is right, but the key is disabled. Only who holds the secret gets to see this.
	ErrDisabled = errors.New("this access key is disabled")
	// ErrExpired: a token is sound, but its time is over.
	ErrExpired = errors.New("this token has expired")
	// ErrBusy: too many passwords are being checked. Try again a little later.
	ErrBusy = errors.New("too many logins at a time")
	// ErrNotFound: a Store has no key of this id.
	ErrNotFound = errors.New("no such access key")
	// ErrCorrupt: a file, a record or an export is not what was written there.
	ErrCorrupt = errors.New("it is damaged")
)
