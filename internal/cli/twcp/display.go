package twcp

import (
	"fmt"
	"io"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// display shows what a transfer does. event is called by the transfer, one call at a time; finish is called once, after the last event.
type display interface {
	event(transfer.Event)
	finish(o outcome)
}

// outcome is what a command came to.
type outcome struct {
	result *transfer.Result // nil if nothing was tried
	err    error
}

// newDisplay chooses the display that the options ask for.
func newDisplay(o *options, stdout io.Writer) display {
	switch {
	case o.json:
		return &jsonDisplay{w: stdout}
	case o.quiet:
		return quietDisplay{}
	}
	return newBar(stdout)
}

type quietDisplay struct{}

func (quietDisplay) event(transfer.Event) {}
func (quietDisplay) finish(outcome)       {}

// printSummary writes the lines that stand at the end of a transfer which moved files.
func printSummary(w io.Writer, r *transfer.Result) {
	if r == nil || r.FilesDone+r.FilesSkipped+r.FilesFailed+r.Folders == 0 {
		return
	}
	fmt.Fprint(w, summary(r))
}

// summary has the product's two lines, and a third one where something need not be sent. Kilobytes are 1,024 bytes, kilobits 1,000 bits.
func summary(r *transfer.Result) string {
	word := "Completed: "
	if r.FilesFailed > 0 {
		word = "Partial Completion: "
	}
	sec := r.Elapsed.Seconds()
	rate := int64(0)
	if sec > 0 {
		rate = int64(float64(r.BytesSent) * 8 / 1000 / sec)
	}
	s := fmt.Sprintf("%s%dK bytes transferred in %d seconds\n (%dK bits/sec), in %s", word, (r.BytesSent+1023)/1024, int64(sec+0.5), rate,
		count(r.FilesDone, "file", "files"))
	if r.Folders > 0 {
		s += ", " + count(r.Folders, "directory", "directories")
	}
	if r.FilesFailed > 0 {
		s += fmt.Sprintf("; %s failed", count(r.FilesFailed, "file", "files"))
	}
	s += ".\n"
	if r.FilesSkipped > 0 || r.BytesResumed > 0 {
		s += fmt.Sprintf("Already there: %s, and %dK bytes of others.\n", count(r.FilesSkipped, "file", "files"), r.BytesResumed/1024)
	}
	return s
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
