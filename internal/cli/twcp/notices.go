package twcp

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// notices tells the user why a transfer waits: a line on standard error when the reason is another than before.
type notices struct {
	write func(line string)
	last  string
}

// newNotices returns notices that do not disturb the display.
func newNotices(show display, stderr io.Writer, quiet bool) *notices {
	switch b, ok := show.(*bar); {
	case quiet:
		return &notices{write: func(string) {}}
	case ok:
		return &notices{write: b.note}
	}
	return &notices{write: func(line string) { fmt.Fprintln(stderr, line) }}
}

func (n *notices) event(e transfer.Event) {
	switch e.Kind {
	case transfer.EventRetry:
		if reason := retryReason(e.Session); reason != n.last {
			n.last = reason
			n.write("twcp: " + printable(reason) + "; trying again")
		}
	case transfer.EventSessionStarted:
		n.last = ""
	}
}

// retryReason says in the user's words why a session ended.
func retryReason(r transfer.SessionRecord) string {
	s := strings.TrimSuffix(strings.TrimPrefix(r.Error, "connect: "), codeSuffix(r.Code))
	if reason, ok := strings.CutPrefix(s, "peer closed the session: "); ok {
		return "the server says: " + reason
	}
	return strings.ReplaceAll(strings.TrimPrefix(s, "fasp: "), ": fasp: ", ": ")
}

// logbook writes what happens to the log. Events of files that went well are for the debug level.
type logbook struct{ log *slog.Logger }

func (l logbook) start(spec transfer.Spec, cfg transfer.Config) {
	const most = 20
	sources := make([]string, 0, most)
	for _, p := range spec.Paths[:min(len(spec.Paths), most)] {
		sources = append(sources, p.Source)
	}
	l.log.Info("transfer started", "host", spec.Host, "port", spec.Port, "user", spec.User, "direction", spec.Direction.String(), "sources", sources,
		"count", len(spec.Paths), "destination", spec.Destination, "policy", spec.Rates.Policy.String(), "target", spec.Rates.Target.String(),
		"resume", spec.Resume.Level(), "overwrite", spec.Overwrite.String(), "retry_timeout", max(cfg.RetryTimeout, 0))
}

func (l logbook) event(e transfer.Event) {
	s, f := e.Session, e.File
	switch e.Kind {
	case transfer.EventSessionStarted:
		l.log.Info("session started", "session", s.ID, "job", s.Job, "attempt", s.Attempt)
	case transfer.EventSessionEnded:
		if s.Error != "" {
			l.log.Warn("session ended", "session", s.ID, "code", int(s.Code), "error", s.Error)
		}
	case transfer.EventRetry:
		l.log.Warn("trying again", "attempt", s.Attempt, "code", int(s.Code), "error", s.Error)
	case transfer.EventFileFailed:
		l.log.Warn("file failed", "name", f.Name, "code", int(f.Code), "error", f.Error)
	case transfer.EventFileDone, transfer.EventFileSkipped:
		l.log.Debug("file", "event", e.Kind.String(), "name", f.Name, "size", f.Size, "sent", f.BytesSent, "resumed", f.BytesResumed)
	}
}

func (l logbook) end(r *transfer.Result, err error) {
	if r != nil {
		l.log.Info("transfer ended", "ok", err == nil, "files", r.FilesDone, "skipped", r.FilesSkipped, "failed", r.FilesFailed, "folders", r.Folders,
			"sent", r.BytesSent, "wire", r.BytesOnWire, "resumed", r.BytesResumed, "attempts", r.Attempts, "elapsed", r.Elapsed.Round(time.Millisecond))
	}
	if err != nil {
		l.log.Error("transfer failed", "code", int(codeOf(err)), "mnemonic", codeOf(err).String(), "error", errorText(err))
	}
}
