package twnode

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/api"
)

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "17": 17, "2k": 2 << 10, "3M": 3 << 20, "10G": 10 << 30, "1t": 1 << 40} {
		got, err := parseSize(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, bad := range []string{"", "K", "-1", "1X", "1.5G", "99999999999999T"} {
		_, err := parseSize(bad)
		require.Error(t, err, bad)
	}
}

func FuzzParseSize(f *testing.F) {
	f.Add("10G")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseSize(s)
		require.False(t, err == nil && n < 0)
	})
}

func TestAddresses(t *testing.T) {
	require.Equal(t, []string{"127.0.0.1:7"}, addresses(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7}))
	all := addresses(&net.UDPAddr{IP: net.IPv6unspecified, Port: 7})
	require.NotEmpty(t, all)
	for _, a := range all {
		require.True(t, strings.HasSuffix(a, ":7"), a)
		_, err := net.ResolveUDPAddr("udp", a)
		require.NoError(t, err)
	}
}

// TestShown: what a key says of itself, or a client of its files, does not steer the terminal of who looks at it.
func TestShown(t *testing.T) {
	var b bytes.Buffer
	hostile := "\x1b[2J\nid  root"
	require.NoError(t, printKey(&b, api.AccessKey{ID: "a", Tradewind: api.KeyState{Note: hostile, Tenant: hostile, Reason: hostile}}))
	require.NoError(t, printKeys(&b, []api.AccessKey{{ID: "a", Storage: json.RawMessage(`{"type":"local","path":"\u001b[2J"}`), Tradewind: api.KeyState{Note: hostile, Tenant: hostile}}}))
	require.NoError(t, printTransfers(&b, []api.Transfer{{Spec: api.StartSpec{SourcePaths: []string{hostile}}}, {ErrorDesc: hostile}}, new(columns)))
	printAudit(&b, api.AuditRecord{Actor: hostile, Object: hostile, Changed: []string{hostile}})
	require.NotContains(t, b.String(), "\x1b")
	require.NotContains(t, b.String(), "\nid  root")
}

// TestKnownConfiguration: of what clients put into the configuration of a key, a bundle for others has what has an effect.
func TestKnownConfiguration(t *testing.T) {
	require.Nil(t, knownConfiguration(nil))
	require.Nil(t, knownConfiguration(json.RawMessage(`{"transfer":7}`)))
	require.JSONEq(t, `{"transfer":{"policy":"low","target_rate_cap_kbps":5},"server":{"deny":["192.0.2.0/24"]}}`, string(knownConfiguration(json.RawMessage(
		`{"transfer":{"policy":"low","target_rate_cap_kbps":5,"webhook_password":"hunter2"},"server":{"deny":["192.0.2.0/24"]},"smtp":{"password":"hunter2"}}`))))
}
