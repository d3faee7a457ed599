package twnode

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/vlink"
)

// example is the file that the help shows.
func example() string {
	_, text, _ := strings.Cut(vlinksHelp, "serve --vlinks FILE\":\n\n")
	text, _, _ = strings.Cut(text, "\n\nA node reads")
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

func TestTheExampleOfTheHelp(t *testing.T) {
	links, err := parseLinks([]byte(example()))
	require.NoError(t, err)
	require.Len(t, links, 2)
	require.Equal(t, "Europe/Berlin", links[0].Zone.String())
	links[0].Zone, links[1].Zone = nil, nil
	weekdays, err := vlink.ParseDays("mon-fri")
	require.NoError(t, err)
	require.Equal(t, []vlink.Link{
		{
			Name: "office", Caps: vlink.Caps{Out: 200 * fasp.Mbps, In: 100 * fasp.Mbps}, Weight: 2,
			Schedule: []vlink.Window{{Days: weekdays, From: 8 * time.Hour, To: 18 * time.Hour, Caps: vlink.Caps{Out: 50 * fasp.Mbps, In: 100 * fasp.Mbps}}},
		},
		{Caps: vlink.Caps{Out: 500 * fasp.Mbps}},
	}, links)
}

func TestParseLinksErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"vlinks:\n- name: a\n  owt: 1M", "line 3: unknown field owt"},
		{"vlinks:\n- name: a\n  out: fast", `line 3: rate "fast"`},
		{"vlinks:\n- name: a\n  out: [1]", "line 3: want a rate"},
		{"vlinks:\n- name: a b", "line 2: vlink name"},
		{"vlinks:\n- name: ''", "line 2: the name is empty"},
		{"vlinks:\n- out: 1M", "vlink 1 has no name"},
		{"vlinks:\n- name: a\n- name: a", "line 3: vlink \"a\" is in line 2 already"},
		{"vlinks:\n- name: a\n  weight: 0", `line 3: weight "0"`},
		{"vlinks:\n- name: a\n  schedule:\n  - from: 8", `line 4: time "8"`},
		{"vlinks:\n- name: a\n  schedule:\n  - from: 24:01", `line 4: time "24:01"`},
		{"vlinks:\n- name: a\n  schedule:\n  - from: 08:00\n    out: 1M", "needs from and to"},
		{"vlinks:\n- name: a\n  schedule:\n  - from: 08:00\n    to: 09:00", "line 4: the window changes nothing"},
		{"vlinks:\n- name: a\n  schedule:\n  - from: 08:00\n    to: 08:00\n    in: 5M", "line 4: from and to are equal"},
		{"vlinks:\n- name: a\n  schedule:\n  - days: workdays", "line 4: days"},
		{"timezone: Nowhere/Else", "line 1: unknown time zone"},
		{"vlinks: 5", "line 1"},
		{"vlinks:\n- name: [", "line"},
		{"", "no list of vlinks"},
		{"vlinks:", "no list of vlinks"},
		{"timezone: UTC", "no list of vlinks"},
		{"vlinks: []\n---\nvlinks: []", "second document"},
	} {
		_, err := parseLinks([]byte(c.text))
		require.ErrorContains(t, err, c.want, c.text)
		require.NotContains(t, err.Error(), "twnode.", "no names of our types")
	}
	links, err := parseLinks([]byte("vlinks: []"))
	require.NoError(t, err)
	require.Empty(t, links)
	for _, c := range []struct {
		text  string
		wants []string
	}{
		{"vlinks:\n- name: a\n  owt: 1M\n- name: b c\n  weight: 0", []string{"line 3", "line 4", "line 5"}},
		{"vlinks:\n- name: a\n- name: a\n- out: 1M\n- name: d\n  schedule:\n  - from: 08:00\n    to: 09:00", []string{"line 3", "vlink 3", "line 7"}},
	} {
		_, err := parseLinks([]byte(c.text))
		for _, want := range c.wants {
			require.ErrorContains(t, err, want, "all mistakes at once")
		}
	}
}

func FuzzParseLinks(f *testing.F) {
	f.Add(example())
	f.Add("vlinks:\n- name: a\n  out: 1M\n  schedule:\n  - {from: 22:00, to: 06:00, in: 0}")
	f.Fuzz(func(t *testing.T, s string) {
		links, err := parseLinks([]byte(s))
		if err != nil {
			return
		}
		cfg := vlink.Config{Links: links}
		require.NoError(t, cfg.Check(), "what is parsed is taken")
	})
}

func TestLinkChanges(t *testing.T) {
	zone := func() *time.Location { return time.FixedZone("X", 3600) }
	a, b, c := vlink.Link{Name: "a", Zone: zone()}, vlink.Link{Name: "b"}, vlink.Link{Name: "c"}
	same, other := vlink.Link{Name: "a", Zone: zone()}, vlink.Link{Name: "b", Weight: 2}
	require.Equal(t, []linkChange{{"changed", other}, {"added", vlink.Link{}}, {"removed", c}}, linkChanges([]vlink.Link{a, b, c}, []vlink.Link{same, other, {}}))
	require.Empty(t, linkChanges([]vlink.Link{a, b}, []vlink.Link{b, same}))
}
