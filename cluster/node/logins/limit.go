package logins

import (
	"net"
	"net/netip"
	"time"
)

// bucket holds tokens: an attempt takes one, and time brings them back.
type bucket struct {
	tokens float64
	at     time.Time // when there were so many
}

// buckets are those of many names, of whom strangers make up as many as they like. It is a value that is given the time; its owner has a lock.
type buckets struct {
	burst  float64       // of a bucket that was not used for long
	refill time.Duration // until one more token is there
	most   int           // buckets; names that find no room share one, so that filling the room up helps nobody

	used   map[string]bucket
	shared bucket
}

func newBuckets(burst int, refill time.Duration, most int) *buckets {
	return &buckets{burst: float64(burst), refill: refill, most: most, used: map[string]bucket{}, shared: bucket{tokens: float64(burst)}}
}

// filled is b at the time now.
func (l *buckets) filled(b bucket, now time.Time) bucket {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(l.burst, b.tokens+float64(d)/float64(l.refill))
		b.at = now
	}
	return b
}

// change adds n tokens to the bucket of a name, if it has as many as are taken, and says whether it did.
func (l *buckets) change(name string, n float64, now time.Time) bool {
	b, known := l.used[name]
	if !known && len(l.used) >= l.most {
		l.sweep(now)
	}
	shared := !known && len(l.used) >= l.most
	switch {
	case shared:
		b = l.shared
	case !known:
		b = bucket{tokens: l.burst, at: now}
	}
	b = l.filled(b, now)
	ok := b.tokens+n >= 0
	if ok {
		b.tokens = min(l.burst, b.tokens+n)
	}
	switch {
	case shared:
		l.shared = b
	case b.tokens == l.burst:
		delete(l.used, name) // as if it had never been used
	default:
		l.used[name] = b
	}
	return ok
}

// sweep forgets who has not tried for so long that its bucket is full.
func (l *buckets) sweep(now time.Time) {
	for name, b := range l.used {
		if l.filled(b, now).tokens == l.burst {
			delete(l.used, name)
		}
	}
}

// The rates of logins. A source has more than an account, since many may be behind one address; an account has what a person needs who mistypes, and a night of guessing gets some 3,000 guesses at it.
const (
	SourceBurst   = 30
	SourceRefill  = 2 * time.Second
	AccountBurst  = 10
	AccountRefill = 12 * time.Second
	maxBuckets    = 8192 // of each kind
)

// limits bound how often logins may be tried. It is a value that is given the time; its owner has a lock.
type limits struct{ sources, accounts *buckets }

func newLimits() *limits {
	return &limits{newBuckets(SourceBurst, SourceRefill, maxBuckets), newBuckets(AccountBurst, AccountRefill, maxBuckets)}
}

// try says whether somebody at source may try to log in as account. Where one of them is empty, only the other counts.
func (l *limits) try(source, account string, now time.Time) bool {
	if source != "" && !l.sources.change(source, -1, now) {
		return false
	}
	return account == "" || l.accounts.change(account, -1, now)
}

// right gives back what a login took that was right.
func (l *limits) right(source, account string, now time.Time) {
	if source != "" {
		l.sources.change(source, 1, now)
	}
	if account != "" {
		l.accounts.change(account, 1, now)
	}
}

// SourceOf is whom an address belongs to: a host, and of IPv6 its network of 64 bits, of which a host has all addresses.
func SourceOf(a net.Addr) string {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	ip := p.Addr().Unmap().WithZone("")
	if ip.Is6() {
		n, _ := ip.Prefix(64) // which every address of IPv6 has
		return n.String()
	}
	return ip.String()
}
