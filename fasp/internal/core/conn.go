package core

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/rate"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

const (
	maxBlock = 1 << 20
	never    = time.Duration(1<<63 - 1)
	// maxOutstanding bounds the ledger, below what the replay window tells apart: 9 s of 1,500-byte packets at 10 Gbit/s.
	maxOutstanding = 7 << 20
	// maxAhead bounds the blocks from the oldest unsettled one up (section 7).
	maxAhead = 1 << 20
)

// Errors that end a session without the peer's word.
var (
	ErrIdle = errors.New("idle time-out")
	ErrMTU  = errors.New("full-size packets do not pass")
)

// Config sets up a Conn. All fields but Largest, MaxLag, Grant, PeerGrant, WindowMax, Parity, ECN, KnownRate, KnownFresh, KnownRTT and Wall must be set.
type Config struct {
	Now        time.Duration // the session's beginning
	Seed       uint64        // of the numbers left out at random; unpredictable in real use
	Symbol     int           // P of class 0: payload bytes of a full data packet
	Largest    int           // P of class 1; 0 = the peer does not know classes 1, 2 and 4 to 6
	IPOverhead int           // 28 on IPv4, 48 on IPv6
	MaxLag     time.Duration // how much lateness the pacer makes up for
	InitialRTT time.Duration // as the handshake measured it
	Idle       time.Duration // idle time-out

	Window    int64  // bytes of credit given to the peer at the start, and the window from then on
	WindowMax int64  // how far the window may grow with what the network holds; 0 = Window
	Extents   uint64 // extents granted to the peer
	Grant     int64  // rate granted to the peer, bit/s, 0 = no limit

	PeerCredit  uint64 // what the peer gave at the start
	PeerExtents uint64
	PeerGrant   int64

	Parity bool // both sides know parity symbols
	ECN    bool // both sides mark and count marks (section 8.6)

	Rates     Rates
	KnownRate int64 // what an earlier session reached on this path, bit/s, 0 = unknown
	// KnownFresh tells that KnownRate was had a short while ago, and that no other session here uses the path now.
	KnownFresh bool
	KnownRTT   time.Duration // least round trip that other sessions see at this time, 0 = unknown
	Wall       time.Duration // what an ordinary clock reads when Now's clock reads 0, for drains at the same time; 0 will do
}

// Stats are plain counters, read by the driver between calls.
type Stats struct {
	PacketsOut, PacketsIn, BytesOut, BytesIn             uint64
	DataOut, Resent, Tail                                uint64
	Lost, Spurious, Symbols, SymbolBytes, Duplicates     uint64
	BlocksOut, BlocksIn, BlockBytesOut, BlockBytesIn     uint64
	Dropped, Breaker, ReportsIn, ReportsOut, CreditWaits uint64
	// Parity symbols sent; received; of those, needed; not kept, so that the sender takes them for lost; blocks that needed some.
	ParityOut, ParityIn, ParityUsed, ParityDropped, BlocksDecoded uint64
	Marked                                                        uint64 // our packets that the peer got with CE
	// Probes of the search for larger datagrams; times that a size was given up.
	Probes, Falls uint64
}

