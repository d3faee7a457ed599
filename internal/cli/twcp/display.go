package twcp

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
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
func newDisplay(o *options, stdout, stderr io.Writer) display {
	_, terminal := cli.Columns(stdout)
	switch {
	case o.json:
		return &jsonDisplay{w: stdout}
	case o.quiet:
		return plainDisplay{w: stdout, quiet: true}
	case o.progress == "always" || o.progress != "never" && terminal:
		return newBar(stdout, stderr, o.source())
	}
	return plainDisplay{w: stdout}
}

// plainDisplay is for files and pipes: digests as they come, and the summary.
type plainDisplay struct {
	w     io.Writer
	quiet bool // no summary
}

func (d plainDisplay) event(e transfer.Event) {
	if len(e.File.Digest) > 0 {
		fmt.Fprint(d.w, digestLine(e.File.Digest, e.File.Name))
	}
}

func (d plainDisplay) finish(o outcome) {
	if !d.quiet {
		printSummary(d.w, o)
	}
}

// digestLine has the form of sha256sum and its like, so that their --check reads it: a name with a line break or backslash is escaped, and a backslash in
// front of the line says so.
func digestLine(digest []byte, name string) string {
	escaped := strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`).Replace(name)
	mark := ""
	if escaped != name {
		mark = `\`
	}
	return fmt.Sprintf("%s%x  %s\n", mark, digest, escaped)
}

// printDigests writes the digests that a result holds. On a terminal, control characters in names are shown as question marks.
func printDigests(w io.Writer, r *transfer.Result) {
	for _, d := range r.Digests {
		fmt.Fprint(w, digestLine(d.Digest, printable(d.Name)))
	}
	if n := r.FilesDone - int64(len(r.Digests)); len(r.Digests) > 0 && n > 0 {
		fmt.Fprintf(w, "(%d more; without the progress display all are printed)\n", n)
	}
}

// printable takes out what could upset a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) && r != '\n' && r != '\r' {
			return '?'
		}
		return r
	}, s)
}

// printSummary writes the lines that stand at the end of a transfer, unless it ended with an error that speaks for itself.
func printSummary(w io.Writer, o outcome) {
	r := o.result
	if r == nil || o.err != nil && (codeOf(o.err) != transfer.CodeSomeFileErrors || r.FilesDone+r.FilesSkipped+r.FilesFailed+r.Folders == 0) {
		return
	}
	fmt.Fprint(w, summary(r))
}

// summary has the product's two lines, and more where something need not be sent or was compressed. Kilobytes are 1,024 bytes, kilobits 1,000 bits.
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
	if r.FilesWaiting > 0 {
		s += fmt.Sprintf("Not complete yet: %s, of which other commands (-C) have not sent their slices.\n", count(r.FilesWaiting, "file", "files"))
	}
	if r.BytesOnWire < r.BytesSent {
		s += fmt.Sprintf("Compressed on the way to %dK bytes.\n", (r.BytesOnWire+1023)/1024)
	}
	return s
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
