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
	"github.com/tradewind-io/tradewind/internal/cli"
)

// bar is the progress display: one line that is written again and again. A goroutine of its own writes it, so that a terminal that
// stands still does not hold up the transfer.
type bar struct {
	w      io.Writer
	stderr io.Writer     // for notes
	width  func() int    // columns of the terminal
	wake   chan struct{} // capacity 1; closed by finish
	done   chan struct{}
	shown  int // columns of the line that stands there; of draw, then of finish

	mu    sync.Mutex // guards what follows
	state barState
	notes []string
	dirty bool
}

// newBar starts a display. source is the name to show as long as no file is known.
func newBar(w, stderr io.Writer, source string) *bar {
	b := &bar{w: w, stderr: stderr, wake: make(chan struct{}, 1), done: make(chan struct{}), state: barState{source: source}}
	b.width = func() int {
		if n, ok := cli.Columns(w); ok {
			return n
		}
		return 80
	}
	go b.draw()
	return b
}

func (b *bar) event(e transfer.Event) {
	b.mu.Lock()
	b.dirty = b.state.add(e) || b.dirty
	dirty := b.dirty
	b.mu.Unlock()
	if dirty {
		b.kick()
	}
}

// maxNotes bounds the notes that a terminal which stands still keeps waiting; further ones are lost.
const maxNotes = 100

// note writes a line to standard error without breaking the progress line.
func (b *bar) note(text string) {
	b.mu.Lock()
	if len(b.notes) < maxNotes {
		b.notes = append(b.notes, text)
	}
	b.dirty = true
	b.mu.Unlock()
	b.kick()
}

func (b *bar) kick() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *bar) draw() {
	defer close(b.done)
	for range b.wake {
		b.mu.Lock()
		line, notes := "", b.notes
		if b.dirty && !b.state.started.IsZero() {
			line = b.state.line(b.width())
		}
		b.dirty, b.notes = false, nil
		b.mu.Unlock()
		b.say(notes)
		if line != "" {
			b.put(line)
		}
	}
}

// say writes notes in place of the line.
func (b *bar) say(notes []string) {
	if len(notes) == 0 {
		return
	}
	if b.shown > 0 {
		fmt.Fprint(b.w, "\r"+strings.Repeat(" ", b.shown)+"\r")
		b.shown = 0
	}
	for _, n := range notes {
		fmt.Fprintln(b.stderr, n)
	}
}

// put writes the line over the one that stands there.
func (b *bar) put(line string) {
	n := columnsOf(line)
	fmt.Fprint(b.w, "\r"+line+strings.Repeat(" ", max(0, min(b.shown, b.width()-1)-n)))
	b.shown = n
}

func (b *bar) finish(o outcome) {
	close(b.wake)
	<-b.done
	b.say(b.notes)
	if b.state.started.IsZero() {
		if o.err == nil {
			printSummary(b.w, o)
		}
		return // nothing was shown
	}
	if o.result != nil {
		b.put(b.state.last(o, b.width()))
		fmt.Fprintln(b.w)
	}
	printSummary(b.w, o)
	if o.result != nil {
		printDigests(b.w, o.result)
	}
}

// barState turns events into a line. It has no clock but that of the events.
type barState struct {
	source  string // what is transferred, if that is one thing
	started time.Time
	now     transfer.Event // the last one
	name    string         // of the last file settled
	named   time.Time      // when that was
	samples []sample       // of the last few seconds, oldest first
	waiting string         // why a retry is due
	drawn   time.Time

	rtt     time.Duration // last known
	loss    float64
	packets uint64 // sent when loss was measured

	settled, skipped       int64 // content of the files confirmed or skipped, and of those skipped
	had                    int64 // settled, when the session began
	sent, resumed, passed  int64 // counters when the session began: bytes sent, resumed, skipped
	filesTotal, bytesTotal int64 // most that was known: a session that was lost counts anew
}

type sample struct {
	at    time.Time
	bytes int64
}

const (
	rateOver  = 4 * time.Second        // how far back the rate that is shown goes
	drawEvery = 200 * time.Millisecond // how often file events may draw
	nameFor   = 3 * time.Second        // how long the name of a file that is done stands there
	lossFrom  = 200                    // packets, from which on a share of lost ones says something
)

// add takes an event in and says whether the line is to be drawn again.
func (s *barState) add(e transfer.Event) bool {
	if s.started.IsZero() {
		s.started = e.Time
	}
	s.now = e
	r := e.Session
	s.filesTotal, s.bytesTotal = max(s.filesTotal, r.FilesTotal), max(s.bytesTotal, r.BytesTotal)
	if t := r.Transport; t.RTT > 0 {
		s.rtt = t.RTT
	}
	if t := r.Transport; t.PacketsSent > 0 {
		s.loss, s.packets = t.Loss, t.PacketsSent
	}
	switch e.Kind {
	case transfer.EventFileDone, transfer.EventFileSkipped, transfer.EventFileFailed:
		if !e.File.Folder && !e.File.Link {
			s.settle(e)
		}
		if e.Time.Sub(s.drawn) < drawEvery {
			return false
		}
	case transfer.EventRetry:
		s.waiting = "link lost, retrying"
		// What was on its way is sent or found again: only what is confirmed counts.
		s.had, s.sent, s.resumed, s.passed = s.settled, r.BytesSent, r.BytesResumed, s.skipped
	case transfer.EventSessionStarted:
		s.waiting, s.samples = "", nil
	}
	s.samples = append(s.samples, sample{e.Time, s.amount()})
	for len(s.samples) > 2 && e.Time.Sub(s.samples[0].at) > rateOver {
		s.samples = s.samples[1:]
	}
	s.drawn = e.Time
	return true
}

