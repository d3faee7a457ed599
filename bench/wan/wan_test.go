package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseModes(t *testing.T) {
	modes, err := parseModes("fixed,fair-cold,fair-warm,high,low-cold,fixed-warm")
	require.NoError(t, err)
	require.Equal(t, []mode{{"fixed", false}, {"fair", false}, {"fair", true}, {"high", false}, {"low", false}, {"fixed", true}}, modes)
	var names []string
	for _, m := range modes {
		names = append(names, m.String())
	}
	require.Equal(t, []string{"fixed", "fair-cold", "fair-warm", "high-cold", "low-cold", "fixed-warm"}, names)
	for _, s := range []string{"", "fast", "fair-", "fair-hot", "fair-warm-cold", "fair,", "-warm", "fair warm"} {
		_, err := parseModes(s)
		require.Error(t, err, "%q", s)
	}
}

func TestParseCells(t *testing.T) {
	cells, err := parseCells("10/0,300/0.1,1000/29")
	require.NoError(t, err)
	require.Equal(t, []cell{{10, 0}, {300, 0.1}, {1000, 29}}, cells)
	require.Equal(t, "300/0.1", cells[1].String())
	require.Equal(t, 300*time.Millisecond, cells[1].link(1e6).RTT)
	require.InDelta(t, 0.001, cells[1].link(1e6).Loss, 1e-12)
	for _, s := range []string{"", "10", "10/", "/1", "10/0,", "a/b", "-1/0", "10/100"} {
		_, err := parseCells(s)
		require.Error(t, err, "%q", s)
	}
}

func TestWanted(t *testing.T) {
	const bound, rtt = 10 * time.Second, time.Second
	for name, want := range map[string]time.Duration{
		"fixed":      10600 * time.Millisecond,
		"fixed-warm": 10600 * time.Millisecond,
		"fair-warm":  10600 * time.Millisecond,
		"high-warm":  10600 * time.Millisecond,
		"fair-cold":  12800 * time.Millisecond,
		"high":       12800 * time.Millisecond,
		"low":        0,
		"low-warm":   0,
	} {
		modes, err := parseModes(name)
		require.NoError(t, err)
		require.Equal(t, want, modes[0].wanted(bound, rtt), name)
	}
}

// TestResult summarises runs of which one was made again and one stayed late, and prints them.
func TestResult(t *testing.T) {
	r := result{RTTms: 1000, LossPercent: 10, Mode: "fixed", Runs: []oneRun{
		{Counts: true, Seconds: 10.7, Bound: 10, Overruns: 5, Late: 0.001},
		{Seconds: 99, Bound: 1, Overruns: 900, Late: 0.2},
		{Counts: true, Seconds: 10.5, Bound: 9.9, Overruns: 7, Late: 0.01, ClientRSS: 3e6},
		{Counts: true, Seconds: 10.9, Bound: 10.1, Overruns: 90, Late: 0.03},
	}}
	r.summarise(1e9)
	require.Equal(t, 10.7, r.Seconds, "the median of those that count")
	require.Equal(t, 10.0, r.Bound)
	require.EqualValues(t, 102, r.Overruns)
	require.Equal(t, 0.03, r.Late)
	require.Equal(t, " ?", r.lateMark())
	r.judge(mode{policy: "fixed"})
	require.True(t, r.Miss)
	require.InDelta(t, 10.6, r.Wanted, 1e-9)
	r.judge(mode{policy: "fair"})
	require.False(t, r.Miss)
	r.judge(mode{policy: "fixed"})

	low := r
	low.Mode = "low-cold"
	low.judge(mode{policy: "low"})
	require.False(t, low.Miss, "nothing is asked of low")
	var out strings.Builder
	(&report{Front: "tun", Results: []result{r, low}}).print(&out, []mode{{policy: "low"}, {policy: "fixed"}})
	require.Contains(t, out.String(), "| 1000 ms / 10 % | 10.70 s | 10.00 s | 1.070 | 10.60 s, **miss** | 748 Mbit/s | 3 MB | 0 MB | 102 ? |\n")
	require.Contains(t, out.String(), "| 1.070 |  | 748 Mbit/s |", "no figure is wanted")
}
