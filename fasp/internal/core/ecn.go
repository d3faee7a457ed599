package core

import (
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// ECNState says whether packets carry ECT(0).
//
//	off
//	testing -> capable -> failed
//	testing -> failed
//	capable, failed -> testing      another path; capable also after a silence; failed where all that was marked was lost, after a while
type ECNState uint8

// States of marking (docs/protocol.md section 8.6).
const (
	ECNOff     ECNState = iota // not agreed on
	ECNTesting                 // a few packets were marked, and nothing is known of them yet
	ECNCapable                 // the path carries marks
	ECNFailed                  // it drops, clears or changes them: nothing is marked
)

const (
	ecnTest = 10 // packets of a test, as RFC 9000 section A.4
	// Where all that comes says CE for so long, and is so many packets, something on the path sets it; a queue that others keep full does it for
	// less, since drains come each 10 s.
	ecnAllCE     = 100
	ecnAllCETime = 15 * time.Second

	ecnRetry, ecnRetryMost = time.Second, time.Minute // doubling
	ecnSize                = 32                       // bytes of an ECN frame at most

)

// ecn marks what this side sends and counts the marks of what it receives (docs/protocol.md section 8.6, RFC 9000 section 13.4).
type ecn struct {
	state          ECNState
	left           int           // of a test, packets yet to be marked
	since          uint64        // number from which on packets belong to this test
	first          time.Duration // when the first of them was reported, 0 = none yet
	marked         uint64        // packets sent with ECT(0) since the session began
	retry, retryIn time.Duration // when a path that drops what is marked is tested again, and the wait until then; 0 = never
	// Of the packets marked since the test began.
	tested, acked, lost uint64
	base                wire.ECN // what the peer had counted when it began
	counts              wire.ECN // what the peer has counted

	next     uint8    // ECN field of the packet that is being handed in
	received wire.ECN // counted by this side
	told     wire.ECN // of that, what reports from number toldBy on carry
	toldBy   uint64
}

// begin starts a test with packet number next.
func (e *ecn) begin(next uint64) {
	if e.state == ECNOff {
		return
	}
	e.state, e.left, e.since, e.base = ECNTesting, ecnTest, next, e.counts
	e.first, e.tested, e.acked, e.lost = 0, 0, 0, 0
}

// mark tells whether the packet that goes next is to carry ECT(0), and counts it if so.
func (e *ecn) mark() bool {
	switch {
	case e.state == ECNTesting && e.left > 0:
		e.left--
	case e.state != ECNCapable:
		return false
	}
	e.marked++
	e.tested++
	return true
}

// onAcked and onLost learn the fate of a marked packet.
func (e *ecn) onAcked(pn uint64) {
	if pn >= e.since {
		e.acked++
	}
}

func (e *ecn) onLost(pn uint64) {
	if pn >= e.since {
		e.lost++
	}
}

// onCounts takes what the peer has counted. Counts of reports that were overtaken are less in sum and say nothing.
func (e *ecn) onCounts(n wire.ECN) {
	if n.Total() <= e.counts.Total() {
		return
	}
	if n.ECT0 < e.counts.ECT0 || n.ECT1 < e.counts.ECT1 || n.CE < e.counts.CE {
		e.fail()
	}
	e.counts = n
}

// validate judges the path once the newest report and the counts before it have been taken.
func (e *ecn) validate(now time.Duration, next uint64) {
	if e.state == ECNFailed && e.retryIn > 0 && now >= e.retry {
		e.begin(next)
		return
	}
	if e.state != ECNTesting && e.state != ECNCapable {
		return
	}
	arrived := e.counts.ECT0 + e.counts.CE - e.base.ECT0 - e.base.CE
	marked := e.counts.CE - e.base.CE
	if e.first == 0 && e.acked > 0 {
		e.first = now
	}
	switch {
	case e.left == 0 && e.lost == e.tested: // dropped, or they met a full queue
		e.fail()
		e.retryIn = min(max(2*e.retryIn, ecnRetry), ecnRetryMost)
		e.retry = now + e.retryIn
	case arrived < e.acked, // cleared
		e.counts.ECT1 > e.base.ECT1, // changed
		e.counts.Total() > e.marked, // made up
		e.acked >= ecnAllCE && marked == arrived && now-e.first > ecnAllCETime: // set
		e.fail()
		e.retryIn = 0
	case e.acked > 0:
		e.state, e.retryIn = ECNCapable, 0
	}
}

func (e *ecn) fail() {
	if e.state != ECNOff {
		e.state = ECNFailed
	}
}

// arrived counts the packet that was handed in.
func (e *ecn) arrived() {
	e.received.Count(e.next)
	e.next = wire.NotECT
}

// frame appends an ECN frame that goes before report number n, unless a report with these counts was echoed.
func (e *ecn) frame(b []byte, n, echoed uint64) []byte {
	if e.told != e.received {
		e.told, e.toldBy = e.received, n
	}
	if e.state == ECNOff || e.toldBy == 0 || echoed >= e.toldBy {
		return b
	}
	return wire.AppendFrame(b, &wire.Frame{Type: wire.FrameECN, Data: e.told.Append(make([]byte, 0, ecnSize))})
}

// Mark tells the ECN field of the packet that is handed in next, by OnData or OnFrames; without it the packet counts as not marked.
func (c *Conn) Mark(field uint8) { c.ecn.next = field }

// ECN tells whether packets carry ECT(0).
func (c *Conn) ECN() ECNState { return c.ecn.state }

// PathChanged tells that the peer's address has changed, so that what is known of marks is of another path.
func (c *Conn) PathChanged() { c.ecn.begin(c.led.next) }

// onECN takes an ECN frame.
func (c *Conn) onECN(body []byte) error {
	n, err := wire.ParseECN(body)
	if err != nil {
		return protocolError("malformed ECN counts")
	}
	c.ecn.onCounts(n)
	c.Stats.Marked = c.ecn.counts.CE
	return nil
}
