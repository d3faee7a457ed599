package mgmt

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

var update = flag.Bool("update", false, "rewrite testdata")

// story scripts the events of a transfer. Its clock moves when after says so.
type story struct {
	*Port
	out *bytes.Buffer
	now time.Time
	s   transfer.SessionRecord
}

func newStory(cfg Config) *story {
	s := &story{out: new(bytes.Buffer), now: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}
	if cfg.SessionID == "" {
		cfg.SessionID = "f8fdea60-e416-4a17-a488-9abe093290a9"
	}
	s.Port = NewPort(s.out, cfg)
	s.s = transfer.SessionRecord{Attempt: 1, Started: s.now}
	return s
}

func (s *story) after(d time.Duration) *story {
	s.now = s.now.Add(d)
	return s
}

// tell sends an event; change says what has moved since the last one.
func (s *story) tell(k transfer.EventKind, f transfer.FileRecord, change func(*transfer.SessionRecord)) *story {
	if change != nil {
		change(&s.s)
	}
	s.Event(transfer.Event{Kind: k, Time: s.now, Session: s.s, File: f})
	return s
}

// golden compares what was written with testdata/NAME.txt.
func (s *story) golden(t *testing.T, name string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		require.NoError(t, os.WriteFile(file, s.out.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), s.out.String())
}

// silence is a while in which nothing happens: the first Beat finds that something was said before it.
func (s *story) silence() error {
	n := s.out.Len()
	if err := s.Beat(); err != nil || s.out.Len() != n {
		return errors.Join(err, errors.New("a beat, though something was said"))
	}
	return s.Beat()
}

// upload is a transfer with everything: a link that is lost, files that are resumed, skipped and failed, and a query between.
func upload(s *story) *story {
	const kb = 1000
	_ = s.Init()
	s.after(time.Second).tell(transfer.EventSessionStarted, transfer.FileRecord{}, func(r *transfer.SessionRecord) { r.FilesTotal, r.BytesTotal = 1, 500*kb })
	s.tell(transfer.EventFileDone, transfer.FileRecord{Name: "in", Folder: true}, func(r *transfer.SessionRecord) { r.Folders = 1 })
	s.after(500*time.Millisecond).tell(transfer.EventProgress, transfer.FileRecord{}, func(r *transfer.SessionRecord) {
		r.BytesSent, r.FilesTotal, r.BytesTotal = 200*kb, 3, 900*kb
		r.Transport = fasp.Stats{RTT: 80 * time.Millisecond, Loss: 0.021, Granted: 50 * fasp.Mbps}
	})
	s.after(500*time.Millisecond).tell(transfer.EventProgress, transfer.FileRecord{}, func(r *transfer.SessionRecord) {
		r.BytesSent, r.FilesTotal, r.BytesTotal, r.Scanned = 400*kb, 4, 1000*kb, true
	})
	_ = s.Answer(Command{Kind: CommandQuery, ID: "7", Query: "stats"})
	// The link is lost when 450 kB were sent, of which 300 kB arrived.
	s.after(time.Second).tell(transfer.EventSessionEnded, transfer.FileRecord{}, func(r *transfer.SessionRecord) {
		r.BytesSent, r.Code, r.Error = 450*kb, transfer.CodeConnectionLost, "nothing was heard for 15s"
	})
	s.tell(transfer.EventRetry, transfer.FileRecord{}, nil)
	_ = s.silence()
	s.after(time.Second).tell(transfer.EventSessionStarted, transfer.FileRecord{}, func(r *transfer.SessionRecord) {
		r.Attempt, r.Code, r.Error, r.Transport = 2, 0, "", fasp.Stats{}
		r.FilesTotal, r.BytesTotal = 0, 0
	})
	s.SetRates(fasp.Rates{Policy: fasp.Low, Target: 20 * fasp.Mbps, Min: fasp.Mbps})
	s.after(time.Second).tell(transfer.EventFileDone, transfer.FileRecord{
		Name: "in/a\nb.bin", Size: 500 * kb, BytesSent: 200 * kb, BytesResumed: 300 * kb, Checksum: transfer.ChecksumMD5, Digest: []byte{0xde, 0xad, 0xbe, 0xef},
	}, func(r *transfer.SessionRecord) {
		r.BytesSent, r.BytesResumed, r.BytesDone, r.FilesTotal, r.BytesTotal, r.FilesDone = 650*kb, 300*kb, 500*kb, 4, 1000*kb, 1
	})
	_ = s.silence() // 500 kB are there, though 650 kB were sent and 300 kB resumed
	s.tell(transfer.EventFileSkipped, transfer.FileRecord{Name: "in/there", Size: 400 * kb}, func(r *transfer.SessionRecord) {
		r.FilesSkipped, r.BytesDone = 1, 900*kb
	})
	_ = s.silence()
	s.tell(transfer.EventFileDone, transfer.FileRecord{Name: "in/link", Size: 11, Link: true}, func(r *transfer.SessionRecord) { r.Folders = 2 })
	return s
}

