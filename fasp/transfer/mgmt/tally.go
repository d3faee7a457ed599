package mgmt

import (
	"time"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// tally makes the counters of a management port out of those of a transfer. It has no clock but that of the events.
//
// A manager divides FileBytes, or TransferBytes + StartByte, by PreTransferBytes and shows a share, so that these must count each byte of content once, whatever way it came to be there,
// and never go back. A SessionRecord does not: after a lost link BytesResumed has what earlier attempts sent (and BytesSent too), and BytesDone of a sender moves when a file is
// confirmed and not before. there is therefore made of what is settled and of what moved since the attempt began.
type tally struct {
	rec       transfer.SessionRecord // the last one
	transport fasp.Stats             // the last one that was measured
	began     time.Time              // of the first attempt; zero before the first event
	now       time.Time              // of the last event

	settled int64 // content of the files confirmed or skipped
	skipped int64 // of the files skipped, what neither BytesSent nor BytesResumed has

	had                   int64 // settled, when the attempt began
	sent, resumed, passed int64 // BytesSent, BytesResumed and skipped at that time

	files, bytes int64 // most that was found: an attempt after the first counts anew
	reached      int64 // most that there returned
}

// add takes an event in.
func (t *tally) add(e *transfer.Event) {
	r := &e.Session
	if t.began.IsZero() {
		t.began = e.Time
		if !r.Started.IsZero() && r.Started.Before(e.Time) {
			t.began = r.Started
		}
	}
	t.rec, t.now = *r, e.Time
	if e.Kind == transfer.EventProgress || e.Kind == transfer.EventSessionEnded {
		t.transport = r.Transport
	}
	if f := &e.File; !f.Folder && !f.Link {
		switch e.Kind {
		case transfer.EventFileSkipped:
			t.skipped += max(0, f.Size-f.BytesSent-f.BytesResumed)
			t.settled += f.Size
		case transfer.EventFileDone:
			t.settled += f.Size
		}
	}
	t.files = max(t.files, r.FilesTotal)
	t.bytes = max(t.bytes, r.BytesTotal, t.settled)
	if e.Kind == transfer.EventRetry {
		// What was on its way is sent or found again: only what is confirmed counts.
		t.had, t.sent, t.resumed, t.passed = t.settled, r.BytesSent, r.BytesResumed, t.skipped
	}
	n := t.had + (r.BytesSent - t.sent) + (r.BytesResumed - t.resumed) + (t.skipped - t.passed)
	t.reached = max(t.reached, min(max(n, t.settled), t.bytes))
}

// finish takes the result in. announced is what the manager was told as the total, negative if nothing.
func (t *tally) finish(res *transfer.Result, complete bool, announced int64) {
	if res != nil {
		r := &t.rec
		r.FilesDone, r.FilesSkipped, r.FilesFailed, r.Folders = res.FilesDone, res.FilesSkipped, res.FilesFailed, res.Folders
		r.BytesSent, r.BytesResumed, r.BytesOnWire, r.Unwanted = res.BytesSent, res.BytesResumed, res.BytesOnWire, res.Unwanted
		if t.began.IsZero() || t.now.Before(t.began.Add(res.Elapsed)) {
			t.now = t.began.Add(res.Elapsed)
		}
	}
	if complete {
		// All that there is is there. Where less was found after a lost link than was told before, the manager hears of all that it waits for nevertheless: it could not be told another total.
		t.reached = max(t.settled, announced)
		t.bytes = t.reached
		t.rec.Scanned = true
	}
}

// there is the content that is over there as far as this side knows, each byte once: FileBytes.
func (t *tally) there() int64 { return t.reached }

// crossed is the part of there that this run sent: TransferBytes. What was sent a second time after a lost link counts once.
func (t *tally) crossed() int64 { return min(t.rec.BytesSent, t.reached) }

// before is the part of there that crossed is not, which is what was there from before, resumed or skipped: StartByte.
func (t *tally) before() int64 { return t.reached - t.crossed() }

func (t *tally) elapsed() time.Duration { return max(0, t.now.Sub(t.began)) }
