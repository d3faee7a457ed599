package fasp

import (
	"fmt"
	"strconv"
	"strings"
)

// Rate is a speed in bits per second. It always counts IP bytes: headers, retransmissions, parity and
// feedback included (docs/protocol.md section 1.3). Zero means "not set"; what that stands for is said
// where a Rate is used.
type Rate int64

// Units of Rate, powers of 1000 as network links count.
const (
	BitPerSecond Rate = 1
	Kbps              = 1000 * BitPerSecond
	Mbps              = 1000 * Kbps
	Gbps              = 1000 * Mbps
)

// ParseRate reads a rate as command lines write it: a plain number is kbit/s, the suffixes K, M and G
// (either case) stand for kbit/s, Mbit/s and Gbit/s. Fractions are allowed: "1.5G".
func ParseRate(s string) (Rate, error) {
	t := strings.TrimSpace(s)
	unit := Kbps
	if n := len(t); n > 0 {
		switch t[n-1] {
		case 'k', 'K':
			t = t[:n-1]
		case 'm', 'M':
			t, unit = t[:n-1], Mbps
		case 'g', 'G':
			t, unit = t[:n-1], Gbps
		}
	}
	f, err := strconv.ParseFloat(t, 64)
	if err != nil || f < 0 || f != f || f*float64(unit) > 1e15 {
		return 0, fmt.Errorf("rate %q: want a number of kbit/s, or one with K, M or G, such as 300M", s)
	}
	return Rate(f * float64(unit)), nil
}

// String prints the rate with the largest fitting unit, such as "300 Mbit/s".
func (r Rate) String() string {
	switch {
	case r >= Gbps:
		return trim(float64(r)/float64(Gbps)) + " Gbit/s"
	case r >= Mbps:
		return trim(float64(r)/float64(Mbps)) + " Mbit/s"
	case r >= Kbps:
		return trim(float64(r)/float64(Kbps)) + " kbit/s"
	}
	return strconv.FormatInt(int64(r), 10) + " bit/s"
}

func trim(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(f, 'f', 2, 64), "0"), ".")
}

// Policy says how a sender shares the path with other traffic (docs/protocol.md section 9).
type Policy uint8

// The policies, in the product's words. The zero Policy is Fair.
const (
	Fair  Policy = iota // adaptive, an equal share under congestion
	High                // adaptive, twice the share of a fair session
	Low                 // adaptive, yields to other traffic down to the minimum rate
	Fixed               // keeps the target rate while authenticated reports arrive
)

var policyNames = [...]string{Fair: "fair", High: "high", Low: "low", Fixed: "fixed"}

// String returns the policy's name as command lines and transfer specifications write it.
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return "policy(" + strconv.Itoa(int(p)) + ")"
}

// ParsePolicy reads fixed, high, fair or low.
func ParsePolicy(s string) (Policy, error) {
	for p, name := range policyNames {
		if strings.EqualFold(s, name) {
			return Policy(p), nil
		}
	}
	return 0, fmt.Errorf("policy %q: want fixed, high, fair or low", s)
}