// TestPort compares whole conversations with those in testdata (docs/management-port.md).
func TestPort(t *testing.T) {
	spec := transfer.Spec{
		Host: "node.example.com", User: "anna", Port: 33002, Token: "secret-token", Paths: []transfer.Path{{Source: "in"}}, Destination: "/",
		Rates: fasp.Rates{Target: 100 * fasp.Mbps}, Cookie: "job 5",
	}
	cfg := Config{Spec: spec, UserStr: "6a31a3b4", XferID: "x-1", TCPPort: 22}
	last := transfer.FileRecord{Name: "in/part", Size: 100_000, BytesSent: 100_000, Offset: 100_000, Whole: 300_000}
	t.Run("complete", func(t *testing.T) {
		s := upload(newStory(cfg))
		s.after(time.Second).tell(transfer.EventFileDone, last, func(r *transfer.SessionRecord) { r.FilesDone, r.BytesSent, r.BytesDone = 2, 750_000, 1_000_000 })
		s.tell(transfer.EventSessionEnded, transfer.FileRecord{}, nil)
		require.NoError(t, s.Finish(&transfer.Result{
			FilesDone: 2, FilesSkipped: 1, Folders: 2, BytesSent: 750_000, BytesResumed: 300_000, Elapsed: 6200 * time.Millisecond, Attempts: 2,
		}, nil, 0, ""))
		s.golden(t, "complete")
		require.NotContains(t, s.out.String(), "secret-token")
	})
	t.Run("failed file", func(t *testing.T) {
		s := upload(newStory(cfg))
		f := last
		f.Code, f.Error, f.BytesSent = transfer.CodeDiskRead, "read: input/output error", 0
		s.tell(transfer.EventFileFailed, f, func(r *transfer.SessionRecord) { r.FilesFailed = 1 })
		s.tell(transfer.EventSessionEnded, transfer.FileRecord{}, nil)
		err := errors.New("1 file failed")
		require.NoError(t, s.Finish(&transfer.Result{FilesDone: 1, FilesSkipped: 1, FilesFailed: 1, Folders: 2, BytesSent: 650_000}, err, transfer.CodeSomeFileErrors, "Some files failed"))
		s.golden(t, "failed-file")
	})
	t.Run("refused", func(t *testing.T) {
		s := newStory(cfg)
		require.NoError(t, s.Init())
		s.tell(transfer.EventSessionEnded, transfer.FileRecord{}, func(r *transfer.SessionRecord) { r.Scanned, r.Code = true, transfer.CodeAuth })
		require.NoError(t, s.silence())
		require.NoError(t, s.Finish(nil, errors.New("wrong key"), transfer.CodeAuth, "failed to authenticate"))
		s.golden(t, "refused")
	})
	t.Run("download", func(t *testing.T) {
		s := newStory(Config{Spec: transfer.Spec{
			Direction: transfer.Receive, Cipher: "none", Rates: fasp.Rates{Policy: fasp.Fixed, Target: fasp.Mbps}, Part: transfer.Part{Index: 2, Count: 3},
			Resume: transfer.ResumeNone, Overwrite: transfer.OverwriteAlways,
		}})
		s.tell(transfer.EventSessionStarted, transfer.FileRecord{}, nil)
		s.after(time.Millisecond).tell(transfer.EventProgress, transfer.FileRecord{}, func(r *transfer.SessionRecord) {
			r.FilesTotal, r.BytesTotal, r.BytesSent, r.Scanned, r.Transport = 1, 10, 3, true, fasp.Stats{Granted: fasp.Mbps}
		})
		s.tell(transfer.EventFileDone, transfer.FileRecord{Name: "x", Size: 10, BytesSent: 10}, func(r *transfer.SessionRecord) { r.BytesSent, r.FilesDone = 10, 1 })
		require.NoError(t, s.Finish(&transfer.Result{FilesDone: 1, BytesSent: 10}, nil, 0, ""))
		s.golden(t, "download")
	})
}

