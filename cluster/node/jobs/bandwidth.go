package jobs

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tradewind-io/tradewind/cluster/api"
)

// Bounds of what is remembered of how fast transfers went: about 6 KB for each at most.
const (
	paceStep   = 5 * time.Second
	paceKept   = time.Hour
	paceMost   = 4096 // transfers
	paceShown  = 1000 // in one answer
	pacePoints = 120  // of each in one answer; what is longer is told in larger steps
)

// bandwidth remembers how fast transfers went in the last hour. It is a value that is given the time, which must not go back.
type bandwidth struct {
	transfers map[paceID]*pace
	keys      map[string]int // how many transfers of each key are remembered
}

// paceID names one direction of a transfer.
type paceID struct {
	job string
	out bool // the node sends
}

// pace is what a transfer moved, step by step.
type pace struct {
	key   string
	made  int64   // when the key was made; see jobDoc.KeyMade
	first int64   // the step of bytes[0], in steps since 1970
	bytes []int64 // in each step up to the last one in which something was noted
	ended bool
}

func newBandwidth() *bandwidth {
	return &bandwidth{transfers: make(map[paceID]*pace), keys: make(map[string]int)}
}

// step is the step that a time is in.
func step(t time.Time) int64 { return t.Unix() / int64(paceStep/time.Second) }

func (p *pace) last() int64 { return p.first + int64(len(p.bytes)) - 1 }

// note takes what a transfer moved since it was noted before, and whether its session has ended.
func (b *bandwidth) note(now time.Time, id paceID, key string, made, bytes int64, ended bool) {
	at := step(now)
	p := b.transfers[id]
	if p == nil && bytes == 0 {
		return
	}
	if p == nil {
		b.makeRoom(at)
		p = &pace{key: key, made: made, first: at}
		b.transfers[id] = p
		b.keys[key]++
	}
	if at-p.last() >= int64(paceKept/paceStep) { // all that is remembered is too old
		p.first, p.bytes = at, nil
	}
	for p.last() < at {
		p.bytes = append(p.bytes, 0)
	}
	if over := len(p.bytes) - int(paceKept/paceStep); over > 0 {
		p.first += int64(over)
		p.bytes = slices.Delete(p.bytes, 0, over)
	}
	p.bytes[len(p.bytes)-1] += bytes
	p.ended = ended
}

// makeRoom forgets what is older than an hour and, if that does not suffice, one transfer of the key that has most: one that is over rather than one that runs, and the one that moved
// longest ago.
func (b *bandwidth) makeRoom(now int64) {
	if len(b.transfers) < paceMost {
		return
	}
	maps.DeleteFunc(b.transfers, func(_ paceID, p *pace) bool {
		old := now-p.last() >= int64(paceKept/paceStep)
		if old {
			b.uncount(p.key)
		}
		return old
	})
	if len(b.transfers) < paceMost {
		return
	}
	most := ""
	for key, n := range b.keys {
		if n > b.keys[most] || n == b.keys[most] && key < most {
			most = key
		}
	}
	var victim paceID
	var worst *pace
	for id, p := range b.transfers {
		if p.key == most && (worst == nil || p.ended && !worst.ended || p.ended == worst.ended && p.last() < worst.last()) {
			victim, worst = id, p
		}
	}
	delete(b.transfers, victim)
	b.uncount(most)
}

func (b *bandwidth) uncount(key string) {
	if b.keys[key]--; b.keys[key] <= 0 {
		delete(b.keys, key)
	}
}

// forget forgets the transfers of a key.
func (b *bandwidth) forget(key string) {
	maps.DeleteFunc(b.transfers, func(_ paceID, p *pace) bool { return p.key == key })
	delete(b.keys, key)
}

// drop forgets one transfer.
func (b *bandwidth) drop(job string) {
	for _, out := range []bool{false, true} {
		if p := b.transfers[paceID{job, out}]; p != nil {
			delete(b.transfers, paceID{job, out})
			b.uncount(p.key)
		}
	}
}

// show tells how fast the transfers were that may says yes to, from start on. The step that now is in has not ended and is left out.
func (b *bandwidth) show(now, start time.Time, duration time.Duration, may func(key string, made int64) bool) api.Bandwidth {
	width := int64(1)
	for int64(duration/paceStep) > pacePoints*width {
		width++
	}
	from := step(start)
	to := min(step(start.Add(duration+paceStep-1)), step(now)) // exclusive
	to = max(to, from)
	out := api.Bandwidth{
		CurrentTime: now.Unix(), StartTime: from * int64(paceStep/time.Second), EndTime: to * int64(paceStep/time.Second), Step: width * int64(paceStep/time.Second),
	}
	out.Send, out.Receive = b.side(true, from, to, width, step(now), may), b.side(false, from, to, width, step(now), may)
	return out
}

// side is one direction, from a step up to another one, so many of them in one.
func (b *bandwidth) side(sends bool, from, to, width, now int64, may func(string, int64) bool) api.BandwidthSide {
	s := api.BandwidthSide{Transfers: []api.BandwidthTransfer{}}
	seconds := int64(paceStep / time.Second)
	for id, p := range b.transfers {
		if id.out != sends || now-p.last() >= int64(paceKept/paceStep) || !may(p.key, p.made) {
			continue
		}
		last := min(p.last(), now-1)
		if p.first < from {
			s.MaxLeft = max(s.MaxLeft, min(last, from-1)*seconds)
		}
		if next := max(p.first, to); next <= last && (s.MinRight == 0 || next*seconds < s.MinRight) {
			s.MinRight = next * seconds
		}
		t := api.BandwidthTransfer{ID: id.job, LastTime: last * seconds}
		for at := from; at < to; at += width {
			end := min(at+width, to)
			if end <= p.first || at > last {
				continue
			}
			sum := int64(0)
			for i := max(at, p.first); i < end && i <= last; i++ {
				sum += p.bytes[i-p.first]
			}
			rate := sum * 8 / ((end - at) * seconds)
			t.Data = append(t.Data, api.BandwidthPoint{Time: at * seconds, Rate: rate})
			t.MaxRate = max(t.MaxRate, rate)
		}
		if len(t.Data) > 0 {
			s.Transfers = append(s.Transfers, t)
		}
	}
	slices.SortFunc(s.Transfers, func(a, b api.BandwidthTransfer) int {
		return cmp.Or(cmp.Compare(b.LastTime, a.LastTime), cmp.Compare(a.ID, b.ID))
	})
	s.Transfers = s.Transfers[:min(len(s.Transfers), paceShown)]
	return s
}
