package mgmt

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// TestTally has what the counters of a transfer can do that those of a manager must not.
func TestTally(t *testing.T) {
	var c tally
	c.add(&transfer.Event{Kind: transfer.EventSessionStarted, Session: transfer.SessionRecord{FilesTotal: 5, BytesTotal: 100}})
	step := func(what string, k transfer.EventKind, f transfer.FileRecord, s transfer.SessionRecord, there, crossed, before int64) {
		t.Helper()
		c.add(&transfer.Event{Kind: k, File: f, Session: s})
		require.Equal(t, [3]int64{there, crossed, before}, [3]int64{c.there(), c.crossed(), c.before()}, what)
	}
	none := transfer.FileRecord{}
	s := transfer.SessionRecord{FilesTotal: 5, BytesTotal: 100, BytesSent: 60}
	step("sent", transfer.EventProgress, none, s, 60, 60, 0)
	step("a file was sent, and is skipped since it was there", transfer.EventFileSkipped, transfer.FileRecord{Size: 30, BytesSent: 20}, s, 70, 60, 10)
	s.BytesSent = 150
	step("sent more than there is: some of it twice", transfer.EventProgress, none, s, 100, 100, 0)
	s.FilesTotal, s.BytesTotal, s.BytesSent = 1, 30, 150
	step("a new attempt has found less so far", transfer.EventRetry, none, s, 100, 100, 0)
	require.EqualValues(t, 5, c.files)
	require.EqualValues(t, 100, c.bytes)
	step("a stream was longer than what was found", transfer.EventFileDone, transfer.FileRecord{Size: 90, BytesSent: 90}, s, 120, 120, 0)
	require.EqualValues(t, 120, c.bytes)
	step("folders and links have no content", transfer.EventFileDone, transfer.FileRecord{Size: 90, Folder: true}, s, 120, 120, 0)
	step("folders and links have no content", transfer.EventFileSkipped, transfer.FileRecord{Size: 90, Link: true}, s, 120, 120, 0)

	c.finish(&transfer.Result{BytesSent: 100, Elapsed: time.Minute}, true, 100)
	require.Equal(t, [3]int64{120, 100, 20}, [3]int64{c.there(), c.crossed(), c.before()})
	require.Equal(t, time.Minute, c.elapsed())
}