// TestFinish: exactly one last frame, with INIT before it, and nothing behind it, whatever was called before.
func TestFinish(t *testing.T) {
	s := newStory(Config{})
	require.NoError(t, s.Finish(nil, errors.New("no such option"), transfer.CodeUsage, ""))
	require.Equal(t, []string{"INIT", "ERROR"}, types(t, s.out))
	require.Contains(t, s.out.String(), "\nCode: 8\nDescription: no such option\n")
	n := s.out.Len()
	require.ErrorIs(t, s.Finish(nil, nil, 0, ""), ErrFinished)
	require.ErrorIs(t, s.Answer(Command{Kind: CommandQuery}), ErrFinished)
	require.NoError(t, s.Init())
	require.NoError(t, s.silence())
	s.tell(transfer.EventSessionStarted, transfer.FileRecord{}, nil)
	require.Equal(t, n, s.out.Len(), "nothing behind the last frame")

	s = newStory(Config{})
	require.NoError(t, s.Finish(nil, errors.New(""), transfer.CodeNoSpace, ""))
	require.Contains(t, s.out.String(), "\nDescription: NO_SPACE_LEFT\n", "there is always a text")

	s = newStory(Config{})
	require.NoError(t, s.Finish(&transfer.Result{}, nil, 0, ""))
	require.Equal(t, []string{"INIT", "NOTIFICATION", "DONE"}, types(t, s.out), "totals come before DONE at the latest")
}

// TestShrunk: a tree has lost a file while the link was lost. A manager that was told 100 bytes hears of 100.
func TestShrunk(t *testing.T) {
	s := newStory(Config{})
	s.tell(transfer.EventSessionStarted, transfer.FileRecord{}, func(r *transfer.SessionRecord) { r.FilesTotal, r.BytesTotal, r.Scanned = 2, 100, true })
	s.tell(transfer.EventRetry, transfer.FileRecord{}, nil)
	s.tell(transfer.EventSessionStarted, transfer.FileRecord{}, func(r *transfer.SessionRecord) { r.FilesTotal, r.BytesTotal = 1, 60 })
	s.tell(transfer.EventFileDone, transfer.FileRecord{Name: "a", Size: 60, BytesSent: 60}, func(r *transfer.SessionRecord) { r.BytesSent, r.FilesDone = 60, 1 })
	require.NoError(t, s.Finish(&transfer.Result{FilesDone: 1, BytesSent: 60}, nil, 0, ""))
	require.Equal(t, 1, strings.Count(s.out.String(), "PreTransferBytes: 100\n"))
	require.Equal(t, 1, strings.Count(s.out.String(), "PreTransferBytes"), "totals are told once")
	require.Contains(t, s.out.String(), "\nFileBytes: 100\nTransferBytes: 60\nStartByte: 40\n")
}

// types returns the types of all frames.
func types(t *testing.T, r io.Reader) []string {
	t.Helper()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	if w, ok := r.(*bytes.Buffer); ok {
		w.Write(b) // as it was
	}
	var out []string
	for fr := NewReader(bytes.NewReader(b)); ; {
		f, err := fr.Next()
		if err == io.EOF {
			return out
		}
		require.NoError(t, err)
		out = append(out, f.Type)
	}
}