// Conn is one side of a session. It is not safe for concurrent use.
type Conn struct {
	cfg   Config
	rng   *rand.Rand
	Stats Stats
	// Settled collects blocks that are acknowledged; the driver takes them, frees their bytes and calls Recycle.
	Settled []*OutBlock
	// FirstData and LastNew are when the first and the latest new symbol arrived, for measurements.
	FirstData, LastNew time.Duration
	// Begun is how many blocks have begun to arrive, ever.
	Begun uint64
	// Tight says that there is no memory for more: BLOCK_SIZE begins no block, whose length shows with its last symbol, too, and of messages only
	// those at the very start of the session are taken.
	Tight bool

	// Sending.
	led             ledger
	out             outQueue
	msgOut          outMessages
	pace            pacer
	misses          misses
	law             rate.Controller
	rates           Rates
	nextSkip        uint64 // the packet number to leave out next
	skipGap         uint64
	suspects        []uint64
	newestAcked     uint64
	newestAckedAt   time.Duration
	highestReported uint64
	lastReportIn    uint64
	reportAt        time.Duration // arrival of the last report
	reorder         time.Duration
	elicitingOut    int
	rtt             rttEstimator
	credit, issued  uint64
	extents         uint64
	grant           int64
	drain           int64 // content bit/s that the peer's storage takes away, 0 = it does not limit
	tail            tail
	plan            parityPlan
	burst           bursts
	limit           burstLimit
	sizeBuf         []byte
	sizeFrames      uint64 // BLOCK_SIZE frames sent
	flush           bool
	idleSince       time.Duration // when the queue of new data ran empty
	backlogAt       time.Duration // since when there is much to repeat, never = there is not
	control         []controlPacket
	wantPing        bool
	sizes           wire.Sizes
	class           uint8 // of new blocks
	hole            hole
	search          search
	probeBytes      uint64        // of the search, IP bytes
	lastEliciting   time.Duration // sent
	echoSent        uint64
	blocked         bool
	breaker         breaker
	rateNow         int64 // bit/s, never 0
	ceiling         int64 // what target, grant and the peer's storage allow, bit/s

	// What the rate law is told.
	ackedBytes, lostBytes uint64
	lossAcked, lossLost   float64 // decaying counts
	lossAt                time.Duration
	stamped               bool
	stamp                 int64     // microseconds on the peer's clock, unwrapped
	pathRTT               windowMin // round trips without the time that this side takes to look at what came
	delays                delays
	sample                rate.Sample   // for the law, reused
	queue                 time.Duration // how long the newest packet reported waited
	arrival               time.Duration // of that packet on the peer's clock
	trains                trainsOut
	ecn                   ecn // of both directions

	// Receiving.
	seen           pnSet
	in             []*InBlock // in[i].ID == inBase+i
	inBase         uint32
	inBegun        int // entries of in that are not nil
	inFree         []*InBlock
	parityHeld     int64  // bytes of parity of blocks that are not whole
	inHeld         uint64 // charge of blocks begun and not given back
	whole          uint64 // of that, blocks that are whole and wait for Freed
	freed          uint64
	drawn          int64 // what is taken in two round trips
	drawAt         time.Duration
	drawFreed      uint64
	window         int64
	creditGiven    uint64
	creditReported uint64
	extentsGiven   uint64
	grantGiven     int64
	drainGiven     int64
	msgIn          inMessages
	stretches      []stretch
	chosen         []bool
	spans          []wire.Span
	spanBuf        []byte
	reportedTo     uint64
	reportNo       uint64
	reportWanted   bool
	crowded        bool // the last report had no room for all that was due
	eliciting      int
	firstEliciting time.Duration
	lastElicited   time.Duration
	urgent         bool // a message or a PING waits to be reported
	lastReport     time.Duration
	highestAt      time.Duration
	at             time.Duration // when the packet in hand arrived; never = when it is looked at
	lastArrival    time.Duration
	packetGap      time.Duration
	echoed         uint64
	echoRTT        rttEstimator
	reportLoss     float64
	sentReports    [256]time.Duration
	lastHeard      time.Duration
	worked         time.Duration // when data or a message came last
	silence        time.Duration // since worked, until the next PING asks for a sign of life

	train trainIn

	frame  wire.Frame
	outBuf []byte
}

type controlPacket struct {
	frames []byte
	path   int
}

// New returns a Conn that has sent and received nothing.
func New(cfg Config) *Conn {
	c := &Conn{
		at:  never,
		cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x7472616465)),
		led: newLedger(), seen: newPNSet(),
		credit: cfg.PeerCredit, extents: cfg.PeerExtents, grant: cfg.PeerGrant,
		window: cfg.Window, creditGiven: uint64(cfg.Window), creditReported: uint64(cfg.Window),
		extentsGiven: cfg.Extents, grantGiven: cfg.Grant,
		reportLoss: 0.3, skipGap: 64, sizes: wire.NewSizes(cfg.Symbol, cfg.Largest),
		lastHeard: cfg.Now, lastEliciting: cfg.Now, idleSince: cfg.Now, backlogAt: never, lossAt: cfg.Now, reportAt: cfg.Now,
		lastReport: cfg.Now,
	}
	c.rtt.min.window, c.pathRTT.window, c.delays.back.window = baseWindow, baseWindow, backWindow
	c.pace = pacer{next: cfg.Now, turn: cfg.Now, maxLag: cfg.MaxLag}
	if cfg.KnownRTT > 0 {
		c.rtt.min.add(cfg.Now, cfg.KnownRTT)
		c.pathRTT.add(cfg.Now, cfg.KnownRTT)
	}
	c.work(cfg.Now)
	if cfg.ECN {
		c.ecn.state = ECNTesting
		c.ecn.begin(0)
	}
	c.nextSkip = 16 + c.rng.Uint64N(c.skipGap)
	c.SetRates(cfg.Now, cfg.Rates)
	return c
}

// RTT returns the smoothed round trip, or the handshake's before there is a sample.
func (c *Conn) RTT() time.Duration {
	if c.rtt.smoothed != 0 {
		return c.rtt.smoothed
	}
	return c.cfg.InitialRTT
}

// MinRTT returns the least round trip of the last half minute, 0 before there is one.
func (c *Conn) MinRTT() time.Duration { return c.rtt.min.get() }

// Rate returns the sending rate, bit/s.
func (c *Conn) Rate() int64 { return c.rateNow }

// Grant returns the peer's rate grant, bit/s, 0 = none.
func (c *Conn) Grant() int64 { return c.grant }

