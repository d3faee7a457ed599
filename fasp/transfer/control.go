package transfer

import (
	"sync"

	"github.com/tradewind-io/tradewind/fasp"
)

// Control changes a Run while it goes on: see Config.Control. The zero value is ready, for one Run at a time. Its methods may be called by several goroutines at once, and before, during and
// after the Run.
type Control struct {
	mu    sync.Mutex
	rates *fasp.Rates      // as set last; nil: those of the Spec hold
	apply func(fasp.Rates) // to the session under way; nil between sessions
}

// SetRates replaces the Rates of the Spec, at once and for all later sessions of the Run, whichever way the files go: of a download the server is told, which keeps to its own limits. The error has
// CodeUsage, and nothing changes then.
func (c *Control) SetRates(r fasp.Rates) error {
	if err := checkRates(r); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rates = &r
	if c.apply != nil {
		c.apply(r)
	}
	return nil
}

// Rates returns what SetRates set last; ok is false if nothing.
func (c *Control) Rates() (r fasp.Rates, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rates == nil {
		return r, false
	}
	return *c.rates, true
}

// begin lets a session hear of changes until end is called, and hands it what was changed before. A nil Control changes nothing.
func (c *Control) begin(apply func(fasp.Rates)) (end func()) {
	if c == nil {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apply = apply
	if c.rates != nil {
		apply(*c.rates)
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.apply = nil
	}
}

// MaxRate is the highest rate that a Spec and a Control take, since no higher one can be told to the other side, in bit/s.
const MaxRate fasp.Rate = 1<<62 - 1

// checkRates refuses rates that do not fit together, or into a record.
func checkRates(r fasp.Rates) error {
	switch {
	case r.Target > MaxRate || r.Min > MaxRate:
		return failf(CodeUsage, "", "rates are at most %d kbit/s", int64(MaxRate/fasp.Kbps))
	case r.Target < 0 || r.Min < 0:
		return failf(CodeUsage, "", "rates are 0 or more")
	case r.Policy > fasp.Fixed:
		return failf(CodeUsage, "", "there is no such rate policy")
	case r.Policy == fasp.Fixed && r.Target == 0:
		return failf(CodeUsage, "", "policy fixed needs a target rate")
	}
	return nil
}

// recRates is the client's word about how fast the server is to send from now on (docs/protocol-transfer.md section 22.9).
const recRates = 10

func encodeRates(r fasp.Rates) []byte {
	var w wr
	w.num(uint64(r.Policy))
	w.num(uint64(r.Target))
	w.num(uint64(r.Min))
	return w.b
}

func decodeRates(b []byte) (fasp.Rates, error) {
	r := rd{b: b}
	x := fasp.Rates{Policy: fasp.Policy(r.num(uint64(fasp.Fixed))), Target: fasp.Rate(r.num(uint64(MaxRate))), Min: fasp.Rate(r.num(uint64(MaxRate)))}
	if !r.bad && checkRates(x) != nil {
		r.bad = true
	}
	return x, r.err("rates")
}

// limited is r within a cap, 0 being none.
func limited(r fasp.Rates, most fasp.Rate) fasp.Rates {
	if most > 0 && (r.Target == 0 || r.Target > most) {
		r.Target = most
	}
	if most > 0 && r.Min > most {
		r.Min = most
	}
	return r
}
