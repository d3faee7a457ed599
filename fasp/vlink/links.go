package vlink

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
)

// Period is how often use is measured and shares follow.
const Period = 25 * time.Millisecond

// Config says what is shared. The zero Config has no caps.
type Config struct {
	// Host bounds all sessions together.
	Host Caps
	// Links are the vlinks, no name twice.
	Links []Link
}

// Check says what is wrong with the configuration.
func (c *Config) Check() error {
	if err := c.Host.check(); err != nil {
		return fmt.Errorf("host: %w", err)
	}
	seen := map[string]bool{}
	for i := range c.Links {
		l := &c.Links[i]
		if err := l.Check(); err != nil {
			return err
		}
		if seen[l.Name] {
			return fmt.Errorf("vlink %q is there twice", l.Name)
		}
		seen[l.Name] = true
	}
	return nil
}

// Links shares caps among sessions. Its methods may be called by several goroutines at once.
type Links struct {
	began time.Time
	wake  chan struct{} // capacity 1: Run may have something to do

	mu       sync.Mutex // guards what follows, and what sessions keep of it
	host     Caps
	links    []Link // the first is that of who names none, or whose vlink was removed
	sessions []*Session
	bounded  bool // there is a cap somewhere, or may be at another time of day
	dirs     [2]division
}

// The directions.
const (
	out = iota
	in
)

// New makes a set of vlinks of a configuration, which it copies. Errors are those of Config.Check.
func New(cfg Config) (*Links, error) {
	l := &Links{began: time.Now(), wake: make(chan struct{}, 1)}
	if err := l.Set(cfg); err != nil {
		return nil, err
	}
	return l, nil
}

// Run measures and shares until ctx ends, and returns nil. It waits while there is nothing to share. Without it, sessions are taken to want all they can have.
func (l *Links) Run(ctx context.Context) error {
	ticker := time.NewTicker(Period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if !l.tick(true) {
				ticker.Stop()
			}
		case <-l.wake:
			ticker.Reset(Period)
		}
	}
}

// Set changes everything at once; new caps hold when it returns. Sessions of a vlink that is no more fall to the one without a
// name, until theirs is there again. An error, of Config.Check, changes nothing.
func (l *Links) Set(cfg Config) error {
	if err := cfg.Check(); err != nil {
		return err
	}
	links := []Link{{}}
	for _, k := range cfg.Links {
		k.Schedule = slices.Clone(k.Schedule)
		if k.Name == "" {
			links[0] = k
		} else {
			links = append(links, k)
		}
	}
	for i := range links {
		if links[i].Weight == 0 {
			links[i].Weight = 1
		}
	}
	l.mu.Lock()
	l.host, l.links = cfg.Host, links
	l.order()
	l.mu.Unlock()
	l.again()
	return nil
}

// Has tells whether there is a vlink of this name. There always is the one without.
func (l *Links) Has(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.find(name) >= 0
}

// find returns where the vlink of this name is, or -1; mu is held.
func (l *Links) find(name string) int {
	return slices.IndexFunc(l.links, func(k Link) bool { return k.Name == name })
}

// Member says where a session belongs.
type Member struct {
	Link string // name of a vlink, which must be configured; empty for none
	// Key groups sessions that share Caps, beside and within the caps of the vlink; empty for none. What the newest session of a key says of Link and Caps
	// goes for all of them.
	Key  string
	Caps Caps
}

// Join makes a session a member; from then on it is used through what is returned, which must Leave at the end. The session starts with its share. Errors: ErrUnknown.
func (l *Links) Join(sess fasp.Session, m Member) (*Session, error) {
	l.mu.Lock()
	if l.find(m.Link) < 0 {
		l.mu.Unlock()
		return nil, fmt.Errorf("%w %q", ErrUnknown, m.Link)
	}
	s := &Session{Session: sess, links: l, member: m}
	now := time.Since(l.began)
	s.dirs[in].meter.begin(now, sess.Stats().RTT)
	s.dirs[in].want = math.Inf(1)
	l.adopt(m)
	l.sessions = append(l.sessions, s)
	l.order()
	l.mu.Unlock()
	l.again()
	return s, nil
}

// Change applies what m says of Link and Caps to the sessions of m.Key that there are; it does nothing if there are none. Errors: ErrUnknown, and nothing changes then.
func (l *Links) Change(m Member) error {
	l.mu.Lock()
	changed := false
	for _, s := range l.sessions {
		changed = changed || s.member.Key == m.Key && s.member != m
	}
	known := l.find(m.Link) >= 0
	if changed && known {
		l.adopt(m)
		l.order()
	}
	l.mu.Unlock()
	switch {
	case !changed:
		return nil
	case !known:
		return fmt.Errorf("%w %q", ErrUnknown, m.Link)
	}
	l.again()
	return nil
}