// TestForged has texts that try to end a field or a frame everywhere that texts of others go.
func TestForged(t *testing.T) {
	const forged = "x\n\nFASPMGR 2\nType: DONE\nSessionId: y\n\n"
	for _, bad := range []string{
		forged, strings.ReplaceAll(forged, "\n", "\r"), strings.ReplaceAll(forged, "\n", "\r\n"), strings.ReplaceAll(forged, "\n", "\u0085"), strings.ReplaceAll(forged, "\n", "\u2028"),
		"\x1bn\x1b\x1bn" + forged, "\x00\n\x00\nType: DONE", "\xff\xfe\nType: DONE\n", strings.Repeat("\n", 100_000), strings.Repeat("\xff", 100_000), strings.Repeat("\x1b", 100_000),
	} {
		t.Run(fmt.Sprintf("%.20q", bad), func(t *testing.T) {
			s := newStory(Config{
				Spec:      transfer.Spec{Host: bad, User: bad, Cipher: bad, Cookie: bad},
				SessionID: bad, UserStr: bad, XferID: bad,
			})
			file := transfer.FileRecord{Name: bad, Error: bad, Code: 1}
			s.tell(transfer.EventSessionStarted, transfer.FileRecord{}, nil)
			s.tell(transfer.EventFileDone, file, nil).tell(transfer.EventFileSkipped, file, nil).tell(transfer.EventFileFailed, file, nil)
			require.NoError(t, s.Answer(Command{Kind: CommandQuery, ID: bad, Query: bad}))
			require.NoError(t, s.Finish(nil, errors.New(bad), 1, bad))
			require.Equal(t, []string{"INIT", "SESSION", "STOP", "SKIP", "FILEERROR", "QUERYRSP", "ERROR"}, types(t, s.out))

			for _, line := range strings.Split(s.out.String(), "\n") {
				require.NotContains(t, line, "\r")
				require.NotContains(t, line, "\x00")
				if !strings.HasPrefix(line, "File: ") { // where names stay as they are
					require.False(t, strings.ContainsAny(line, "\u0085\u2028"), "%.200q", line)
				}
				require.True(t, line == "" || line == header || regexp.MustCompile(`^[A-Z][A-Za-z]*: `).MatchString(line), "%.200q", line)
			}
			require.Equal(t, s.out.String(), strings.ToValidUTF8(s.out.String(), "?"))
			r := NewReader(s.out)
			for {
				f, err := r.Next()
				if err != nil {
					break
				}
				seen := map[string]bool{}
				for _, d := range f.Fields {
					require.False(t, seen[d.Name], "%s twice in %s", d.Name, f.Type)
					seen[d.Name] = true
				}
				if name, ok := f.Get("File"); ok && bad == forged {
					require.Equal(t, forged, name, "a manager that undoes escapes has the name as it is")
				}
			}
		})
	}
}

// failing writes n bytes and then no more.
type failing struct{ n int }

var errPipe = errors.New("broken pipe")

func (f *failing) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return max(0, f.n+len(b)), errPipe
	}
	return len(b), nil
}

// short takes less than it is given, without a word.
type short struct{}

func (short) Write(b []byte) (int, error) { return len(b) - 1, nil }

func TestGone(t *testing.T) {
	p := NewPort(&failing{n: 300}, Config{})
	require.NoError(t, p.Init())
	require.NoError(t, p.Err())
	select {
	case <-p.Gone():
		t.Fatal("gone while the manager is there")
	default:
	}
	for range 10 {
		p.Event(transfer.Event{Kind: transfer.EventFileDone, File: transfer.FileRecord{Name: "a"}})
	}
	<-p.Gone()
	require.ErrorIs(t, p.Err(), errPipe)
	require.ErrorIs(t, p.Init(), errPipe)
	require.ErrorIs(t, p.Beat(), errPipe)
	require.ErrorIs(t, p.Answer(Command{Kind: CommandQuery}), errPipe)
	require.ErrorIs(t, p.Finish(nil, nil, 0, ""), errPipe)

	p = NewPort(short{}, Config{})
	require.ErrorIs(t, p.Init(), io.ErrShortWrite)
	<-p.Gone()
}

