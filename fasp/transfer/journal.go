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
	path        string
	interrupted bool // the marker was there already, or there is no place for one
}

func openJournal(dir string, job id16) (*journal, error) {
	if dir == "" {
		return &journal{interrupted: true}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, storeError(CodeDiskWrite, "make state folder", dir, err)
	}
	j := &journal{path: filepath.Join(dir, hexOf(job[:])+".unfinished")}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		j.interrupted = true
		return j, nil
	}
	if err != nil {
		return nil, storeError(CodeDiskWrite, "mark the job in", dir, err)
	}
	return j, f.Close()
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
