package transfer

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
)

// EventKind says what happened.
type EventKind uint8

// The kinds of events.
const (
	EventSessionStarted EventKind = iota + 1 // a session was agreed
	EventProgress                            // counters moved; about twice a second
	EventSessionEnded                        // Session.Code and Error say how
	EventRetry                               // Run waits before the next attempt; Session.Error says why
	EventFileDone                            // a file, folder or link was confirmed
	EventFileSkipped                         // the destination keeps what it has
	EventFileFailed                          // File.Code and Error say why
)

var eventNames = []string{
	EventSessionStarted: "session-started", EventProgress: "progress", EventSessionEnded: "session-ended",
	EventRetry: "retry", EventFileDone: "file-done", EventFileSkipped: "file-skipped", EventFileFailed: "file-failed",
}

// String returns a short name, such as "file-done".
func (k EventKind) String() string { return enumName(eventNames, uint8(k)) }

// Event is one thing that happened in a transfer. Progress displays, the management port, the Node API and
// statistics are all fed from it. Callbacks get it by value, one call at a time, on the goroutine that
// noticed; they must not block, and must not call back into the transfer.
type Event struct {
	Kind    EventKind
	Time    time.Time
	Session SessionRecord
	File    FileRecord // file events only
}

// SessionRecord describes a session and its counters so far. Sizes are bytes of file content.
type SessionRecord struct {
	ID        string // 32 hex digits, chosen by the server; empty until the session was agreed
	Job       string // 32 hex digits, the same for every attempt at the same work
	Role      Role
	Direction Direction
	Host      string // client: the server; server: empty
	User      string
	Sessions  int // that carry blocks; 0 and 1 are one
	Attempt   int // 1 for the first session of a Run
	Started   time.Time
	RateCap   fasp.Rate // what the server lets the session have, either way, of IP packets; 0 is no cap, or that it has not answered yet. At the client only

	// What the client asked for, at the server only. Of a download Paths are the sources, below the store; of an upload Dest is where it goes, below the store, and Paths are
	// the top-level names below it, none where the client did not say. The first MaxRecordPaths of them; they must not be changed.
	Paths []string
	Dest  string
	// How the client wants it, at the server only; see Spec. Rates are those that it began with, before any cap.
	Rates     fasp.Rates
	Resume    ResumeLevel
	Overwrite Overwrite
	CreateDir bool
	// What the client wants to be kept with the transfer, at the server only; see Spec. Tags must not be changed.
	Cookie, Title string
	Tags          json.RawMessage

	FilesTotal   int64 // found so far; final when Scanned
	BytesTotal   int64
	Scanned      bool  // the source was walked to its end
	FilesDone    int64 // confirmed
	FilesSkipped int64
	FilesFailed  int64
	Folders      int64 // folders and links confirmed
	BytesSent    int64 // content that crossed, holes included, at the sender; the receiver counts what it placed
	BytesOnWire  int64 // what BytesSent took: whole blocks as the transport gets them, compressed or not, without what packets add
	BytesResumed int64 // content that was there from before
	BytesDone    int64 // content of files confirmed or skipped, and of blocks placed so far at the receiver
	Unwanted     int64 // bytes that arrived and were not needed

	Transport fasp.Stats // EventProgress and EventSessionEnded
	Code      Code       // EventSessionEnded and EventRetry
	Error     string
}

// MaxRecordPaths is how many paths a SessionRecord has at most.
const MaxRecordPaths = 20

// Role says which end a record comes from.
type Role uint8

// The two roles.
const (
	RoleClient Role = iota
	RoleServer
)

// FileRecord describes one file, folder or link.
type FileRecord struct {
	Name         string // below the destination
	Size         int64  // bytes; 0 of a folder, and of a stream that failed or was skipped before its end
	BytesSent    int64  // of it in this session
	BytesResumed int64
	Mtime        int64 // nanoseconds since 1970
	// Of a file that several jobs divide, Size is that of this job's slice, Offset where it begins and Whole the size of the file; else both are 0.
	Offset, Whole int64
	// Missing is how many slices of such a file were not there when this one was confirmed: the file has its name when they are. 0 if it has.
	Missing      int
	Folder, Link bool
	Checksum     Checksum
	Digest       []byte // whole-file digest, if asked for; must not be changed
	Code         Code   // EventFileFailed
	Error        string
}

// counters are shared by the sessions of one Run.
type counters struct {
	filesTotal, bytesTotal                        atomic.Int64
	scanned                                       atomic.Bool
	filesDone, filesSkipped, filesFailed, folders atomic.Int64
	filesWaiting                                  atomic.Int64
	bytesSent, bytesOnWire, bytesResumed          atomic.Int64
	bytesDone, unwanted                           atomic.Int64
	progress                                      atomic.Int64 // moves with everything that brings the job forward
}

