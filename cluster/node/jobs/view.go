package jobs

import (
	"encoding/json"
	"fmt"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Who has begun a transfer.
const (
	initiatorNode   = "node"
	initiatorClient = "client"
)

// jobDoc is what state.Job.Doc holds: what hardly changes. The specification as it was given is kept apart, sealed; see state.Store.JobSpec.
type jobDoc struct {
	Initiator string              `json:"initiator"`
	Spec      api.StartSpec       `json:"spec"`
	Notes     []api.Note          `json:"notes,omitempty"`
	KeyMade   int64               `json:"key_made,omitempty"` // when the access key was made, in microseconds: one of the same id that was made at another time is another one; 0 if unknown
	UsageID   string              `json:"usage_id,omitempty"`
	Rates     *api.ChangeTransfer `json:"rates,omitempty"` // that were changed since
	MaxTries  int                 `json:"max_tries,omitempty"`
}

// out says whether the node is the one that sends.
func (d *jobDoc) out() bool {
	return (d.Spec.Direction == transfer.Send.String()) == (d.Initiator == initiatorNode)
}

// report is what state.Job.Report holds.
type report struct {
	Start       int64  `json:"start,omitempty"` // of the first try
	End         int64  `json:"end,omitempty"`
	Tries       int    `json:"tries,omitempty"`
	Transferred int64  `json:"transferred,omitempty"`
	Written     int64  `json:"written,omitempty"`
	Lost        int64  `json:"lost,omitempty"`
	Files       int64  `json:"files,omitempty"`
	Skipped     int64  `json:"skipped,omitempty"`
	Failed      int64  `json:"failed,omitempty"`
	Folders     int64  `json:"folders,omitempty"`
	Expected    int64  `json:"expected,omitempty"` // bytes
	ExpectFiles int64  `json:"expect_files,omitempty"`
	Scanned     bool   `json:"scanned,omitempty"`
	ErrorCode   int    `json:"error_code,omitempty"`
	ErrorDesc   string `json:"error,omitempty"`
}

func (r *report) encode() (json.RawMessage, error) { return json.Marshal(r) }

// take notes how far a session has come. base is what earlier tries did.
func (r *report) take(base report, s transfer.SessionRecord) {
	r.Transferred, r.Lost = base.Transferred+s.BytesSent, base.Lost+int64(s.Transport.Lost)*int64(s.Transport.Datagram)
	r.Written, r.Files, r.Skipped, r.Failed, r.Folders = s.BytesDone, s.FilesDone, s.FilesSkipped, s.FilesFailed, s.Folders
	r.Expected, r.ExpectFiles, r.Scanned = s.BytesTotal, s.FilesTotal, s.Scanned
}

// some says whether anything came through, or was there already.
func (r *report) some() bool { return r.Files+r.Skipped+r.Folders > 0 }

// stored is a job as it is kept.
type stored struct {
	row    state.Job
	doc    jobDoc
	report report
}

func decodeJob(j state.Job) (stored, error) {
	s := stored{row: j}
	if err := json.Unmarshal(j.Doc, &s.doc); err != nil {
		return s, fmt.Errorf("job %s: %w", j.ID, err)
	}
	if len(j.Report) > 0 {
		if err := json.Unmarshal(j.Report, &s.report); err != nil {
			return s, fmt.Errorf("job %s: %w", j.ID, err)
		}
	}
	return s, nil
}

// view is the transfer as the API tells of it, without sessions and files.
func (m *Manager) view(s *stored) api.Transfer {
	now := usec(m.cfg.Now())
	r := &s.report
	t := api.Transfer{
		ID: s.row.ID, Status: api.TransferStatus(s.row.Status), Spec: s.doc.Spec, Notes: s.doc.Notes,
		BytesTransferred: r.Transferred, BytesWritten: r.Written, BytesLost: r.Lost, FilesCompleted: r.Files, FilesSkipped: r.Skipped, FilesFailed: r.Failed, Directories: r.Folders,
		Start: r.Start, End: r.End, ErrorCode: r.ErrorCode, ErrorDesc: r.ErrorDesc, Attempts: r.Tries,
		Precalc: api.Precalc{Status: "unavailable", BytesExpected: r.Expected, FilesExpected: r.ExpectFiles},
	}
	if r.Scanned {
		t.Precalc.Status = "ready"
	}
	if c := s.doc.Rates; c != nil {
		if c.TargetRate != nil {
			t.Spec.TargetRate = *c.TargetRate
		}
		if c.MinRate != nil {
			t.Spec.MinRate = *c.MinRate
		}
		if c.RatePolicy != nil {
			t.Spec.RatePolicy = *c.RatePolicy
		}
	}
	if t.Status == api.Waiting && r.Tries > 0 {
		t.NextTry = now + max(s.row.NextTry.Sub(m.now()).Microseconds(), 0)
	}
	switch {
	case t.Start == 0:
	case t.End != 0:
		t.Elapsed = max(t.End-t.Start, 0) // the clock may have been set
	default:
		t.Elapsed = max(now-t.Start, 0)
	}
	if t.Elapsed > 0 {
		t.AvgRateKbps = t.BytesTransferred * 8000 / t.Elapsed
	}
	return t
}

// viewSession reads what record.go has written.
func viewSession(s state.Session) (x api.TransferSession, err error) {
	err = json.Unmarshal(s.Doc, &x)
	return x, err
}

func viewFile(f state.File) (x api.TransferFile, err error) {
	var d fileDoc
	err = json.Unmarshal(f.Doc, &d)
	return api.TransferFile{
		ID: f.Seq, Session: f.Session, Path: f.Path, Type: d.Kind, Status: f.Status, Size: f.Size, BytesWritten: f.Bytes, StartByte: d.Start,
		ChecksumType: d.Checksum, Checksum: d.Digest, ErrorCode: int(f.Code), ErrorDesc: d.Error,
	}, err
}
