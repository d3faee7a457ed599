package fasp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Paths remembers what the paths to other hosts were seen to take, so that later sessions start fast, and sessions at the same time share
// what they know (docs/protocol.md section 9). It is given to endpoints in Config; the zero value is ready, and it may be used by many
// endpoints and goroutines. It is JSON for programs that end and start again; what was noted by another clock or is damaged does no
// harm, since a session confirms what it is told before it relies on it.
type Paths struct {
	mu      sync.Mutex
	m       map[netip.Addr]path
	running map[netip.Addr]int // sessions to a host now
}

type path struct {
	Rate Rate          `json:"rate"`   // IP bits per second delivered to the host
	RTT  time.Duration `json:"rtt_ns"` // least round trip
	Seen time.Time     `json:"seen"`
}

const (
	maxPaths = 1024
	// pathLife is how long a rate is of use; sharedLife how long a round trip is, which belongs to sessions at the same time.
	pathLife   = 24 * time.Hour
	sharedLife = 10 * time.Second
	// freshLife is how long a rate may be taken up nearly as it was, if no other session to the host runs.
	freshLife = 10 * time.Minute
)

// knownPath is what a session is told when it begins.
type knownPath struct {
	rate  Rate          // to start from, 0 = nothing is known
	rtt   time.Duration // the least round trip, if others are under way, else 0
	fresh bool          // the rate was had a short while ago, and nobody here uses the path now
}

// enter returns what is known of the path for a session that begins, which tells its end by leave. rtt is
// the one of the handshake: a path of another length is another path (RFC 9959 section 3 asks for such a test).
func (p *Paths) enter(host netip.Addr, rtt time.Duration, now time.Time) knownPath {
	p.mu.Lock()
	defer p.mu.Unlock()
	host = host.Unmap()
	k, ok := p.m[host]
	others := p.running[host]
	if p.running == nil {
		p.running = make(map[netip.Addr]int)
	}
	p.running[host]++
	age := now.Sub(k.Seen)
	if !ok || age < 0 || age > pathLife || rtt < k.RTT/2 || rtt > 2*k.RTT+20*time.Millisecond {
		return knownPath{}
	}
	if age > sharedLife {
		return knownPath{rate: k.Rate, fresh: others == 0 && age <= freshLife}
	}
	return knownPath{rate: k.Rate, rtt: k.RTT, fresh: others == 0}
}

// leave tells that a session has ended.
func (p *Paths) leave(host netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	host = host.Unmap()
	if p.running[host]--; p.running[host] <= 0 {
		delete(p.running, host)
	}
}

// note remembers a path.
func (p *Paths) note(host netip.Addr, rate Rate, rtt time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	host = host.Unmap()
	if p.m == nil {
		p.m = make(map[netip.Addr]path)
	}
	if _, ok := p.m[host]; !ok && len(p.m) >= maxPaths {
		p.dropOldest()
	}
	p.m[host] = path{rate, rtt, now}
}

func (p *Paths) dropOldest() {
	var oldest netip.Addr
	for a, k := range p.m {
		if !oldest.IsValid() || k.Seen.Before(p.m[oldest].Seen) {
			oldest = a
		}
	}
	delete(p.m, oldest)
}

// MarshalJSON implements json.Marshaler.
func (p *Paths) MarshalJSON() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(p.m)
}

// UnmarshalJSON implements json.Unmarshaler. It adds to what is known; what makes no sense is left out.
func (p *Paths) UnmarshalJSON(b []byte) error {
	var m map[netip.Addr]path
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("paths: %w", err)
	}
	if len(m) > maxPaths {
		return errors.New("paths: too many")
	}
	for a, k := range m {
		year := k.Seen.UTC().Year() // JSON writes four digits, in any zone
		if a.IsValid() && year > 0 && year < 9999 && k.Rate > 0 && k.Rate <= 100*Gbps && k.RTT > 0 && k.RTT < time.Minute {
			p.note(a, k.Rate, k.RTT, k.Seen.UTC())
		}
	}
	return nil
}
