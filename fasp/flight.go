package fasp

import "time"

// flightSender says when a flight of the handshake goes out: three spaced copies, so that 30 % loss rarely costs a time-out, then at
// growing intervals (docs/protocol.md section 4.2).
type flightSender struct {
	datagrams [][]byte
	next      time.Duration
	sent      int
	start     time.Duration
	gap       time.Duration
	until     time.Duration
}

func newFlight(datagrams [][]byte, now, timeout time.Duration) *flightSender {
	return &flightSender{datagrams: datagrams, next: now, start: now, gap: 60 * time.Millisecond, until: now + timeout}
}

// take returns what to send now and moves to the next time.
func (f *flightSender) take(now time.Duration) [][]byte {
	f.sent++
	switch f.sent {
	case 1:
		f.next = f.start + 5*time.Millisecond
	case 2:
		f.next = f.start + 20*time.Millisecond
	default:
		f.next = max(now, f.next) + f.gap
		f.gap = min(f.gap*3/2, 2*time.Second)
	}
	return f.datagrams
}

func (f *flightSender) over(now time.Duration) bool { return now >= f.until }
