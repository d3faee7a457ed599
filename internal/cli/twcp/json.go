package twcp

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// jsonDisplay writes a line of JSON for every event and one for the result. A reader that does not keep up slows the transfer: no
// line is left out. docs/twcp-json.md describes the lines.
type jsonDisplay struct{ w io.Writer }

// eventJSON is one event. Sizes are bytes, rates bit/s, times milliseconds unless their name says otherwise.
type eventJSON struct {
	Type    string       `json:"type"` // the event's name, such as "progress"
	Time    time.Time    `json:"time"`
	Session *sessionJSON `json:"session,omitempty"`
	File    *fileJSON    `json:"file,omitempty"`
}

type sessionJSON struct {
	ID           string         `json:"id,omitempty"`
	Job          string         `json:"job"`
	Direction    string         `json:"direction"`
	Host         string         `json:"host"`
	Attempt      int            `json:"attempt"`
	FilesTotal   int64          `json:"files_total"`
	BytesTotal   int64          `json:"bytes_total"`
	Scanned      bool           `json:"scanned"` // totals are final
	FilesDone    int64          `json:"files_done"`
	FilesSkipped int64          `json:"files_skipped"`
	FilesFailed  int64          `json:"files_failed"`
	Folders      int64          `json:"folders"`
	BytesSent    int64          `json:"bytes_sent"`
	BytesOnWire  int64          `json:"bytes_on_wire"`
	BytesResumed int64          `json:"bytes_resumed"`
	BytesDone    int64          `json:"bytes_done"`
	Unwanted     int64          `json:"bytes_unwanted"`
	Transport    *transportJSON `json:"transport,omitempty"`
	Code         int            `json:"code,omitempty"`
	Error        string         `json:"error,omitempty"`
}

type transportJSON struct {
	RTT             float64 `json:"rtt_ms"`
	Rate            int64   `json:"rate_bps"`
	Granted         int64   `json:"granted_bps"`
	Loss            float64 `json:"loss"` // 0 to 1
	PacketsSent     uint64  `json:"packets_sent"`
	PacketsReceived uint64  `json:"packets_received"`
	BytesSent       uint64  `json:"ip_bytes_sent"`
	BytesReceived   uint64  `json:"ip_bytes_received"`
	Resent          uint64  `json:"resent"`
	Copies          uint64  `json:"copies"`
	Lost            uint64  `json:"lost"`
	SpuriousLoss    uint64  `json:"spurious_loss"`
	Duplicates      uint64  `json:"duplicates"`
	ECN             string  `json:"ecn"`    // off, testing, capable, failed
	Marked          uint64  `json:"marked"` // packets sent that were marked with CE
	Parity          uint64  `json:"parity"`
	Datagram        int     `json:"datagram"` // bytes
	SizeFalls       uint64  `json:"size_falls"`
	Burst           int     `json:"burst"` // packets, 0 = no limit
	Breaker         uint64  `json:"breaker"`
	CreditWaits     uint64  `json:"credit_waits"`
	LocalDrops      uint64  `json:"local_drops"`
	Level           int64   `json:"level_bps"`
}

type fileJSON struct {
	Name         string `json:"name"`
	Size         int64  `json:"size"`
	BytesSent    int64  `json:"bytes_sent"`
	BytesResumed int64  `json:"bytes_resumed"`
	Offset       int64  `json:"offset,omitempty"`
	Whole        int64  `json:"whole,omitempty"`
	Missing      int    `json:"missing,omitempty"`
	Folder       bool   `json:"folder,omitempty"`
	Link         bool   `json:"link,omitempty"`
	Checksum     string `json:"checksum,omitempty"`
	Digest       string `json:"digest,omitempty"` // hexadecimal
	Code         int    `json:"code,omitempty"`
	Error        string `json:"error,omitempty"`
}

// failedJSON and digestJSON are files in the result.
type failedJSON struct {
	Name  string `json:"name"`
	Code  int    `json:"code"`
	Error string `json:"error"`
}

type digestJSON struct {
	Name     string `json:"name"`
	Size     int64  `json:"size"`
	Checksum string `json:"checksum"`
	Digest   string `json:"digest"` // hexadecimal
}

