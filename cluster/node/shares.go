package node

import (
	"sync"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
)

// shares divides rate caps among the sessions they bind: a key's cap among the sessions of the key, the node's bound among all.
// The zero value is ready; total is set before use.
type shares struct {
	total fasp.Rate // 0 = no bound

	mu    sync.Mutex // guards what follows
	all   map[*sharedSession]bool
	byKey map[string]int
}

// sharedSession is a session whose rates stay within its share, whatever the transfer asks for.
type sharedSession struct {
	*fasp.Conn
	key string
	cap fasp.Rate // of the key, 0 = none

	mu    sync.Mutex // guards what follows; taken after shares.mu
	share fasp.Rate  // 0 = no bound
	rates fasp.Rates // as asked for
	asked bool
	grant fasp.Rate // as asked for
}

// lower returns the smaller of two bounds of which 0 is none.
func lower(a, b fasp.Rate) fasp.Rate {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (s *shares) join(conn *fasp.Conn, g accesskey.Grant) *sharedSession {
	ss := &sharedSession{Conn: conn, key: g.KeyID, cap: fasp.Rate(g.RateCap)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all, s.byKey = map[*sharedSession]bool{}, map[string]int{}
	}
	s.all[ss] = true
	s.byKey[ss.key]++
	s.divide()
	return ss
}

func (s *shares) leave(ss *sharedSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.all[ss] {
		return
	}
	delete(s.all, ss)
	if s.byKey[ss.key]--; s.byKey[ss.key] == 0 {
		delete(s.byKey, ss.key)
	}
	s.divide()
}

// divide sets every session's share; the lock is held.
func (s *shares) divide() {
	for ss := range s.all {
		ss.setShare(lower(portion(s.total, len(s.all)), portion(ss.cap, s.byKey[ss.key])))
	}
}

// portion is an equal part of a bound; a bound never becomes "none" by division.
func portion(r fasp.Rate, n int) fasp.Rate {
	if r == 0 {
		return 0
	}
	return max(r/fasp.Rate(n), 1)
}

func (ss *sharedSession) setShare(r fasp.Rate) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if r == ss.share {
		return
	}
	ss.share = r
	ss.Conn.SetGrant(lower(ss.grant, r))
	if ss.asked {
		ss.Conn.SetRates(ss.within(ss.rates))
	}
}

// within cuts rates to the share; the lock is held.
func (ss *sharedSession) within(r fasp.Rates) fasp.Rates {
	r.Target = lower(r.Target, ss.share)
	if r.Target != 0 {
		r.Min = min(r.Min, r.Target)
	}
	return r
}

// SetRates implements fasp.Session.
func (ss *sharedSession) SetRates(r fasp.Rates) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.rates, ss.asked = r, true
	ss.Conn.SetRates(ss.within(r))
}

// SetGrant implements fasp.Session.
func (ss *sharedSession) SetGrant(r fasp.Rate) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.grant = r
	ss.Conn.SetGrant(lower(r, ss.share))
}