// Extents returns how many extents the peer has granted.
func (c *Conn) Extents() uint64 { return c.extents }

// Burst returns how many packets the path was seen to take at once, 0 = no limit.
func (c *Conn) Burst() int { return c.limit.most }

// Drain returns what the peer says that its storage takes away, content bit/s, 0 = it does not limit.
func (c *Conn) Drain() int64 { return c.drain }

// Loss returns the share of packets lost in the last few seconds.
func (c *Conn) Loss() float64 {
	if n := c.lossAcked + c.lossLost; n > 0 {
		return c.lossLost / n
	}
	return 0
}

// Unsent returns the bytes of blocks queued of which no symbol was sent yet, plus those of a block begun.
func (c *Conn) Unsent() int64 { return c.out.unsent }

// Unsettled returns the number of blocks given and not acknowledged, and the bytes of messages likewise.
func (c *Conn) Unsettled() (blocks, messageBytes int) { return c.out.open, c.msgOut.unsettled() }

// MayAdd tells whether a block of that size in that extent is covered by credit behind all that is queued.
func (c *Conn) MayAdd(size int, extent uint64) bool {
	return c.issued+charge(size) <= c.credit && extent < c.extents && len(c.out.blocks) < maxAhead
}

// AddBlock queues a block of 1 to 1 MiB bytes. Ref is the driver's own. Credit is taken at once, so call it only
// after MayAdd.
func (c *Conn) AddBlock(now time.Duration, size int, extent uint64, ref any) *OutBlock {
	c.issued += charge(size)
	c.flush = false
	b := c.out.add(size, c.sizes[c.class], extent, ref)
	b.Class = c.class
	return b
}

// Blocked tells that a block waits for credit, so that the peer is asked for it now and then.
func (c *Conn) Blocked(yes bool) {
	if yes && !c.blocked {
		c.Stats.CreditWaits++
	}
	c.blocked = yes
}

// Abandon calls f with the Ref of every block that is not settled, when the session has ended.
func (c *Conn) Abandon(f func(ref any)) {
	for _, b := range append(c.out.blocks, c.Settled...) {
		if b != nil {
			f(b.Ref)
		}
	}
	c.out.blocks, c.Settled = nil, nil
}

// Recycle takes back a settled block after the driver has finished with it.
func (c *Conn) Recycle(b *OutBlock) { c.out.recycle(b) }

// RecycleIn takes back a whole received block after Freed.
func (c *Conn) RecycleIn(b *InBlock) {
	if len(c.inFree) < 256 {
		b.Ref, b.Parity = nil, nil
		c.inFree = append(c.inFree, b)
	}
}

// AddMessage queues a message of 1 to 64 KiB; the bytes are copied.
func (c *Conn) AddMessage(msg []byte) { c.msgOut.add(msg) }

// MessageRoom tells whether the message stream takes another message now.
func (c *Conn) MessageRoom() bool { return c.msgOut.unsettled() < maxUnsettled }

// Flush tells that no more blocks come for now, so that the tail may be repeated at once (section 8.3).
func (c *Conn) Flush() { c.flush = true }

// Ping makes the peer report.
func (c *Conn) Ping() { c.wantPing = true }

// Control queues frames that elicit nothing and are not repeated (paths, CLOSE) before everything else. Path 0 is
// the peer's address, any other the driver's choice.
func (c *Conn) Control(frames []byte, path int) {
	if len(c.control) < 16 {
		c.control = append(c.control, controlPacket{frames, path})
	}
}

// SetGrant changes the rate granted to the peer; it is told with the next report.
func (c *Conn) SetGrant(rate int64) {
	c.grantGiven = rate
	c.reportWanted = true
}

// SetDrain tells the peer how fast the layer above takes data away, content bit/s, 0 = it does not limit.
func (c *Conn) SetDrain(rate int64) {
	if c.drainGiven != rate {
		c.drainGiven = rate
		c.reportWanted = true
	}
}

// SetExtents raises the extents granted to the peer.
func (c *Conn) SetExtents(n uint64) {
	if n > c.extentsGiven {
		c.extentsGiven = n
		c.reportWanted = true
	}
}

// SetWindow raises the receive window and how far it may grow, bytes.
func (c *Conn) SetWindow(window, windowMax int64) {
	c.window = max(c.window, window)
	c.cfg.WindowMax = max(c.cfg.WindowMax, windowMax)
	c.raiseCredit()
	c.reportWanted = true
}

// Window returns the receive window, bytes.
func (c *Conn) Window() int64 { return c.window }

// PhaseReported tells whether a packet numbered pn or above is known to have arrived (section 5.3).
func (c *Conn) PhaseReported(pn uint64) bool { return c.newestAcked >= pn && c.newestAcked > 0 }

// NextPN returns the number that the next packet will have at least.
func (c *Conn) NextPN() uint64 { return c.led.next }
