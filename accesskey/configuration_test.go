package accesskey

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConfiguration(t *testing.T) {
	for _, text := range []string{"", "null", "{}", `{"transfer":{"cipher":"aes-256","policy":""},"server":{"allow":[],"deny":null,"aej_logging":true},"other":1}`} {
		c, err := ParseConfiguration(json.RawMessage(text))
		require.NoError(t, err, text)
		require.Equal(t, Configuration{}, c, text)
	}
	c, err := ParseConfiguration(json.RawMessage(`{"transfer":{"policy":"low","target_rate_kbps":5,"target_rate_cap_kbps":9},"server":{"allow":["192.0.2.77/24","2001:db8::1"],"deny":["192.0.2.5"]}}`))
	require.NoError(t, err)
	require.Equal(t, "low", c.Policy)
	require.EqualValues(t, 5000, c.TargetRate)
	require.EqualValues(t, 9000, c.RateCap)
	g := Grant{Config: c}
	for text, want := range map[string]bool{
		"192.0.2.1": true, "192.0.2.5": false, "192.0.3.1": false, "2001:db8::1": true, "2001:db8::2": false, "::ffff:192.0.2.1": true, "::ffff:192.0.2.5": false, "2001:db8::1%eth0": true,
	} {
		require.Equal(t, want, g.Admits(netip.MustParseAddr(text)), text)
	}
	require.True(t, Grant{}.Admits(netip.MustParseAddr("192.0.2.1")))
	require.False(t, g.Admits(netip.Addr{}), "of an address that is not known")
	for text, why := range map[string]string{
		`[]`:                                       "configuration",
		`{"transfer":{"policy":"greedy"}}`:         "policy",
		`{"transfer":{"target_rate_kbps":-1}}`:     "target_rate_kbps",
		`{"transfer":{"target_rate_kbps":"fast"}}`: "configuration",
		`{"transfer":{"target_rate_cap_kbps":9223372036854775807}}`:         "target_rate_cap_kbps",
		`{"server":{"allow":["everybody"]}}`:                                "allow",
		`{"server":{"deny":["fe80::1%eth0"]}}`:                              "deny",
		`{"server":{"deny":[` + strings.Repeat(`"::1",`, 1000) + `"::1"]}}`: "more than",
	} {
		_, err := ParseConfiguration(json.RawMessage(text))
		require.ErrorContains(t, err, why, text)
	}
	k := testKey(t, alice)
	k.Config = json.RawMessage(`{"transfer":{"target_rate_cap_kbps":9}}`)
	require.EqualValues(t, 9000, k.Grant().RateCap)
	k.RateCap = 5000
	require.EqualValues(t, 5000, k.Grant().RateCap)
	k.RateCap = 50_000
	require.EqualValues(t, 9000, k.Grant().RateCap)
	k.Config = json.RawMessage(`{"server":{"allow":["?"]}}`)
	require.ErrorContains(t, k.Check(), "allow")
	require.False(t, k.Grant().Admits(netip.MustParseAddr("192.0.2.1")), "what cannot be read admits nobody")
}

func FuzzConfiguration(f *testing.F) {
	f.Add([]byte(`{"transfer":{"policy":"low"},"server":{"allow":["192.0.2.0/24"]}}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if c, err := ParseConfiguration(b); err == nil {
			Grant{Config: c}.Admits(netip.MustParseAddr("192.0.2.1"))
		}
	})
}