// resultJSON is the last line.
type resultJSON struct {
	Type         string       `json:"type"` // "result"
	OK           bool         `json:"ok"`
	Code         int          `json:"code"`
	Mnemonic     string       `json:"mnemonic,omitempty"`
	Error        string       `json:"error,omitempty"`
	FilesDone    int64        `json:"files_done"`
	FilesSkipped int64        `json:"files_skipped"`
	FilesFailed  int64        `json:"files_failed"`
	FilesWaiting int64        `json:"files_waiting,omitempty"`
	Folders      int64        `json:"folders"`
	BytesSent    int64        `json:"bytes_sent"`
	BytesOnWire  int64        `json:"bytes_on_wire"`
	BytesResumed int64        `json:"bytes_resumed"`
	Unwanted     int64        `json:"bytes_unwanted"`
	Attempts     int          `json:"attempts"`
	Elapsed      float64      `json:"elapsed_ms"`
	Durable      bool         `json:"durable"`
	Errors       []failedJSON `json:"errors,omitempty"`
	Digests      []digestJSON `json:"digests,omitempty"`
}

func (d *jsonDisplay) event(e transfer.Event) {
	s := e.Session
	j := eventJSON{Type: e.Kind.String(), Time: e.Time, Session: &sessionJSON{
		ID: s.ID, Job: s.Job, Direction: s.Direction.String(), Host: s.Host, Attempt: s.Attempt,
		FilesTotal: s.FilesTotal, BytesTotal: s.BytesTotal, Scanned: s.Scanned, FilesDone: s.FilesDone, FilesSkipped: s.FilesSkipped,
		FilesFailed: s.FilesFailed, Folders: s.Folders, BytesSent: s.BytesSent, BytesOnWire: s.BytesOnWire, BytesResumed: s.BytesResumed, BytesDone: s.BytesDone,
		Unwanted: s.Unwanted, Code: int(s.Code), Error: s.Error,
	}}
	switch e.Kind {
	case transfer.EventProgress, transfer.EventSessionEnded:
		j.Session.Transport = transportToJSON(s.Transport)
	case transfer.EventFileDone, transfer.EventFileSkipped, transfer.EventFileFailed:
		f := e.File
		j.File = &fileJSON{
			Name: f.Name, Size: f.Size, BytesSent: f.BytesSent, BytesResumed: f.BytesResumed, Folder: f.Folder, Link: f.Link,
			Offset: f.Offset, Whole: f.Whole, Missing: f.Missing,
			Code: int(f.Code), Error: f.Error,
		}
		if len(f.Digest) > 0 {
			j.File.Checksum, j.File.Digest = f.Checksum.String(), hex.EncodeToString(f.Digest)
		}
	}
	d.write(j)
}

func transportToJSON(t fasp.Stats) *transportJSON {
	return &transportJSON{
		RTT: t.RTT.Seconds() * 1000, Rate: int64(t.Rate), Granted: int64(t.Granted), Loss: t.Loss, PacketsSent: t.PacketsSent, PacketsReceived: t.PacketsReceived,
		BytesSent: t.BytesSent, BytesReceived: t.BytesReceived, Resent: t.Resent, Copies: t.TailCopies,
		Lost: t.Lost, SpuriousLoss: t.SpuriousLoss, Duplicates: t.Duplicates, ECN: t.ECN.String(), Marked: t.Marked,
		Parity: t.ParitySent, Datagram: t.Datagram, SizeFalls: t.SizeFalls, Burst: t.Burst, Breaker: t.Breaker, CreditWaits: t.CreditWaits, LocalDrops: t.LocalDrops, Level: int64(t.Level),
	}
}

func (d *jsonDisplay) finish(o outcome) {
	j := resultJSON{Type: "result", OK: o.err == nil}
	if o.err != nil {
		code := codeOf(o.err)
		j.Code, j.Mnemonic, j.Error = int(code), code.String(), errorText(o.err)
	}
	if r := o.result; r != nil {
		j.FilesDone, j.FilesSkipped, j.FilesFailed, j.Folders = r.FilesDone, r.FilesSkipped, r.FilesFailed, r.Folders
		j.BytesOnWire, j.FilesWaiting = r.BytesOnWire, r.FilesWaiting
		j.BytesSent, j.BytesResumed, j.Unwanted, j.Attempts = r.BytesSent, r.BytesResumed, r.Unwanted, r.Attempts
		j.Elapsed, j.Durable = r.Elapsed.Seconds()*1000, r.Durable
		for _, e := range r.Errors {
			j.Errors = append(j.Errors, failedJSON{Name: e.Name, Code: int(e.Code), Error: e.Text})
		}
		for _, f := range r.Digests {
			j.Digests = append(j.Digests, digestJSON{Name: f.Name, Size: f.Size, Checksum: f.Checksum.String(), Digest: hex.EncodeToString(f.Digest)})
		}
	}
	d.write(j)
}

func (d *jsonDisplay) write(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		return // BUG: these types always encode
	}
	_, _ = d.w.Write(append(b, '\n')) // a reader that has gone away does not end the transfer
}
