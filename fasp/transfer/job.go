package transfer

import (
	"context"
	"errors"
	"log/slog"

	"github.com/zeebo/blake3"

	"github.com/tradewind-io/tradewind/fasp"
)

// job is what both ends of a session share, whichever role they play.
type job struct {
	sess  fasp.Session
	store Store
	req   *request
	owner string // at a server: for whom the session was authenticated
	out   *outbox
	in    *inbox
	rep   *reporter
	log   *slog.Logger
	mem   *memory // what this Run has confirmed before; nil at the server
}

// errFinished ends the goroutines of a session that has done its work.
var errFinished = errors.New("finished")

// tag is 16 hex digits for temporary names. The job's id is the peer's choice, so the owner is in it: nobody meets another's files.
func (j *job) tag() string {
	sum := blake3.Sum256(append([]byte(j.owner+"\x00"), j.req.Job[:]...))
	return hexOf(sum[:8])
}

// has says whether the request carries one of the flags.
func (j *job) has(flag uint64) bool { return j.req.Flags&flag != 0 }

// discardLogger is used where a Config names none.
func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// cause returns why ctx ended, or err if it goes on.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
