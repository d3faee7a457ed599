package accesskey

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
)

// Configuration is what of the configuration object of a key (docs/api.md section 5) has an effect.
type Configuration struct {
	// Policy is the rate policy of transfers that do not name one: fixed, high, fair or low; "" leaves it to the node.
	Policy string
	// TargetRate is the rate of transfers that do not name one, and RateCap bounds all sessions of the key together, beside Key.RateCap; in bits per second, 0 is none.
	TargetRate, RateCap int64
	// Allow, unless it is empty, has the addresses that alone may use the key over the Node API, and Deny those that may not, also where Allow has them.
	Allow, Deny []netip.Prefix
}

// ParseConfiguration reads a configuration object; nil is the zero Configuration. What it does not know is not looked at. Errors name the field.
func ParseConfiguration(b json.RawMessage) (c Configuration, err error) {
	if len(b) == 0 || string(b) == "null" {
		return c, nil
	}
	var in struct {
		Transfer struct {
			Policy     string `json:"policy"`
			TargetRate int64  `json:"target_rate_kbps"`
			RateCap    int64  `json:"target_rate_cap_kbps"`
		} `json:"transfer"`
		Server struct {
			Allow []string `json:"allow"`
			Deny  []string `json:"deny"`
		} `json:"server"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	switch in.Transfer.Policy {
	case "", "fixed", "high", "fair", "low":
		c.Policy = in.Transfer.Policy
	default:
		return c, fmt.Errorf("configuration.transfer.policy %.20q: want fixed, high, fair or low", in.Transfer.Policy)
	}
	for _, f := range []struct {
		name string
		kbps int64
		bps  *int64
	}{{"target_rate_kbps", in.Transfer.TargetRate, &c.TargetRate}, {"target_rate_cap_kbps", in.Transfer.RateCap, &c.RateCap}} {
		if f.kbps < 0 || f.kbps > math.MaxInt64/1000 {
			return c, fmt.Errorf("configuration.transfer.%s: want kilobits per second, 0 for none", f.name)
		}
		*f.bps = f.kbps * 1000
	}
	if c.Allow, err = prefixes("allow", in.Server.Allow); err == nil {
		c.Deny, err = prefixes("deny", in.Server.Deny)
	}
	return c, err
}

// maxPrefixes bounds a list of addresses.
const maxPrefixes = 1000

// prefixes reads addresses, alone or with the bits of a network.
func prefixes(name string, list []string) ([]netip.Prefix, error) {
	if len(list) > maxPrefixes {
		return nil, fmt.Errorf("configuration.server.%s: more than %d", name, maxPrefixes)
	}
	var all []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(text); err == nil {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil || strings.ContainsRune(text, '%') {
			return nil, fmt.Errorf("configuration.server.%s %.50q: want an address, or a network such as 192.0.2.0/24", name, text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// Admits says whether a request from this address may use the grant over the Node API.
func (g Grant) Admits(from netip.Addr) bool {
	from = from.Unmap().WithZone("")
	within := func(list []netip.Prefix) bool {
		for _, p := range list {
			if p.Contains(from) {
				return true
			}
		}
		return false
	}
	return (len(g.Config.Allow) == 0 || within(g.Config.Allow)) && !within(g.Config.Deny)
}