// Keys returns the keys that have sessions, each once.
func (l *Links) Keys() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[string]struct{}{}
	for _, s := range l.sessions {
		if s.member.Key != "" {
			seen[s.member.Key] = struct{}{}
		}
	}
	return slices.Collect(maps.Keys(seen))
}

// adopt makes m the member of all sessions of its key; mu is held.
func (l *Links) adopt(m Member) {
	for _, s := range l.sessions {
		if m.Key != "" && s.member.Key == m.Key {
			s.member = m
		}
	}
}

// leave takes a session out.
func (l *Links) leave(s *Session) {
	l.mu.Lock()
	i := slices.Index(l.sessions, s)
	if i >= 0 {
		l.sessions = slices.Delete(l.sessions, i, i+1)
		l.order()
	}
	l.mu.Unlock()
	if i >= 0 {
		l.again()
	}
}

// order puts sessions into the order that divisions need; mu is held.
func (l *Links) order() {
	for _, s := range l.sessions {
		s.link = max(l.find(s.member.Link), 0)
	}
	slices.SortStableFunc(l.sessions, func(a, b *Session) int {
		return cmp.Or(cmp.Compare(a.link, b.link), cmp.Compare(a.member.Key, b.member.Key))
	})
	l.bounded = l.host != Caps{} ||
		slices.ContainsFunc(l.links, func(k Link) bool { return k.Caps != Caps{} || len(k.Schedule) > 0 }) ||
		slices.ContainsFunc(l.sessions, func(s *Session) bool { return s.member.Caps != Caps{} })
}

// again shares anew after a change.
func (l *Links) again() {
	l.tick(false)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// tick shares by what sessions want, which it measures before if measure is set. It returns false if there is no need to do that again before the next change.
func (l *Links) tick(measure bool) bool {
	wall := time.Now()
	now := wall.Sub(l.began)
	l.mu.Lock()
	defer l.mu.Unlock()
	if measure {
		for _, s := range l.sessions {
			s.measure(now)
		}
	}
	for d := range l.dirs {
		l.share(d, wall)
		for i, s := range l.sessions {
			s.give(now, d, l.dirs[d].flows[i].share)
		}
	}
	return l.bounded && len(l.sessions) > 0
}

// share divides one direction at a time of day; mu is held.
func (l *Links) share(dir int, wall time.Time) {
	d := &l.dirs[dir]
	d.host = bound(l.host, dir)
	d.links, d.keys, d.flows = d.links[:0], d.keys[:0], d.flows[:0]
	link := -1
	for i, s := range l.sessions {
		if s.link != link {
			link = s.link
			k := &l.links[link]
			d.links = append(d.links, span{from: i, cap: bound(k.CapsAt(wall), dir), weight: k.Weight})
		}
		d.links[len(d.links)-1].to = i + 1
		if limit := bound(s.member.Caps, dir); s.member.Key != "" && !math.IsInf(limit, 1) {
			if i == 0 || l.sessions[i-1].member.Key != s.member.Key {
				d.keys = append(d.keys, span{from: i, cap: limit})
			}
			d.keys[len(d.keys)-1].to = i + 1
		}
		weight, most := s.claim(dir)
		d.flows = append(d.flows, flow{weight: weight, most: most, want: min(s.dirs[dir].want, most)})
	}
	d.divide()
	l.floors(dir)
}

// floors notes what each session may come back by: a hundredth of an equal share, and a packet a second or so; mu is held.
func (l *Links) floors(dir int) {
	d := &l.dirs[dir]
	all := d.weight(0, len(d.flows))
	for i, s := range l.sessions {
		s.dirs[dir].floor = d.host / all * d.flows[i].weight
	}
	for _, spans := range [...][]span{d.links, d.keys} {
		for _, k := range spans {
			w := d.weight(k.from, k.to)
			for i := k.from; i < k.to; i++ {
				f := &l.sessions[i].dirs[dir].floor
				*f = min(*f, k.cap/w*d.flows[i].weight)
			}
		}
	}
	for _, s := range l.sessions {
		f := &s.dirs[dir].floor
		*f = min(*f, max(*f/100, leastFloor))
	}
}

// leastFloor is a small packet every 50 ms, such as those that tell of what arrives, bit/s.
const leastFloor = 16e3

// weight returns that of some flows together.
func (d *division) weight(from, to int) (w float64) {
	for _, f := range d.flows[from:to] {
		w += f.weight
	}
	return w
}

// bound returns a cap as divisions have it.
func bound(c Caps, dir int) float64 { return unbounded([...]fasp.Rate{c.Out, c.In}[dir]) }

// unbounded returns a rate of which 0 is none.
func unbounded(r fasp.Rate) float64 {
	if r == 0 {
		return math.Inf(1)
	}
	return float64(r)
}
