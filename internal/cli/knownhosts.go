package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/tradewind-io/tradewind/fasp"
)

// KnownHosts is a file of servers that were accepted before: a line for each with its address "host:port" and its fingerprint, separated by a blank. A server
// with several lines may show any of their fingerprints. Empty lines and those that begin with # are kept and ignored. Other processes may use the file at the same time.
type KnownHosts struct{ Path string }

// HostMismatch: a server shows another key than the one that is known for it.
type HostMismatch struct {
	Host  string
	Known []fasp.Fingerprint
	Got   fasp.Fingerprint
	Path  string // of the file
	Line  int    // of the first fingerprint there
}

func (e *HostMismatch) Error() string {
	known := make([]string, len(e.Known))
	for i, k := range e.Known {
		known[i] = k.String()
	}
	return fmt.Sprintf("the key of %s has changed: known %s, now %s. Somebody may be listening in, or the server was set up anew; "+
		"if its operator confirms the new fingerprint, remove line %d of %s", e.Host, strings.Join(known, " "), e.Got, e.Line, e.Path)
}

// hostKey is the form in which an address stands in the file.
func hostKey(host string) string { return strings.ToLower(host) }

// Check says whether the server at host ("host:port") is known with this fingerprint. known is false if it was never seen. The error is a
// *HostMismatch if it is known with another key, or says what is wrong with the file. A file that does not exist is empty.
func (k KnownHosts) Check(host string, got fasp.Fingerprint) (known bool, err error) {
	data, err := os.ReadFile(k.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return k.check(data, host, got)
}

func (k KnownHosts) check(data []byte, host string, got fasp.Fingerprint) (known bool, err error) {
	mismatch := &HostMismatch{Host: host, Got: got, Path: k.Path}
	n := 0
	for line := range bytes.Lines(data) {
		n++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if !strings.EqualFold(fields[0], hostKey(host)) {
			continue
		}
		if len(fields) < 2 {
			return false, fmt.Errorf("%s:%d: no fingerprint", k.Path, n)
		}
		fp, err := fasp.ParseFingerprint(fields[1])
		if err != nil {
			return false, fmt.Errorf("%s:%d: %w", k.Path, n, err)
		}
		if fp == got {
			return true, nil
		}
		if len(mismatch.Known) == 0 {
			mismatch.Line = n
		}
		mismatch.Known = append(mismatch.Known, fp)
	}
	if len(mismatch.Known) > 0 {
		return false, mismatch
	}
	return false, nil
}

// Add notes that the server at host showed this fingerprint. If another process was faster, its entry counts: the error is that of Check.
func (k KnownHosts) Add(host string, fp fasp.Fingerprint) error {
	if strings.ContainsAny(host, " \t\r\n") || strings.HasPrefix(host, "#") || host == "" {
		return fmt.Errorf("host %q cannot be kept in %s", host, k.Path)
	}
	if err := os.MkdirAll(filepath.Dir(k.Path), 0o700); err != nil {
		return err
	}
	f, err := lockedfile.OpenFile(k.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(f); err != nil {
		return err
	}
	if known, err := k.check(buf.Bytes(), host, fp); known || err != nil {
		return err
	}
	line := hostKey(host) + " " + fp.String() + "\n"
	if b := buf.Bytes(); len(b) > 0 && b[len(b)-1] != '\n' {
		line = "\n" + line // a line of somebody's, cut short
	}
	// One write at the end: a reader sees all of it or nothing, and after a crash the line is there or not.
	if _, err := f.WriteAt([]byte(line), int64(buf.Len())); err != nil {
		return err
	}
	return f.Sync()
}
