package twcp

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// script feeds a barState with events of one upload.
type script struct {
	barState
	at time.Time
	r  transfer.SessionRecord
}

func newScript(source string, files, bytes int64) *script {
	s := &script{at: time.Unix(1000, 0)}
	s.source = source
	s.r = transfer.SessionRecord{FilesTotal: files, BytesTotal: bytes, Scanned: true, Attempt: 1}
	return s
}

func (s *script) step(after time.Duration, k transfer.EventKind, edit func(e *transfer.Event)) bool {
	s.at = s.at.Add(after)
	e := transfer.Event{Kind: k, Time: s.at, Session: s.r}
	if edit != nil {
		edit(&e)
	}
	s.r = e.Session
	s.r.Transport = fasp.Stats{}
	return s.add(e)
}

// progress reports bytes of content sent so far.
func (s *script) progress(after time.Duration, sent int64, packets uint64) {
	s.step(after, transfer.EventProgress, func(e *transfer.Event) {
		e.Session.BytesSent = sent
		e.Session.Transport = fasp.Stats{RTT: 150 * time.Millisecond, Loss: 0.02, PacketsSent: packets}
	})
}

func (s *script) file(k transfer.EventKind, name string, size int64) bool {
	return s.step(0, k, func(e *transfer.Event) {
		e.File = transfer.FileRecord{Name: name, Size: size}
		switch k {
		case transfer.EventFileDone:
			e.Session.FilesDone++
		case transfer.EventFileSkipped:
			e.Session.FilesSkipped++
		case transfer.EventFileFailed:
			e.Session.FilesFailed++
		}
	})
}

func TestBarOfOneFile(t *testing.T) {
	s := newScript("FILE", 1, 100_000_000)
	require.True(t, s.step(0, transfer.EventSessionStarted, nil))
	require.Equal(t, "FILE                   0%     0B      0b/s     rtt --     loss --     --:-- ETA", s.line(80))
	for i := range 10 {
		s.progress(500*time.Millisecond, int64(i)*1_250_000, uint64(i)*25)
	}
	require.Equal(t, "FILE                  11%   11MB  20.0Mb/s  rtt 150ms   loss 2.0%     00:36 ETA", s.line(80))
	s.packets = 199
	require.Contains(t, s.line(80), "loss --", "too few packets to speak of a share")
	s.step(time.Second, transfer.EventFileDone, func(e *transfer.Event) {
		e.File = transfer.FileRecord{Name: "dir/FILE", Size: 100_000_000}
		e.Session.BytesSent, e.Session.FilesDone = 100_000_000, 1
	})
	require.Contains(t, s.line(80), "rtt 150ms", "the last value stands")
	require.Equal(t, "FILE                 100%   95MB   100Mb/s  rtt 150ms     loss --     00:08    ",
		s.last(outcome{result: &transfer.Result{BytesSent: 100_000_000, Elapsed: 8 * time.Second}}, 80))
}

func TestBarAcrossALostLink(t *testing.T) {
	const total = 143 << 20
	s := newScript("", 2, total)
	s.step(0, transfer.EventSessionStarted, nil)
	s.progress(time.Second, 40<<20, 1000)
	s.file(transfer.EventFileDone, "a", 40<<20)
	s.progress(time.Second, 121<<20, 1000)
	require.Equal(t, int64(121<<20), s.amount())
	s.step(time.Second, transfer.EventRetry, nil)
	require.True(t, strings.HasPrefix(s.line(80), "link lost, retrying "), s.line(80))
	require.Contains(t, s.line(80), "rtt 150ms")
	// The next session counts what is left; 81 MiB of the second file are there.
	s.step(time.Second, transfer.EventSessionStarted, func(e *transfer.Event) {
		e.Session.FilesTotal, e.Session.BytesTotal, e.Session.Attempt = 1, 40<<20, 2
	})
	require.Equal(t, int64(40<<20), s.amount(), "only what is confirmed counts")
	require.Contains(t, s.line(80), "1/2 ")
	s.step(time.Second, transfer.EventProgress, func(e *transfer.Event) {
		e.Session.FilesTotal, e.Session.BytesTotal, e.Session.BytesResumed = 2, total, 81<<20
	})
	require.Equal(t, int64(121<<20), s.amount())
	s.progress(time.Second, (121+22)<<20, 100)
	s.file(transfer.EventFileDone, "b", 103<<20)
	s.file(transfer.EventFileFailed, "c", 1)
	require.Equal(t, int64(total), s.amount())
	require.Contains(t, s.line(80), "2/2 c", "never more than there are")
	require.Contains(t, s.last(outcome{result: &transfer.Result{}}, 80), " 100%  143MB ")
}