// reporter turns what happens into events and into the result.
type reporter struct {
	counters
	fn     func(Event)
	mu     sync.Mutex // one callback at a time; protects base and result
	base   SessionRecord
	result *Result
	limit  int // errors and digests kept in result
}

func (r *reporter) session() SessionRecord {
	s := r.base
	s.FilesTotal, s.BytesTotal, s.Scanned = r.filesTotal.Load(), r.bytesTotal.Load(), r.scanned.Load()
	s.FilesDone, s.FilesSkipped, s.FilesFailed = r.filesDone.Load(), r.filesSkipped.Load(), r.filesFailed.Load()
	s.Folders, s.BytesSent, s.BytesResumed = r.folders.Load(), r.bytesSent.Load(), r.bytesResumed.Load()
	s.BytesOnWire = r.bytesOnWire.Load()
	s.BytesDone, s.Unwanted = r.bytesDone.Load(), r.unwanted.Load()
	return s
}

// update changes the session's description.
func (r *reporter) update(fn func(*SessionRecord)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(&r.base)
}

func (r *reporter) emit(k EventKind, st *fasp.Stats, err error) {
	if r.fn == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := Event{Kind: k, Time: time.Now(), Session: r.session()}
	if st != nil {
		e.Session.Transport = *st
	}
	if err != nil {
		se := sessionError(err)
		e.Session.Code, e.Session.Error = se.Code, err.Error()
	}
	r.fn(e)
}

// file reports the final state of one file.
func (r *reporter) file(k EventKind, f FileRecord) {
	switch {
	case k == EventFileFailed:
		r.filesFailed.Add(1)
	case k == EventFileSkipped:
		r.filesSkipped.Add(1)
	case f.Folder || f.Link:
		r.folders.Add(1)
	default:
		r.filesDone.Add(1)
		if f.Missing > 0 {
			r.filesWaiting.Add(1)
		}
	}
	if f.Folder {
		f.Size = 0 // what its file system says is no content
	}
	r.progress.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case k == EventFileFailed:
		if len(r.result.Errors) < r.limit {
			r.result.Errors = append(r.result.Errors, FileError{Name: f.Name, Code: f.Code, Text: f.Error})
		}
	case len(f.Digest) > 0 && len(r.result.Digests) < r.limit:
		r.result.Digests = append(r.result.Digests, FileDigest{Name: f.Name, Size: f.Size, Checksum: f.Checksum, Digest: f.Digest})
	}
	if r.fn != nil {
		r.fn(Event{Kind: k, Time: time.Now(), Session: r.session(), File: f})
	}
}

// Result is what a job came to. Sizes are bytes of file content.
type Result struct {
	FilesDone    int64 // confirmed by the receiver
	FilesSkipped int64 // the destination keeps what it has
	FilesFailed  int64 // Errors says which, up to Config.MaxErrors
	FilesWaiting int64 // of FilesDone, those divided among jobs (Spec.Split) that have no name yet, since slices of others are missing
	Folders      int64 // folders and links confirmed
	BytesSent    int64 // content that crossed, holes included, over all attempts
	BytesOnWire  int64 // blocks in which it crossed, compressed or not; those that were not needed are in it
	BytesResumed int64 // content that had not to be sent again
	Unwanted     int64 // bytes that crossed and were not needed
	Attempts     int   // sessions, at least 1
	Elapsed      time.Duration
	Durable      bool // false under DurabilityNone, and where no server took up the job
	Errors       []FileError
	Digests      []FileDigest // if Spec.Checksum asks; up to Config.MaxErrors, events carry all
}

// FileError is one file that failed.
type FileError struct {
	Name string
	Code Code
	Text string
}

// FileDigest is the whole-file digest of one file.
type FileDigest struct {
	Name     string
	Size     int64
	Checksum Checksum
	Digest   []byte
}

func (r *reporter) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := r.result
	res.FilesDone, res.FilesSkipped, res.FilesFailed = r.filesDone.Load(), r.filesSkipped.Load(), r.filesFailed.Load()
	res.Folders, res.BytesSent, res.BytesResumed = r.folders.Load(), r.bytesSent.Load(), r.bytesResumed.Load()
	res.FilesWaiting = r.filesWaiting.Load()
	res.Unwanted, res.BytesOnWire = r.unwanted.Load(), r.bytesOnWire.Load()
}
