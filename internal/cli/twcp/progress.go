package twcp

import (
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// bar is the progress display: one line that is written again and again. A goroutine of its own writes it, so that a terminal that
// stands still does not hold up the transfer.
type bar struct {
	w    io.Writer
	wake chan struct{} // capacity 1; closed by finish
	done chan struct{}

	mu    sync.Mutex // guards what follows
	state barState
	dirty bool
}

func newBar(w io.Writer) *bar {
	b := &bar{w: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go b.draw()
	return b
}

func (b *bar) event(e transfer.Event) {
	b.mu.Lock()
	b.dirty = b.state.add(e) || b.dirty
	dirty := b.dirty
	b.mu.Unlock()
	if dirty {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

func (b *bar) draw() {
	defer close(b.done)
	for range b.wake {
		b.mu.Lock()
		line := ""
		if b.dirty {
			line = b.state.line()
			b.dirty = false
		}
		b.mu.Unlock()
		if line != "" {
			fmt.Fprint(b.w, "\r"+line)
		}
	}
}

func (b *bar) finish(o outcome) {
	close(b.wake)
	<-b.done
	if b.state.started.IsZero() {
		return // nothing was shown
	}
	if o.result != nil {
		fmt.Fprint(b.w, "\r"+b.state.last(o)+"\n")
	}
	if !b.quietEnd(o) {
		printSummary(b.w, o.result)
	}
}

// quietEnd says that an error which ended everything speaks for itself.
func (b *bar) quietEnd(o outcome) bool {
	return o.err != nil && codeOf(o.err) != transfer.CodeSomeFileErrors
}

// barState turns events into a line. It has no clock but that of the events.
type barState struct {
	started time.Time
	now     transfer.Event // the last one with counters
	name    string         // of the last file seen
	samples []sample       // of the last few seconds, oldest first
	waiting string         // why a retry is due
	drawn   time.Time
}

type sample struct {
	at    time.Time
	bytes int64
}

// rateOver is how far back the rate that is shown goes, and drawEvery how often file events may draw.
const (
	rateOver  = 4 * time.Second
	drawEvery = 200 * time.Millisecond
)

// add takes an event in and says whether the line is to be drawn again.
func (s *barState) add(e transfer.Event) bool {
	if s.started.IsZero() {
		s.started = e.Time
	}
	s.now.Session, s.now.Time = e.Session, e.Time
	if e.Kind == transfer.EventProgress || e.Kind == transfer.EventSessionEnded {
		s.now.Session.Transport = e.Session.Transport
	}
	switch e.Kind {
	case transfer.EventFileDone, transfer.EventFileSkipped, transfer.EventFileFailed:
		if e.File.Name != "" && !e.File.Folder {
			s.name = e.File.Name
		}
		if e.Time.Sub(s.drawn) < drawEvery {
			return false
		}
	case transfer.EventRetry:
		s.waiting = "link lost, trying again"
	case transfer.EventSessionStarted:
		s.waiting, s.samples = "", nil
	}
	s.samples = append(s.samples, sample{e.Time, amount(e.Session)})
	for len(s.samples) > 2 && e.Time.Sub(s.samples[0].at) > rateOver {
		s.samples = s.samples[1:]
	}
	s.drawn = e.Time
	return true
}

// amount is the content that is over there, as far as this side knows.
func amount(r transfer.SessionRecord) int64 {
	n := max(r.BytesDone, r.BytesSent+r.BytesResumed)
	if r.BytesTotal > 0 {
		n = min(n, r.BytesTotal)
	}
	return n
}

// rate is that of the last few seconds, bytes per second.
func (s *barState) rate() float64 {
	if len(s.samples) < 2 {
		return 0
	}
	a, b := s.samples[0], s.samples[len(s.samples)-1]
	if d := b.at.Sub(a.at).Seconds(); d > 0 {
		return max(0, float64(b.bytes-a.bytes)/d)
	}
	return 0
}

func (s *barState) title() string {
	r := s.now.Session
	switch {
	case s.waiting != "":
		return s.waiting
	case r.FilesTotal > 1 && s.name == "":
		return fmt.Sprintf("0/%d", r.FilesTotal)
	case r.FilesTotal > 1:
		return fmt.Sprintf("%d/%d %s", r.FilesDone+r.FilesSkipped+r.FilesFailed, r.FilesTotal, path.Base(s.name))
	case s.name != "":
		return path.Base(s.name)
	}
	return "..."
}

// line is the line while the transfer runs, without its carriage return.
func (s *barState) line() string {
	r := s.now.Session
	have, rate := amount(r), s.rate()
	left := "--:-- ETA"
	if r.Scanned && rate > 0 {
		left = formatTime(time.Duration(float64(r.BytesTotal-have)/rate*float64(time.Second))) + " ETA"
	}
	return formatLine(s.title(), percent(have, r.BytesTotal), have, rate, r.Transport.RTT, r.Transport.Loss, left)
}

// last is the line that stays.
func (s *barState) last(o outcome) string {
	r := s.now.Session
	res := o.result
	have := res.BytesSent + res.BytesResumed
	pct := percent(amount(r), r.BytesTotal)
	if o.err == nil {
		pct = 100
		have = max(have, amount(r))
	}
	rate := 0.0
	if res.Elapsed > 0 {
		rate = float64(res.BytesSent) / res.Elapsed.Seconds()
	}
	s.waiting = ""
	return formatLine(s.title(), pct, have, rate, r.Transport.RTT, r.Transport.Loss, formatTime(res.Elapsed)+"    ")
}

// percent rounds down, so that 100 means all.
func percent(have, total int64) int {
	if total <= 0 {
		return 0
	}
	return int(min(100, float64(have)*100/float64(total)))
}

// nameWidth is the width of the first column.
const nameWidth = 20

// formatLine makes a line of fewer than 80 columns. rate is bytes per second.
func formatLine(name string, pct int, have int64, rate float64, rtt time.Duration, loss float64, clock string) string {
	return fmt.Sprintf("%s %3d%% %6s %9s %9s %10s %12s", fit(name, nameWidth), pct, formatSize(have), formatRate(rate*8), formatRTT(rtt), formatLoss(loss), clock)
}

// fit pads or cuts a name to n columns and takes out what could upset a terminal. Wide characters count as one column.
func fit(name string, n int) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
	if k := utf8.RuneCountInString(name); k <= n {
		return name + strings.Repeat(" ", n-k)
	}
	r := []rune(name)
	return string(r[:n/2-1]) + "..." + string(r[len(r)-(n-n/2-2):])
}

// formatSize prints bytes as the product does: 126MB, with powers of 1,024.
func formatSize(n int64) string {
	units := []string{"B", "KB", "MB", "GB", "TB", "PB"}
	f, i := float64(n), 0
	for f >= 1000 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if f < 10 && i > 0 {
		return fmt.Sprintf("%.1f%s", f, units[i])
	}
	return fmt.Sprintf("%.0f%s", f, units[i])
}

// formatRate prints bits per second as the product does: 96.7Mb/s, with powers of 1,000.
func formatRate(bits float64) string {
	units := []string{"b/s", "Kb/s", "Mb/s", "Gb/s"}
	i := 0
	for bits >= 999.5 && i < len(units)-1 {
		bits /= 1000
		i++
	}
	if bits < 99.95 && i > 0 {
		return fmt.Sprintf("%.1f%s", bits, units[i])
	}
	return fmt.Sprintf("%.0f%s", bits, units[i])
}

func formatRTT(d time.Duration) string {
	switch {
	case d <= 0:
		return "rtt --"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("rtt %.1fms", d.Seconds()*1000)
	}
	return fmt.Sprintf("rtt %.0fms", d.Seconds()*1000)
}

func formatLoss(p float64) string { return fmt.Sprintf("loss %.1f%%", p*100) }

// formatTime prints mm:ss, or h:mm:ss.
func formatTime(d time.Duration) string {
	if d < 0 || d > 1000*time.Hour {
		return "--:--"
	}
	s := int64(d.Seconds() + 0.5)
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}