func TestBarSkippedFilesCount(t *testing.T) {
	s := newScript("tree", 3, 3000)
	s.file(transfer.EventFileSkipped, "a", 1000)
	require.False(t, s.file(transfer.EventFileSkipped, "b", 1000), "many files do not mean many lines")
	require.Equal(t, int64(2000), s.amount())
	require.Contains(t, s.line(80), "2/3 b ")
	s.progress(nameFor, 500, 1)
	require.Contains(t, s.line(80), "2/3 tree ", "the name of a file that was done long ago goes")
}

func TestBarFitsTheTerminal(t *testing.T) {
	s := newScript(strings.Repeat("long name ", 20), 1, 1<<60)
	s.progress(time.Second, 1<<59, 1000)
	s.progress(time.Second, 1<<59+1, 1000)
	s.rtt, s.loss = 10*time.Second, 0.999
	for columns := range 300 {
		line := s.line(columns)
		require.LessOrEqual(t, columnsOf(line), max(columns-1, 6), "%d columns: %q", columns, line)
	}
	require.Contains(t, s.line(80), "loss")
	require.NotContains(t, s.line(60), "loss")
	require.Contains(t, s.line(40), "%")
	require.Equal(t, "short     ", fit("short", 10))
	require.Equal(t, "a ve...name", fit("a very long name", 11))
	require.Equal(t, "bad??name ", fit("bad\x1b\x00name", 10))
	require.Equal(t, 11, columnsOf(fit("日本語日本語日本語", 11)))
	require.Equal(t, 4, columnsOf("e\u0301日x"))
	for n := range 20 {
		require.Equal(t, n, columnsOf(fit("日a本b語c日d本e語f", n)))
	}
}

func TestBarWritesNotesAboveTheLine(t *testing.T) {
	var out, errs bytes.Buffer
	b := newBar(&out, &errs, "f")
	at := time.Unix(1000, 0)
	for i := range 100 {
		b.event(transfer.Event{Kind: transfer.EventProgress, Time: at.Add(time.Duration(i) * time.Second), Session: transfer.SessionRecord{BytesTotal: 100, BytesSent: int64(i)}})
	}
	b.note("a note")
	b.finish(outcome{result: &transfer.Result{
		FilesDone: 2, BytesSent: 100, BytesOnWire: 100, Elapsed: 100 * time.Second,
		Digests: []transfer.FileDigest{{Name: "bad\x1bname", Digest: []byte{1, 2}}},
	}})
	require.Equal(t, "a note\n", errs.String())
	require.Contains(t, out.String(), "100%")
	require.True(t, strings.HasSuffix(out.String(), "in 2 files.\n0102  bad?name\n(1 more; without the progress display all are printed)\n"), out.String())
}

func TestPlainDisplayAndDigests(t *testing.T) {
	var out bytes.Buffer
	d := newDisplay(&options{progress: "auto"}, &out, nil)
	d.event(transfer.Event{Kind: transfer.EventFileDone, File: transfer.FileRecord{Name: "a b", Digest: []byte{0xab}}})
	d.event(transfer.Event{Kind: transfer.EventFileDone, File: transfer.FileRecord{Name: "x\\\ny", Digest: []byte{0xcd}}})
	d.event(transfer.Event{Kind: transfer.EventProgress})
	d.finish(outcome{result: &transfer.Result{}})
	require.Equal(t, "ab  a b\n\\cd  x\\\\\\ny\nCompleted: 0K bytes transferred in 0 seconds\n (0K bits/sec), in 0 files.\n", out.String())
}

func TestNoticesOncePerReason(t *testing.T) {
	var out bytes.Buffer
	n := newNotices(plainDisplay{}, &out, false)
	retry := func(text string) {
		n.event(transfer.Event{Kind: transfer.EventRetry, Session: transfer.SessionRecord{Code: 39, Error: text}})
	}
	retry("peer closed the session: too many sessions (code 39)")
	retry("peer closed the session: too many sessions (code 39)")
	retry("connect: h, UDP port 7: fasp: no answer")
	n.event(transfer.Event{Kind: transfer.EventSessionStarted})
	retry("connect: h, UDP port 7: fasp: no answer")
	require.Equal(t, "twcp: the server says: too many sessions; trying again\n"+strings.Repeat("twcp: h, UDP port 7: no answer; trying again\n", 2), out.String())
	out.Reset()
	n = newNotices(plainDisplay{}, &out, true)
	retry("x")
	require.Empty(t, out.String())
}
