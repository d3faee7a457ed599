package vlab

import (
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// Packet is what crosses the links: a description, never payload.
type Packet struct {
	flow   int32
	pn     uint64
	frames []byte
	ack    *tcpAck // of a TCP
	block  uint32
	n      int32
	size   int32 // IP bytes
	echo   uint16
	sym    uint16
	data   bool
	last   bool
	train  bool
	parity bool
	ecn    uint8 // field of the IP header
}

// Host is one end of a flow.
type Host interface {
	// Wake lets the host send by out what it may at now; it returns when it wants to be woken if nothing arrives before.
	Wake(now time.Duration, out func(p Packet)) time.Duration
	// Receive takes a packet, which is valid until it returns. Wake follows.
	Receive(now time.Duration, p *Packet)
}

// World is a bottleneck in each direction and the flows that share it. It is not safe for concurrent use.
type World struct {
	Now      time.Duration
	Forward  *simnet.Link[Packet] // from senders to receivers
	Backward *simnet.Link[Packet]
	Police   *Policer // before the forward bottleneck, nil = none
	AQM      AQM      // of the forward bottleneck, nil = it drops when it is full and does nothing else
	Path     PathECN  // of packets forward
	Marked   int      // packets, or dropped for want of ECT
	ECT      uint64   // packets that came to the path with a mark
	rate     float64
	delay    time.Duration // both ways together

	flows   []*flow
	events  []event
	arrived Packet // what a host is given
	err     error
}

type event struct {
	at time.Duration
	fn func()
}

type flow struct {
	hosts [2]Host // sender, receiver
	out   [2]func(p Packet)
	at    [2]time.Duration
	// Further delay of this flow alone, before the bottleneck (forward) and behind it (backward); nil = none.
	before, behind *simnet.Link[Packet]
}

// New returns a world whose links behave as told; randomness comes from seed.
func New(seed uint64, forward, backward simnet.Impair) *World {
	return &World{
		Now:     time.Second, // not zero: nothing may depend on it
		Forward: simnet.NewLink[Packet](forward, seed*2+1), Backward: simnet.NewLink[Packet](backward, seed*2+2),
		rate: forward.Rate, delay: forward.Delay + backward.Delay,
	}
}

// Add puts a flow into the world, now. Extra is added to its round trip.
func (w *World) Add(sender, receiver Host, extra time.Duration) {
	f := &flow{hosts: [2]Host{sender, receiver}, at: [2]time.Duration{w.Now, w.Now}}
	if extra > 0 {
		f.before = simnet.NewLink[Packet](simnet.Impair{Delay: extra / 2}, 1)
		f.behind = simnet.NewLink[Packet](simnet.Impair{Delay: extra - extra/2}, 1)
	}
	i := int32(len(w.flows))
	for side := range f.out {
		f.out[side] = func(p Packet) { w.send(i, side, p) }
	}
	w.flows = append(w.flows, f)
}

// At calls fn when the clock reads at.
func (w *World) At(at time.Duration, fn func()) {
	i, _ := slices.BinarySearchFunc(w.events, at, func(e event, t time.Duration) int {
		if e.at <= t {
			return -1
		}
		return 1
	})
	w.events = slices.Insert(w.events, i, event{at, fn})
}

// Every calls fn from first on at equal distances, as long as the world runs.
func (w *World) Every(first, dt time.Duration, fn func()) {
	w.At(first, func() {
		fn()
		w.Every(first+dt, dt, fn)
	})
}

// Queue returns how long a packet that came now would wait at the forward bottleneck.
func (w *World) Queue() time.Duration {
	return time.Duration(float64(w.Forward.Backlog(w.Now)) * 8e9 / w.rate)
}

// SetForward changes the forward bottleneck.
func (w *World) SetForward(cfg simnet.Impair) {
	w.Forward.Set(w.Now, cfg)
	w.rate = cfg.Rate
}

// fail ends the run.
func (w *World) fail(err error) {
	if err != nil && w.err == nil {
		w.err = err
	}
}

// Run goes on until the clock reads until, stop (which may be nil) says so, or a host fails, whose error it returns.
func (w *World) Run(until time.Duration, stop func() bool) error {
	for w.err == nil && w.Now < until && (stop == nil || !stop()) {
		next := until
		if len(w.events) > 0 {
			next = min(next, w.events[0].at)
		}
		next = earlier(next, w.Forward)
		next = earlier(next, w.Backward)
		for _, f := range w.flows {
			next = min(next, f.at[0], f.at[1])
			if f.before != nil {
				next = earlier(earlier(next, f.before), f.behind)
			}
		}
		w.Now = max(w.Now, next)
		for len(w.events) > 0 && w.events[0].at <= w.Now {
			fn := w.events[0].fn
			w.events = w.events[1:]
			fn()
		}
		w.arrivals()
		for _, f := range w.flows {
			for side := range f.hosts {
				if f.at[side] <= w.Now {
					f.at[side] = f.hosts[side].Wake(w.Now, f.out[side])
				}
			}
		}
	}
	return w.err
}

func earlier(t time.Duration, l *simnet.Link[Packet]) time.Duration {
	if at, ok := l.Next(); ok {
		return min(t, at)
	}
	return t
}

// send puts a packet of a flow's host on its way.
func (w *World) send(i int32, side int, p Packet) {
	p.flow = i
	switch f := w.flows[i]; {
	case side == 1:
		w.Backward.Send(w.Now, p, int(p.size))
	case f.before != nil:
		f.before.Send(w.Now, p, int(p.size))
	default:
		w.forward(p)
	}
}

// forward puts a packet into the bottleneck, if policer, path and AQM let it pass.
func (w *World) forward(p Packet) {
	if w.Police != nil && !w.Police.pass(w.Now, int(p.size)) {
		return
	}
	if p.ecn != 0 {
		w.ECT++
	}
	var passes bool
	if p.ecn, passes = w.Path.field(p.ecn); !passes {
		return
	}
	if w.AQM != nil && w.AQM.Signal(w.Now, w.Queue()) {
		w.Marked++
		if p.ecn == 0 {
			return
		}
		p.ecn = 3
	}
	w.Forward.Send(w.Now, p, int(p.size))
}

// Policer lets a rate pass and drops the rest: a bucket of bytes that is filled at the rate.
type Policer struct {
	Rate   float64 // bit/s
	Bucket float64 // bytes
	Lost   int

	left float64
	at   time.Duration
}

func (p *Policer) pass(now time.Duration, n int) bool {
	p.left = min(p.Bucket, p.left+(now-p.at).Seconds()*p.Rate/8)
	p.at = now
	if p.left < float64(n) {
		p.Lost++
		return false
	}
	p.left -= float64(n)
	return true
}

// arrivals hands over what has arrived by now.
func (w *World) arrivals() {
	for _, f := range w.flows {
		if f.before == nil {
			continue
		}
		for p, ok := f.before.Recv(w.Now); ok; p, ok = f.before.Recv(w.Now) {
			w.forward(p)
		}
	}
	for p, ok := w.Forward.Recv(w.Now); ok; p, ok = w.Forward.Recv(w.Now) {
		w.give(p, 1)
	}
	for p, ok := w.Backward.Recv(w.Now); ok; p, ok = w.Backward.Recv(w.Now) {
		if f := w.flows[p.flow]; f.behind != nil {
			f.behind.Send(w.Now, p, int(p.size))
			continue
		}
		w.give(p, 0)
	}
	for _, f := range w.flows {
		if f.behind == nil {
			continue
		}
		for p, ok := f.behind.Recv(w.Now); ok; p, ok = f.behind.Recv(w.Now) {
			w.give(p, 0)
		}
	}
}

func (w *World) give(p Packet, side int) {
	f := w.flows[p.flow]
	w.arrived = p // a pointer to p itself would cost an allocation for each packet
	f.hosts[side].Receive(w.Now, &w.arrived)
	f.at[side] = w.Now
}