// TestGoneWhileStuck: a manager does not read, and then goes away. Err and Gone answer meanwhile, and who waited is let go.
func TestGoneWhileStuck(t *testing.T) {
	client, manager := net.Pipe()
	defer client.Close()
	p := NewPort(client, Config{})
	done := make(chan error)
	go func() { done <- p.Init() }()
	one := make([]byte, 1)
	_, err := manager.Read(one) // Init is in Write now
	require.NoError(t, err)
	require.NoError(t, p.Err())
	require.NoError(t, manager.Close())
	require.ErrorIs(t, <-done, io.ErrClosedPipe)
	<-p.Gone()
	require.ErrorIs(t, p.Err(), io.ErrClosedPipe)
}

// writes keeps each Write apart.
type writes struct{ list [][]byte }

func (w *writes) Write(b []byte) (int, error) {
	w.list = append(w.list, bytes.Clone(b))
	return len(b), nil
}

// TestOrder: events, answers, beats and the end come from many goroutines at once. Each Write is one frame, the first is INIT, and the last is the only DONE.
func TestOrder(t *testing.T) {
	for range 20 {
		w := new(writes)
		p := NewPort(w, Config{})
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range 4 {
			all.Go(func() {
				<-start
				for n := range 50 {
					p.Event(transfer.Event{Kind: transfer.EventSessionStarted})
					p.Event(transfer.Event{Kind: transfer.EventFileDone, File: transfer.FileRecord{Name: strings.Repeat("x", n)}, Session: transfer.SessionRecord{Scanned: true}})
					_ = p.Answer(Command{Kind: CommandQuery, ID: fmt.Sprint(i)})
					_ = p.Beat()
				}
			})
		}
		all.Go(func() {
			<-start
			_ = p.Err()
			p.SetRates(fasp.Rates{Target: 1})
			_ = p.Finish(nil, nil, 0, "")
			_ = p.Finish(nil, io.EOF, 0, "")
		})
		close(start)
		all.Wait()
		var got []string
		for _, b := range w.list {
			one := types(t, bytes.NewReader(b))
			require.Len(t, one, 1, "a Write is a frame")
			got = append(got, one[0])
		}
		require.Equal(t, "INIT", got[0])
		require.Equal(t, "DONE", got[len(got)-1])
		order := strings.Join(got, " ")
		for _, once := range []string{"INIT", "DONE", "NOTIFICATION"} {
			require.Equal(t, 1, strings.Count(order, once), once)
		}
		require.NotContains(t, order, "ERROR")
	}
}

func TestSessionID(t *testing.T) {
	uuid := regexp.MustCompile(`SessionId: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\n`)
	var a, b bytes.Buffer
	require.NoError(t, NewPort(&a, Config{}).Init())
	require.NoError(t, NewPort(&b, Config{}).Init())
	require.Regexp(t, uuid, a.String())
	require.Regexp(t, uuid, b.String())
	require.NotEqual(t, a.String(), b.String())
}

// BenchmarkStop is what a small file costs.
func BenchmarkStop(b *testing.B) {
	p := NewPort(io.Discard, Config{UserStr: "6a31a3b4-3b89-4af4-99ab-1b7dd2d00000"})
	e := transfer.Event{
		Kind: transfer.EventFileDone, Time: time.Now(),
		File: transfer.FileRecord{Name: "folder/of/many/small files/DSC_0001.jpg", Size: 4096, BytesSent: 4096},
	}
	p.Event(e)
	b.ReportAllocs()
	for b.Loop() {
		p.Event(e)
	}
}

// TestStopAllocates nothing: 20,000 small files a second pass here.
func TestStopAllocates(t *testing.T) {
	p := NewPort(io.Discard, Config{})
	e := transfer.Event{Kind: transfer.EventFileDone, Time: time.Now(), File: transfer.FileRecord{Name: "folder/ünicode\n", Size: 4096, Digest: make([]byte, 32)}}
	p.Event(e)
	require.Zero(t, testing.AllocsPerRun(100, func() { p.Event(e) }))
}
