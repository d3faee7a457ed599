package fasp

import (
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/udp"
)

// overload keeps the sessions of an endpoint within what its processors do, and shares that out evenly. Where the endpoint itself
// is the bottleneck the path has no say: packets wait in the socket and in inboxes, or find no room, and the rate law, which judges the path, gives some
// sessions everything and others nothing.
//
// It sees packets that found no room, and, while this process takes most of the processors, a queue that stands, as opposed to one that comes and goes with the scheduler, and then sets a
// level: no session sends more, nor is granted more. The level is such that the sum of all is what was done lately, less a twelfth, so that the queue goes; then it rises slowly.
// Processors that other programs use make input wait, too, but no rate of ours would change that. One session shares with nobody, and its law sees what waits for it.
//
// It is a value that belongs to whoever hands out what was read (Endpoint.taking): without packets there is no overload.
type overload struct {
	begin  time.Duration // of the interval
	lost   int           // bytes that found no room in it
	trains int
	reads  int
	kept   int           // fewest trains that waited for sessions at any read
	age    time.Duration // shortest wait in the socket

	limit int64 // bit/s of IP bytes, of all sessions together; 0 = none
	mean  int64 // what they did lately
	peak  int64 // most of that, fading
	drops uint64
	rates []int64

	cpu  time.Duration // that the process had taken at the begin of the interval
	busy float64       // share of the processors that it took, lately
}

const (
	overloadInterval = 50 * time.Millisecond
	overloadBacklog  = 2 * time.Millisecond   // of waiting, in the socket and for sessions, throughout an interval, and
	overloadTurn     = 100 * time.Microsecond // more for each session, which takes its turn
	overloadBusy     = 0.6                    // of the processors, from which on it is this process that keeps its input waiting
	overloadLevel    = 5_000_000              // bit/s that any session may have whatever the others do
	noLevel          = 1<<63 - 1
)

// read notes one read of the socket; kept is how many trains had been waiting for sessions.
func (o *overload) read(trains []udp.Train, kept int) {
	age := trains[0].Age // the first is the one that has waited longest
	if o.reads == 0 || age < o.age {
		o.age = age
	}
	if o.reads == 0 || kept < o.kept {
		o.kept = kept
	}
	o.reads++
	o.trains += len(trains)
}

// ran notes the processor time that the process has taken, of so many processors, at the end of an interval.
func (o *overload) ran(now, cpu time.Duration, processors int) {
	if dt := now - o.begin; dt > 0 && o.cpu > 0 {
		o.busy += (float64(cpu-o.cpu)/float64(dt)/float64(processors) - o.busy) / 4
	}
	o.cpu = cpu
}

// due tells whether it is time for step.
func (o *overload) due(now time.Duration) bool { return now-o.begin >= overloadInterval }

// step ends an interval and returns the level, or noLevel. drops is the socket's count of packets that found no room; rates appends what each session is expected to move,
// in bit/s, to a slice, and returns what all of them have moved.
func (o *overload) step(now time.Duration, drops uint64, rates func([]int64, time.Duration) ([]int64, int64)) int64 {
	dt := now - o.begin
	var sum int64
	o.rates, sum = rates(o.rates[:0], dt)
	sum -= int64(float64(o.lost) * 8 / dt.Seconds())
	waits := o.age + time.Duration(float64(dt)*float64(o.kept)/float64(max(o.trains, 1)))
	backlog := overloadBacklog + time.Duration(len(o.rates))*overloadTurn
	lost := o.lost > 0 || drops != o.drops
	o.drops = drops
	o.mean += (sum - o.mean) / 4
	if o.limit == 0 {
		o.peak -= o.peak / 256
	}
	o.peak = max(o.mean, o.peak) // it does not fade while there is a limit: whoever fills the socket with junk takes no more than half away
	switch busy := max(sum, o.mean); {
	case dt > 4*overloadInterval: // hardly anything came
		o.limit, o.mean = 0, 0
	case len(o.rates) > 1 && (lost || waits > backlog && o.busy > overloadBusy):
		o.limit = max(busy-busy/12, o.peak/2)
	case o.limit > 0 && busy > o.limit-o.limit/5:
		o.limit += o.limit / 16
	}
	o.begin, o.lost, o.trains, o.reads = now, 0, 0, 0
	if o.limit == 0 || len(o.rates) == 0 {
		return noLevel
	}
	return max(overloadLevel, evenLevel(o.rates, o.limit))
}

// loadMeter tells what a session would move, from what it did: what it does in one interval says little of the next.
type loadMeter struct{ mean int64 }

// next takes the rate of an interval and returns what to expect of the next one, in bit/s.
func (m *loadMeter) next(r int64) int64 {
	m.mean += (r - m.mean) / 8
	most := max(r, m.mean)
	return most + most/4
}

// evenLevel returns what each of the rates may be at most so that their sum is the limit: those below it leave the rest to the others. rates are put in order.
func evenLevel(rates []int64, limit int64) int64 {
	slices.Sort(rates)
	for i, r := range rates {
		part := limit / int64(len(rates)-i)
		if r >= part {
			return part
		}
		limit -= r
	}
	return rates[len(rates)-1] + limit // all have less, and any may take the rest
}
