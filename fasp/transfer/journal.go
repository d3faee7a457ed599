package transfer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// journal is a marker file that stands while a job is unfinished. It holds nothing: that it exists is what
// it says (docs/protocol-transfer.md section 24.2).
type journal struct {
	path        string // empty: there is no place for one
	interrupted bool   // the marker was there already, or there is no place for one
	made        bool   // by this run
}

// openJournal looks for the marker of a job in the state folder dir, which is made if needed.
func openJournal(dir string, job id16) (*journal, error) {
	if dir == "" {
		return &journal{interrupted: true}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, storeError(CodeDiskWrite, "make state folder", dir, err)
	}
	j := &journal{path: filepath.Join(dir, hexOf(job[:])+".unfinished")}
	_, err := os.Lstat(j.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, storeError(CodeDiskRead, "look for the job in", dir, err)
	}
	j.interrupted = err == nil
	return j, nil
}

// begin sets the marker. It is called before anything of the job goes out, and does nothing from the second time on.
func (j *journal) begin() error {
	if j.path == "" || j.made {
		return nil
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return storeError(CodeDiskWrite, "mark the job in", filepath.Dir(j.path), err)
	}
	j.made = true
	return f.Close()
}

// forget removes the marker if this run has set it, because nothing came of the run.
func (j *journal) forget() error {
	if !j.made {
		return nil
	}
	return j.done()
}

// done removes the marker.
func (j *journal) done() error {
	if j.path == "" {
		return nil
	}
	if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storeError(CodeDiskWrite, "unmark the job", j.path, err)
	}
	return nil
}
