package node

import (
	"sync"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Totals is what sessions of clients have done since the node began. In is what came to the node's places, Out what went from them.
type Totals struct {
	Sessions, SessionsFailed uint64 // that have ended
	BytesIn, BytesOut        uint64 // of content, as far as they have come
	FilesIn, FilesOut        uint64 // confirmed
	FailedIn, FailedOut      uint64 // files
	SkippedIn, SkippedOut    uint64 // files
}

// totals adds up what sessions tell.
type totals struct {
	mu  sync.Mutex // guards sum
	sum Totals
}

func (t *totals) get() Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sum
}

// counted returns a function that takes the events of one session.
func (t *totals) counted() func(transfer.Event) {
	var last transfer.SessionRecord
	return func(e transfer.Event) {
		s := e.Session
		t.mu.Lock()
		defer t.mu.Unlock()
		bytes, files, failed, skipped := &t.sum.BytesIn, &t.sum.FilesIn, &t.sum.FailedIn, &t.sum.SkippedIn
		if s.Direction == transfer.Receive { // as the client sees it
			bytes, files, failed, skipped = &t.sum.BytesOut, &t.sum.FilesOut, &t.sum.FailedOut, &t.sum.SkippedOut
		}
		*bytes += uint64(s.BytesSent - last.BytesSent)
		*files += uint64(s.FilesDone - last.FilesDone)
		*failed += uint64(s.FilesFailed - last.FilesFailed)
		*skipped += uint64(s.FilesSkipped - last.FilesSkipped)
		last = s
		if e.Kind == transfer.EventSessionEnded {
			t.sum.Sessions++
			if s.Error != "" {
				t.sum.SessionsFailed++
			}
		}
	}
}