// settle notes the end of a file.
func (s *barState) settle(e transfer.Event) {
	if e.File.Name != "" {
		s.name, s.named = e.File.Name, e.Time
	}
	switch e.Kind {
	case transfer.EventFileSkipped:
		s.skipped += e.File.Size
		fallthrough
	case transfer.EventFileDone:
		s.settled += e.File.Size
	}
}

// amount is the content that is over there, as far as this side knows, each byte once.
func (s *barState) amount() int64 {
	r := s.now.Session
	n := s.had + (r.BytesSent - s.sent) + (r.BytesResumed - s.resumed) + (s.skipped - s.passed)
	n = max(n, s.settled)
	if s.bytesTotal > 0 {
		n = min(n, s.bytesTotal)
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
	name := s.source
	if s.name != "" && (s.source == "" || s.filesTotal <= 1 || s.now.Time.Sub(s.named) < nameFor) {
		name = path.Base(s.name)
	}
	switch {
	case s.waiting != "":
		return s.waiting
	case s.filesTotal > 1:
		settled := min(r.FilesDone+r.FilesSkipped+r.FilesFailed, s.filesTotal)
		return strings.TrimSpace(fmt.Sprintf("%d/%d %s", settled, s.filesTotal, name))
	case name != "":
		return name
	}
	return "..."
}

// line is the line while the transfer runs, for a terminal of so many columns.
func (s *barState) line(columns int) string {
	have, rate := s.amount(), s.rate()
	left := "--:-- ETA"
	if s.now.Session.Scanned && rate > 0 {
		left = formatTime(time.Duration(float64(s.bytesTotal-have)/rate*float64(time.Second))) + " ETA"
	}
	return s.format(columns, percent(have, s.bytesTotal), have, rate, left)
}

// last is the line that stays.
func (s *barState) last(o outcome, columns int) string {
	res := o.result
	have := s.amount()
	pct := percent(have, s.bytesTotal)
	if o.err == nil {
		pct, have = 100, max(have, s.bytesTotal)
	}
	rate := 0.0
	if res.Elapsed > 0 {
		rate = float64(res.BytesSent) / res.Elapsed.Seconds()
	}
	s.waiting = ""
	return s.format(columns, pct, have, rate, formatTime(res.Elapsed)+"    ")
}

// format makes a line of fewer than so many columns; what tells least is left out first where they are few. rate is bytes per second.
func (s *barState) format(columns, pct int, have int64, rate float64, clock string) string {
	loss := "loss --"
	if s.packets >= lossFrom {
		loss = formatLoss(s.loss)
	}
	fields := []string{
		fmt.Sprintf(" %3d%%", pct), fmt.Sprintf(" %6s", formatSize(have)), fmt.Sprintf(" %9s", formatRate(rate*8)),
		fmt.Sprintf(" %10s", formatRTT(s.rtt)), fmt.Sprintf(" %11s", loss), fmt.Sprintf(" %13s", clock),
	}
	room := columns - 1 // the last column stays free: some terminals go to the next line there
	for _, f := range fields {
		room -= len(f)
	}
	for _, i := range []int{4, 3, 1, 2, 5} { // loss, rtt, size, rate, clock
		if room >= minName {
			break
		}
		room += len(fields[i])
		fields[i] = ""
	}
	return fit(s.title(), max(min(room, maxName), 1)) + strings.Join(fields, "")
}

// The bounds of the first column, in columns.
const (
	minName = 19
	maxName = 50
)

// percent rounds down, so that 100 means all.
func percent(have, total int64) int {
	if total <= 0 {
		return 0
	}
	return int(min(100, float64(have)*100/float64(total)))
}

// fit pads or cuts a name to n columns and takes out what could upset a terminal.
func fit(name string, n int) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, name)
	if k := columnsOf(name); k <= n {
		return name + strings.Repeat(" ", n-k)
	}
	r := []rune(name)
	dots := strings.Repeat(".", min(3, n))
	left, right := 0, len(r)
	front, back := (n-len(dots))/2, n-len(dots)-(n-len(dots))/2
	for front >= runeColumns(r[left]) {
		front -= runeColumns(r[left])
		left++
	}
	for back >= runeColumns(r[right-1]) {
		back -= runeColumns(r[right-1])
		right--
	}
	return string(r[:left]) + dots + string(r[right:]) + strings.Repeat(" ", front+back)
}

func columnsOf(s string) (n int) {
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// runeColumns is how many columns a terminal gives a character: two for those of East Asia and for pictures, none for marks on others. It is
// right for nearly all names; where it is not, a line is a little too long or short.
func runeColumns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana), r >= 0x3000 && r <= 0x303e, r >= 0xff01 && r <= 0xff60,
		r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	return 1
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
