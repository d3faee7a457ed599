package transfer

import "time"

// Whether a block is compressed is decided by two values. A squeeze belongs to a file, or to a packer, and knows what its
// content gives; the session's gauge knows what the path takes and what compressing costs. Neither has a clock or a lock
// (docs/decisions/0010-compression.md).

// squeeze divides the blocks of a file into groups. The first block of each is tried, and what comes of it decides for the others.
// The zero value is before the first block.
type squeeze struct {
	left int  // blocks of the group to come
	on   bool // the group is compressed
	skip int  // length of the last group that was not, 0 = the last one was
}

const (
	squeezeLeast = 1.1  // the ratio below which a block is sent as it is
	squeezeGain  = 1.05 // how much faster it must become
	squeezeGroup = 32   // blocks between two questions whether it still pays
	// Content that does not compress is tried again after 2, 4 and then each 8 blocks, which costs nothing where the path is slow.
	squeezeSkip, squeezeSkipSlow = 2, 8
	// Where the path is too fast a try costs as much as several blocks, and the path seldom changes so much.
	squeezeSkipFast, squeezeSkipMost = 128, 256
)

// next says whether the next block is to be compressed.
func (q *squeeze) next() bool {
	if q.left == 0 {
		return true
	}
	q.left--
	return q.on
}

// tried takes what came of a block for which next said yes; pays is whether such content would pay, or, where this does not compress, such as shrinks to half.
func (q *squeeze) tried(ratio float64, pays bool) {
	switch {
	case ratio >= squeezeLeast && pays:
		if q.left == 0 {
			q.left = squeezeGroup
		}
		q.on, q.skip = true, 0
	case !pays:
		q.skip = min(max(2*q.skip, squeezeSkipFast), squeezeSkipMost)
		q.left, q.on = q.skip, false
	default:
		q.skip = min(max(2*q.skip, squeezeSkip), squeezeSkipSlow)
		q.left, q.on = q.skip, false
	}
}

// again makes the next block a try.
func (q *squeeze) again() { q.left = 0 }

// route is what a session's sending is up against.
type route struct {
	rate  float64 // bytes of blocks per second that the transport lets go, what is lost taken off; 0 = not limited, as far as is known
	drain float64 // bytes of content per second that the receiver's storage takes; 0 = it does not limit
	hands float64 // workers that read and compress beside one another
}

// gauge weighs what compressing costs against what the path takes. The zero value has measured nothing.
//
// While compression holds the transport back, nobody sees what the path would take: its rate does not grow when it is not
// used. So blocks then go uncompressed for a few round trips now and then, which is called a sounding.
type gauge struct {
	prepare  float64 // seconds of a worker for a byte of content: to read and hash it
	compress float64 // and to compress it
	busy     float64 // share of their time, 0..1, in which workers that compress do not wait for the transport

	until time.Time     // the end of the sounding
	due   time.Time     // when the next one begins, if there is reason; zero = there is none
	gap   time.Duration // between that and the one before
}

// spent takes a block of n bytes: the time to read and hash it, to compress it, and that for which the transport let the worker wait.
// 0 says that the first is not known, or that it was not compressed.
func (g *gauge) spent(n int, prepare, compress, wait time.Duration) {
	if prepare > 0 {
		smooth(&g.prepare, prepare.Seconds()/float64(n))
	}
	if compress <= 0 {
		return
	}
	smooth(&g.compress, compress.Seconds()/float64(n))
	own := prepare + compress
	g.busy += (float64(own)/float64(own+wait) - g.busy) / 16
}

// smooth moves v towards a measurement; the first one counts in full.
func smooth(v *float64, x float64) {
	if *v == 0 {
		*v = x
		return
	}
	*v += (x - *v) / 8
}

// pays says whether content that shrinks by ratio arrives sooner if it is compressed.
func (g *gauge) pays(ratio float64, r route) bool {
	if r.rate <= 0 {
		return false
	}
	least := func(v, seconds float64) float64 { // v, or what hands at that cost for a byte come to
		if seconds > 0 {
			v = min(v, r.hands/seconds)
		}
		if r.drain > 0 {
			v = min(v, r.drain)
		}
		return v
	}
	return least(r.rate*ratio, g.prepare+g.compress) > squeezeGain*least(r.rate, g.prepare)
}

// The share of time from which on compressing counts as what holds the transport back, and soundings. The gap between them
// grows, so that they cost 2 % of the first minute and less later.
const (
	squeezeBusy  = 0.8
	soundLeast   = 50 * time.Millisecond
	soundTrips   = 4 // round trips that it lasts
	soundGap     = 2 // lengths of a sounding before the first one
	soundGapMost = 64
)

// sounding says whether blocks go uncompressed now, because it is to be found out what the path takes.
func (g *gauge) sounding(now time.Time, rtt time.Duration) bool {
	if now.Before(g.until) {
		return true
	}
	if g.busy < squeezeBusy {
		g.due, g.gap = time.Time{}, 0
		return false
	}
	length := max(soundLeast, soundTrips*rtt)
	if g.due.IsZero() {
		g.gap = soundGap * length
		g.due = now.Add(g.gap)
	}
	if now.Before(g.due) {
		return false
	}
	g.until = now.Add(length)
	g.gap = min(2*g.gap, soundGapMost*length)
	g.due = g.until.Add(g.gap)
	return true
}
