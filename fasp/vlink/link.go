package vlink

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
)

// ErrUnknown is the error for a vlink that is not configured. The error's text names it.
var ErrUnknown = errors.New("unknown vlink")

// Caps bound a sum of rates, in bits of IP packets per second; 0 is no bound, negative is an error.
type Caps struct {
	Out fasp.Rate // what this side sends
	In  fasp.Rate // what peers send
}

// Link is a vlink.
type Link struct {
	// Name is what members call it: 1 to MaxName letters, digits, dots, dashes and underscores. Empty is the vlink of those that name none.
	Name string
	// Caps hold where no window of the schedule does.
	Caps Caps
	// Weight is this vlink's part of a host's cap that is too small for all; 0 means 1, negative is an error.
	Weight float64
	// Schedule says when other caps hold; of windows that overlap, the first counts.
	Schedule []Window
	// Zone is where the schedule's clock hangs; nil means the system's time zone.
	Zone *time.Location
}

// MaxName is the longest name of a vlink, in bytes.
const MaxName = 64

// CheckName says what is wrong with the name of a vlink; the empty one is right.
func CheckName(name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("vlink name of %d bytes: want at most %d", len(name), MaxName)
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._-", c) >= 0) {
			return fmt.Errorf("vlink name %q: want letters, digits, dots, dashes and underscores", name)
		}
	}
	return nil
}

// Check says what is wrong with the link.
func (l *Link) Check() error {
	if err := CheckName(l.Name); err != nil {
		return err
	}
	if err := l.Caps.check(); err != nil {
		return fmt.Errorf("vlink %q: %w", l.Name, err)
	}
	if !(l.Weight >= 0) || math.IsInf(l.Weight, 1) {
		return fmt.Errorf("vlink %q: weight %v: want a number of at least 0", l.Name, l.Weight)
	}
	for i, w := range l.Schedule {
		if err := w.Check(); err != nil {
			return fmt.Errorf("vlink %q: window %d of the schedule: %w", l.Name, i+1, err)
		}
	}
	return nil
}

func (c Caps) check() error {
	if c.Out < 0 || c.In < 0 {
		return fmt.Errorf("a cap is negative: want a rate, or 0 for none")
	}
	return nil
}

// CapsAt returns the caps that hold at a moment. It looks at what the clock on the wall shows then, so that an hour that
// occurs twice when clocks are set back is in a window twice, and one that is left out is not.
func (l *Link) CapsAt(t time.Time) Caps {
	if len(l.Schedule) == 0 {
		return l.Caps
	}
	zone := l.Zone
	if zone == nil {
		zone = time.Local
	}
	t = t.In(zone)
	for i := range l.Schedule {
		if l.Schedule[i].holds(t) {
			return l.Schedule[i].Caps
		}
	}
	return l.Caps
}

// Window is when other caps hold.
type Window struct {
	// Days are those on which the window begins; 0 means every day.
	Days Days
	// From and To are times of day, as the clock on the wall shows them, since midnight, 0 to 24 h and not equal; From belongs to the window, To does not. Where
	// To is before From, it is on the next day.
	From, To time.Duration
	Caps     Caps
}

// Check says what is wrong with the window.
func (w *Window) Check() error {
	const day = 24 * time.Hour
	switch {
	case w.From < 0 || w.From >= day:
		return fmt.Errorf("from %v: want a time of day, 0 to less than 24 h", w.From)
	case w.To < 0 || w.To > day:
		return fmt.Errorf("to %v: want a time of day, 0 to 24 h", w.To)
	case w.From == w.To:
		return fmt.Errorf("from and to are equal: a whole day is 0 to 24 h")
	case w.Days > EveryDay:
		return fmt.Errorf("days %#x: want days of the week", uint8(w.Days))
	}
	return w.Caps.check()
}

// holds tells whether the clock that shows t is in the window.
func (w *Window) holds(t time.Time) bool {
	clock := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
	today := t.Weekday()
	if w.From < w.To {
		return w.Days.has(today) && w.From <= clock && clock < w.To
	}
	return w.Days.has(today) && w.From <= clock || w.Days.has((today+6)%7) && clock < w.To
}

// Days is a set of days of the week: 1<<time.Monday and so on. The zero set stands for every day.
type Days uint8

// EveryDay are all days.
const EveryDay Days = 1<<7 - 1

func (d Days) has(w time.Weekday) bool { return d == 0 || d&(1<<w) != 0 }

var dayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// ParseDays reads days as configurations write them: "mon", "mon-fri", "sat,sun", "fri-mon", or "daily".
func ParseDays(s string) (Days, error) {
	var d Days
	for item := range strings.SplitSeq(strings.ToLower(s), ",") {
		item = strings.TrimSpace(item)
		if item == "daily" {
			d = EveryDay
			continue
		}
		first, last, isRange := strings.Cut(item, "-")
		from, ok := dayOf(first)
		to := from
		if isRange && ok {
			to, ok = dayOf(last)
		}
		if !ok {
			return 0, fmt.Errorf("days %q: want days such as mon, mon-fri or sat,sun, or daily", s)
		}
		for ; ; from = (from + 1) % 7 {
			d |= 1 << from
			if from == to {
				break
			}
		}
	}
	return d, nil
}

func dayOf(name string) (int, bool) {
	for i, n := range dayNames {
		if n == strings.TrimSpace(name) {
			return i, true
		}
	}
	return 0, false
}

// String returns the days in the form that ParseDays reads.
func (d Days) String() string {
	if d == 0 || d&EveryDay == EveryDay {
		return "daily"
	}
	var names []string
	for i, n := range dayNames {
		if d&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ",")
}
