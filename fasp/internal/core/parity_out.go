package core

import (
	"math"
	"math/bits"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

const (
	// parityMinRTT is the round trip below which repeating is as good: reports take a millisecond anyway.
	parityMinRTT = 2 * time.Millisecond
	// parityFloor and parityUnknown are what loss is taken for at least, and at most while little has been seen of the path.
	parityFloor   = 0.01
	parityUnknown = 0.3
	tailFailure   = 0.001 // the share of tails that may need another round trip, at least
	tailMost      = 0.1   // and at most
	// ParityTogether is how many groups get their parity by turns, so that a burst does not take all of one; the driver keeps
	// as many groups' rows ready.
	ParityTogether = 16
	maxBurst       = 16
)

// outGroup is what the sender knows of one group of a block in the tail.
type outGroup struct {
	size    int // k: its data symbols
	acked   int // of these, acknowledged
	queued  int // on the list of lost symbols
	missing int // lost, but not on that list since parity may stand in; in flight are the others
	sent    int // parity symbols sent
	flying  int // of these, in flight
	got     int // of these, acknowledged
}

// done tells that the peer has the group or can compute it.
func (g *outGroup) done() bool { return g.acked+g.got >= g.size }

// inFlight is how many symbols of either kind have an unknown fate.
func (g *outGroup) inFlight() int { return g.size - g.acked - g.queued - g.missing + g.flying }

// spare is how many of those in flight may be lost without harm.
func (g *outGroup) spare() int { return g.flying + g.got - g.missing - g.queued }

// outParity is the state of a block in the tail.
type outParity struct {
	groups  []outGroup
	missing symSet
	open    int    // groups that are not done
	told    int    // BLOCK_SIZE frames that named it, less parity lost since
	toldIn  uint64 // number of the last of them
}

// startParity begins to count a block by groups. All of its symbols have been sent.
func (b *OutBlock) startParity() {
	n := Groups(b.symbols)
	q := &outParity{groups: make([]outGroup, n)}
	for sym := range b.symbols {
		g := &q.groups[sym%n]
		g.size++
		if b.acked.has(sym) {
			g.acked++
		}
		if b.lost.has(sym) {
			g.queued++
		}
	}
	for i := range q.groups {
		if !q.groups[i].done() {
			q.open++
		}
	}
	b.parity = q
}

// wanted tells whether the peer has use for the symbol.
func (b *OutBlock) wanted(sym int) bool {
	if b.acked.has(sym) {
		return false
	}
	return b.parity == nil || !b.parity.groups[sym%len(b.parity.groups)].done()
}

// sentAgain notes that a data symbol is in flight again.
func (b *OutBlock) sentAgain(sym int) {
	if q := b.parity; q != nil && q.missing.has(sym) {
		q.missing.clear(sym)
		q.groups[sym%len(q.groups)].missing--
	}
}

// tellSize tells whether the peer may not know the block's length.
func (b *OutBlock) tellSize() bool { return b.symbols > 1 && !b.acked.has(b.symbols-1) }

// settled reports whether the peer has the whole block, when one more of its symbols has been acknowledged; group g got it.
func (c *Conn) settledBy(b *OutBlock, g int) bool {
	q := b.parity
	if q == nil {
		return b.nAcked == b.symbols
	}
	// Each acknowledgement counts a group up by one, so it becomes done exactly once.
	if gr := &q.groups[g]; gr.acked+gr.got == gr.size {
		q.open--
		for sym := g; gr.queued > 0; sym += len(q.groups) {
			if b.lost.has(sym) {
				c.out.unmarkLost(b, sym)
				q.missing.set(sym)
				gr.missing++
			}
		}
	}
	return q.open == 0
}

// ackData notes in the block's groups that a data symbol was acknowledged for the first time.
func (b *OutBlock) ackData(sym int) (group int) {
	q := b.parity
	if q == nil {
		return 0
	}
	b.sentAgain(sym)
	group = sym % len(q.groups)
	q.groups[group].acked++
	return group
}

// onParityAcked counts a parity symbol that arrived. A receiver reports none that it did not keep, unless it has the group anyway, so
// the count says what it can compute.
func (c *Conn) onParityAcked(e *sent, was uint8) {
	b := c.out.get(e.block)
	if b == nil || b.Class != e.class {
		return
	}
	i := int(e.sym) % len(b.parity.groups)
	g := &b.parity.groups[i]
	if was != lost {
		g.flying--
	}
	g.got++
	if c.settledBy(b, i) {
		c.settle(b)
	}
}

// onParityLost takes back what a parity symbol stood for.
func (c *Conn) onParityLost(e *sent) {
	b := c.out.get(e.block)
	if b == nil || b.Class != e.class {
		return
	}
	i := int(e.sym) % len(b.parity.groups)
	b.parity.groups[i].flying--
	b.parity.told = max(0, b.parity.told-1) // it may have been dropped for want of the block's length
	c.recheck(b, i)
}

// onDataLost queues a lost symbol to be sent again, unless parity that has arrived or is in flight may stand in for it.
func (c *Conn) onDataLost(b *OutBlock, sym int) {
	q := b.parity
	if q == nil {
		c.out.markLost(b, sym)
		return
	}
	i := sym % len(q.groups)
	q.missing.set(sym)
	q.groups[i].missing++
	c.recheck(b, i)
}

// recheck queues as many missing symbols of a group as it cannot do without, whatever else arrives.
func (c *Conn) recheck(b *OutBlock, i int) {
	q := b.parity
	g := &q.groups[i]
	for sym := i; g.spare()+g.queued < 0 && !g.done(); sym += len(q.groups) {
		if q.missing.has(sym) {
			b.sentAgain(sym)
			c.out.markLost(b, sym)
		}
	}
}

// settle takes a block that the peer has off the queue.
func (c *Conn) settle(b *OutBlock) {
	c.out.settle(b)
	c.Stats.BlocksOut++
	c.Stats.BlockBytesOut += uint64(b.Size)
	c.Settled = append(c.Settled, b)
}

// bursts measures how many packets in a row are lost at a time.
type bursts struct{ lost, runs float64 }

func (u *bursts) note(l *ledger, pn uint64) {
	if u.lost++; u.lost > 256 {
		u.lost /= 2
		u.runs /= 2
	}
	before := l.at(pn - 1)
	if before != nil && before.kind == kindSkipped {
		before = l.at(pn - 2)
	}
	if before == nil || before.state == acked {
		u.runs++
	}
}

// mean is how much longer losses are than independent ones would be: 1 for these, whose runs are 1/(1-p) long.
func (u *bursts) mean(p float64) float64 {
	m := (u.lost + 4) / (u.runs + 4) * (1 - p)
	if m < 1.25 {
		return 1
	}
	return min(m, maxBurst)
}

// parityWant is how many more symbols a group is to get in flight.
type parityWant struct {
	b     *OutBlock
	group int
	want  int
}

// before tells whether w stands before v in a plan.
func (w *parityWant) before(v *parityWant) bool {
	d := int32(w.b.ID - v.b.ID)
	return d > 0 || d == 0 && w.group < v.group
}

// parityPlan is what the tail still sends beyond the data itself.
type parityPlan struct {
	stale  bool
	more   bool // there may be something to send
	covers bool // parity is in use, so that copies are for finding out losses only
	wants  []parityWant
	rest   []parityWant // room for another plan
	lo     int          // wants[lo:lo+ParityTogether] are served by turns
	pos    int
	any    bool  // a turn has served something
	copies int   // BLOCK_SIZE frames a block is named in
	since  int   // parity packets since the last such frame
	spent  int64 // IP bytes sent in this tail
	need   needTable
}

// lossRange returns what loss to expect: the estimate, and the upper bound that what has been seen allows.
func (c *Conn) lossRange() (point, upper float64) {
	n, l := c.lossAcked+c.lossLost, c.lossLost
	if n > 0 {
		point = l / n
	}
	if n < 2000 || l >= 0.5 {
		point = max(point, parityFloor)
	}
	point = min(max(point, 1e-4), 0.9)
	// The score interval at 95 %, kept simple.
	upper = (l + 1.5 + 1.64*math.Sqrt(l*max(0, n-l)/max(n, 1)+1)) / (n + 3)
	return point, min(max(point, min(upper, max(parityUnknown, 1.2*point))), 0.9)
}

// earlyCopies returns how many copies of a message follow it soon, so that one in a hundred is lost with all of them.
func (c *Conn) earlyCopies() int {
	_, p := c.lossRange()
	return min(3, int(math.Ceil(math.Log(0.01)/math.Log(p)-0.01))-1)
}

// planParity decides how many parity symbols each group in the tail gets (section 8.3).
func (c *Conn) planParity() {
	pl := &c.plan
	*pl = parityPlan{wants: pl.wants[:0], rest: pl.rest[:0], since: pl.since, spent: pl.spent, need: pl.need}
	rtt := c.RTT()
	if !c.cfg.Parity || rtt < parityMinRTT {
		return
	}
	groups, symbols := 0, 0
	for _, b := range c.out.blocks {
		if b == nil {
			continue
		}
		if b.parity == nil {
			b.startParity()
		}
		groups += b.parity.open
		symbols += b.symbols - b.nAcked
	}
	pl.covers = true
	packet := c.fullPacket()
	point, p := c.lossRange()
	if c.rates.Policy == Low {
		p = point
	}
	tiny := c.lossLost < 0.5 && c.lossAcked >= 2000
	// What a bound asks for beyond the estimate is insurance: it may take a third of a round trip.
	budget := int64(float64(c.rateNow) / 8 * rtt.Seconds() / 3)
	total := 0
	for ; ; p = max(point, p/1.5) {
		total = c.wantParity(p, groups, tiny)
		if p == point || pl.spent+int64(total)*int64(packet) <= budget {
			break
		}
	}
	if p > point {
		c.urgentFirst(point, groups, tiny)
	}
	// It pays if it takes less time than the round trips that it saves.
	rounds, q := 0.0, p
	for range 8 {
		rounds += 1 - math.Pow(1-q, float64(symbols))
		q *= p
	}
	if airtime(packet*total, c.rateNow) > time.Duration(rounds*float64(rtt)) {
		pl.wants = pl.wants[:0]
	}
	pl.copies = min(8, max(1, int(math.Ceil(math.Log(tailFailure)/math.Log(p)))))
	pl.more = len(pl.wants) > 0
}

// wantParity fills the plan for the given loss and returns how many symbols it holds. The newest block comes first: what is lost of
// the older ones shows soon enough, while those of the newest would take the longest.
func (c *Conn) wantParity(p float64, groups int, tiny bool) (total int) {
	pl := &c.plan
	pl.wants, pl.covers = pl.wants[:0], true
	burst := c.burst.mean(p)
	n := uint64(1) << bits.Len(uint(max(groups, 1)-1))
	pl.need.set(p, c.tailFailure(p, n)/float64(n))
	for i := len(c.out.blocks) - 1; i >= 0; i-- {
		b := c.out.blocks[i]
		if b == nil {
			continue
		}
		for j := range b.parity.groups {
			g := &b.parity.groups[j]
			if g.done() || c.rates.Policy == Low && g.sent > 0 {
				continue
			}
			// Interleaving spreads a burst over the groups of a block.
			n := pl.need.more(g.inFlight(), g.spare(), max(1, burst/float64(len(b.parity.groups))))
			if tiny {
				n = min(n, max(g.missing, 1-g.flying))
			}
			if left := GroupRows - g.size - g.sent + g.missing; n > left {
				n = left
				pl.covers = false // nothing is left but to repeat
			}
			if n > 0 {
				pl.wants = append(pl.wants, parityWant{b, j, n})
				total += n
			}
		}
	}
	return total
}

// tailFailure returns the share of tails of n groups that may need another round trip. Each group needs 1 / ln(1/p) symbols more for a share
// that is less by a factor of e; the time they take and that of the round trips saved are the least together where this is their ratio.
func (c *Conn) tailFailure(p float64, n uint64) float64 {
	f := float64(n) * airtime(c.fullPacket(), c.rateNow).Seconds() / (c.RTT().Seconds() * -math.Log(p))
	return min(max(f, tailFailure), tailMost)
}

// urgentFirst splits the plan in two: what the estimate of the loss asks for, for all groups, then the insurance. At low loss all is then
// settled before most of that has been sent.
func (c *Conn) urgentFirst(point float64, groups int, tiny bool) {
	pl := &c.plan
	full, covers := pl.wants, pl.covers
	pl.wants = pl.rest
	c.wantParity(point, groups, tiny)
	n, i := len(pl.wants), 0
	for _, w := range full {
		for i < n && pl.wants[i].before(&w) {
			i++ // losses in runs can make the estimate ask for what the bound does not
		}
		if i < n && pl.wants[i].b == w.b && pl.wants[i].group == w.group {
			w.want -= pl.wants[i].want
			i++
		}
		if w.want > 0 {
			pl.wants = append(pl.wants, w)
		}
	}
	pl.rest, pl.covers = full, covers
}

// nextParity sends the next of the plan: a lost symbol that was held back, parity, or a BLOCK_SIZE frame.
func (c *Conn) nextParity(now time.Duration, p *Packet) bool {
	pl := &c.plan
	if !c.cfg.Parity {
		return false
	}
	if pl.stale {
		c.planParity()
	}
	if !pl.more {
		return false
	}
	for pl.lo < len(pl.wants) {
		hi := min(pl.lo+ParityTogether, len(pl.wants))
		if pl.pos >= hi {
			if !pl.any {
				pl.lo = hi
			}
			pl.pos, pl.any = pl.lo, false
			continue
		}
		w := &pl.wants[pl.pos]
		if w.want == 0 {
			pl.pos++
			continue
		}
		b, g := w.b, &w.b.parity.groups[w.group]
		again := g.missing > 0
		if !again && g.sent >= GroupRows-g.size {
			w.want = 0 // both parts of the plan may have counted on its last rows
			continue
		}
		// Half of the frames go ahead of the parity, as it is of no use before, the others between, in case of a burst.
		told := b.parity.told
		if !again && b.tellSize() && (told < (pl.copies+1)/2 || told < pl.copies && pl.since >= 16) {
			c.tellSizes(now, p, pl.wants[pl.lo:])
			return true
		}
		pl.any = true
		pl.pos++
		c.tail.passAt = now + c.tailGap()
		if again {
			sym := w.group
			for !b.parity.missing.has(sym) {
				sym += len(b.parity.groups)
			}
			c.Stats.Resent++
			c.data(now, p, b, sym)
		} else {
			c.parity(now, p, b, w.group)
		}
		w.want--
		pl.since++
		pl.spent += int64(p.IPBytes(c.cfg.IPOverhead))
		return true
	}
	for i := range pl.wants {
		b := pl.wants[i].b
		if b.tellSize() && b.parity.told > 0 && b.parity.told < pl.copies {
			c.tellSizes(now, p, pl.wants[i:])
			return true
		}
	}
	pl.more = false
	return false
}

// tailGap is how long after the last parity, or the last pass, symbols are repeated so that losses among the last packets show.
func (c *Conn) tailGap() time.Duration {
	if c.rates.Policy == Low {
		return c.RTT()
	}
	return max(c.RTT()/4, time.Millisecond)
}

// parity describes the next parity packet of a group and records it.
func (c *Conn) parity(now time.Duration, p *Packet, b *OutBlock, group int) {
	q := b.parity
	g := &q.groups[group]
	row := g.sent
	g.sent++
	g.flying++
	j := uint16(row*len(q.groups) + group)
	if b.symbols == 1 {
		// Parity of one symbol is that symbol. As a data packet it is shorter and needs no BLOCK_SIZE.
		*p = Packet{Data: true, Block: b, Last: true, Len: b.Size}
		c.Stats.Tail++
		c.Stats.DataOut++
	} else {
		*p = Packet{Data: true, Parity: true, Block: b, Symbol: j, Group: group, Row: row, Len: b.Symbol}
		c.Stats.ParityOut++
	}
	c.number(now, p, sent{kind: kindParity, block: b.ID, sym: j, class: b.Class})
}

// tellSizes describes a packet with a BLOCK_SIZE frame for as many of the blocks as fit and have not been named often enough.
func (c *Conn) tellSizes(now time.Duration, p *Packet, wants []parityWant) {
	body := c.sizeBuf[:0]
	room := room - 4
	c.sizeFrames++
	for i := range wants {
		b := wants[i].b
		if b.parity.toldIn == c.sizeFrames || !b.tellSize() || b.parity.told >= c.plan.copies {
			continue
		}
		if len(body)+8 > room {
			break
		}
		body = wire.AppendBlockSize(body, b.ID, b.Size)
		b.parity.told++
		b.parity.toldIn = c.sizeFrames
	}
	c.sizeBuf = body
	c.plan.since = 0
	c.outBuf = wire.AppendFrame(c.outBuf[:0], &wire.Frame{Type: wire.FrameBlockSize, Data: body})
	c.frames(now, p, c.outBuf, sent{})
}

// newestWanted returns where the last n symbols begin that the peer has use for.
func (c *Conn) newestWanted(n int) (block uint32, sym int) {
	block = c.out.base
	for i := len(c.out.blocks) - 1; i >= 0; i-- {
		b := c.out.blocks[i]
		if b == nil {
			continue
		}
		for s := b.symbols - 1; s >= 0; s-- {
			if b.wanted(s) {
				block, sym = b.ID, s
				if n--; n == 0 {
					return block, sym
				}
			}
		}
	}
	return block, sym
}

// repeatable tells whether a pass repeats a symbol although parity is in use: as one of the newest, or since no report has spoken
// of it for so long that none will. A receiver gives up telling while nothing of its reports arrives (section 8.1).
func (c *Conn) repeatable(now time.Duration, b *OutBlock, sym int) bool {
	if d := int32(b.ID - c.tail.newBlock); d > 0 || d == 0 && sym >= c.tail.newSym {
		return true
	}
	e := c.led.at(b.last[sym])
	return e == nil || now > e.at+2*c.RTT()+100*time.Millisecond
}

// needTable answers how many more symbols a group needs in flight, and remembers the answers for one loss and target.
type needTable struct {
	p, target float64
	known     map[needKey]int
}

type needKey struct {
	inFlight, spare int
	burst           float64
}

// set changes loss and target. Loss goes in steps of 9 %, so that answers serve for more than one report.
func (t *needTable) set(p, target float64) {
	p = min(math.Exp2(math.Ceil(math.Log2(p)*8-0.01)/8), 0.95)
	if t.known == nil || p != t.p || target != t.target {
		t.p, t.target = p, target
		if t.known == nil {
			t.known = map[needKey]int{}
		}
		clear(t.known)
	}
}

// more returns how many symbols to add to those in flight, of which spare may be lost, to keep the chance of losing too many below the target.
func (t *needTable) more(inFlight, spare int, burst float64) int {
	k := needKey{inFlight, spare, burst}
	x, ok := t.known[k]
	if !ok {
		if len(t.known) > 1<<14 {
			clear(t.known)
		}
		for x < GroupRows && tooMany(inFlight+x, spare+x, t.p, burst) >= t.target {
			x++
		}
		t.known[k] = x
	}
	return x
}

// tooMany is the chance that more than spare of n packets are lost, each with chance p. Losses in runs are counted as fewer
// packets of as many times the weight, which multiplies the variance by the length of a run.
func tooMany(n, spare int, p, burst float64) float64 {
	if burst > 1 {
		n, spare = int(math.Ceil(float64(n)/burst)), int(math.Floor(float64(spare)/burst))
	}
	if spare >= n {
		return 0
	}
	if spare < 0 {
		return 1
	}
	// Below the mean the sum goes over the few terms on the other side.
	lg := func(x int) float64 { v, _ := math.Lgamma(float64(x) + 1); return v }
	term := func(i int) float64 {
		return math.Exp(lg(n) - lg(i) - lg(n-i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
	}
	if float64(spare+1) < float64(n)*p {
		sum := 0.0
		v := term(spare)
		for i := spare; i >= 0 && v > 1e-18; i-- {
			sum += v
			v *= float64(i) / float64(n-i+1) * (1 - p) / p
		}
		return max(0, 1-sum)
	}
	sum := 0.0
	v := term(spare + 1)
	for i := spare + 1; i <= n && v > sum*1e-12; i++ {
		sum += v
		v *= float64(n-i) / float64(i+1) * p / (1 - p)
	}
	return sum
}
