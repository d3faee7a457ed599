package mgmt

import "errors"

// Conditions that callers branch on; matched with errors.Is.
var (
	// ErrFrame: what was read, or is to be written, is no frame.
	ErrFrame = errors.New("no management frame")
	// ErrTooLarge: a frame has more than MaxFrame bytes or MaxFields fields.
	ErrTooLarge = errors.New("management frame too large")
	// ErrCommand: a frame that is no command, or one with a value that cannot be used.
	ErrCommand = errors.New("no management command")
	// ErrFinished: DONE or ERROR has been sent, after which nothing may be.
	ErrFinished = errors.New("the last management frame was sent")
)
