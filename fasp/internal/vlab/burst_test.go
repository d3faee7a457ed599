package vlab

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// host is a sender's: how busy it is and how late it wakes.
type host struct {
	name string
	load core.Load
	late time.Duration
}

// burstResult is what a session did behind a policer.
type burstResult struct {
	share   float64 // goodput over what the policer lets pass
	lost    float64 // of the packets
	limited float64 // share of the time in which there was a limit
	most    int     // the limit at the end
}

// behindPolicer runs a session behind a policer that takes depth packets at once, on a link that is ten times as fast, and measures it from 5 s to 25 s.
func behindPolicer(t *testing.T, rate float64, rtt time.Duration, depth int, policy core.Policy, h host, seed uint64) burstResult {
	t.Helper()
	l := link(10*rate, rtt, 100*ms)
	w := New(seed, l, l)
	w.Police = &Policer{Rate: rate, Bucket: float64(depth * 1500)}
	o := Options{Seed: seed, Load: h.load, Late: h.late, Rates: core.Rates{Policy: policy}}
	wanted := rate
	if policy == core.Fixed {
		wanted = 0.9 * rate
		o.Rates.Target = int64(wanted)
	}
	s := w.AddSession(o)
	long := 20 * time.Second
	if rate > 500e6 {
		long = 5 * time.Second
	}
	require.NoError(t, w.Run(w.Now+5*time.Second, nil))
	got, sent, lost := s.Goodput(), s.Sender.Stats.PacketsOut, s.Sender.Stats.Lost
	r := burstResult{}
	n := 0
	w.Every(w.Now, 10*ms, func() {
		n++
		if s.Sender.Burst() > 0 {
			r.limited++
		}
	})
	require.NoError(t, w.Run(w.Now+long, nil))
	r.share = float64(s.Goodput()-got) * 8 / long.Seconds() / (wanted * 1440 / 1500)
	r.lost = float64(s.Sender.Stats.Lost-lost) / float64(s.Sender.Stats.PacketsOut-sent)
	r.limited /= float64(n)
	r.most = s.Sender.Burst()
	return r
}

// Behind a policer that takes five packets at once a session gets what the policer lets pass, whatever the load of its host, which makes turns of 2 ms. One whose
// timers are late by more than the time of five packets cannot: what it sends at each wake is lost behind the fifth (docs/decisions/0014-bursts.md).
func TestBurstsBehindPolicer(t *testing.T) {
	const late = 300 * time.Microsecond
	for _, h := range []host{{name: "idle"}, {name: "busy", load: core.Busy}, {name: "late", late: late}} {
		for _, rate := range []float64{10e6, 100e6, 300e6, 1e9} {
			for _, rtt := range []time.Duration{10 * ms, 100 * ms} {
				for _, policy := range []core.Policy{core.Fixed, core.Fair} {
					t.Run(fmt.Sprintf("%s/%gM/%v/%v", h.name, rate/1e6, rtt, policy), func(t *testing.T) {
						if testing.Short() && (rate > 100e6 || h.name == "idle") {
							t.Skip("long: not in -short")
						}
						t.Parallel()
						for seed := range uint64(2) {
							r := behindPolicer(t, rate, rtt, 5, policy, h, seed+1)
							t.Logf("share %.3f, %.4f lost, limited %.2f of the time, to %d", r.share, r.lost, r.limited, r.most)
							if h.late == 0 || rate <= 100e6 {
								require.GreaterOrEqual(t, r.share, 0.9)
							}
							if h.late == 0 && policy == core.Fixed {
								require.LessOrEqual(t, r.lost, 0.02)
							}
						}
					})
				}
			}
		}
	}
}

// On a path without a policer there is no limit, even where turns are long: not for random loss, full queues of any length, CoDel or a competing TCP.
func TestNoBurstLimit(t *testing.T) {
	for _, load := range []core.Load{core.Idle, core.Busy} {
		for _, c := range []struct {
			name  string
			link  simnet.Impair
			rates core.Rates
			aqm   AQM
			tcp   bool
		}{
			{name: "1 %", link: with(link(100e6, 20*ms, 100*ms), func(l *simnet.Impair) { l.Loss = 0.01 })},
			{name: "10 %", link: with(link(100e6, 100*ms, 100*ms), func(l *simnet.Impair) { l.Loss = 0.1 })},
			{name: "30 %", link: with(link(300e6, 20*ms, 100*ms), func(l *simnet.Impair) { l.Loss = 0.3 })},
			{name: "bursts of 10 ms", link: with(link(100e6, 20*ms, 100*ms), func(l *simnet.Impair) { l.Burst = simnet.Burst{Mean: 10 * ms, Gap: 200 * ms} })},
			{name: "queue of 10 ms", link: link(100e6, 20*ms, 10*ms)},
			{name: "queue of 250 ms", link: link(300e6, 50*ms, 250*ms)},
			{name: "fixed at the rate", link: link(100e6, 20*ms, 50*ms), rates: core.Rates{Policy: core.Fixed, Target: 100e6}},
			{name: "fixed at twice the rate", link: link(100e6, 20*ms, 50*ms), rates: core.Rates{Policy: core.Fixed, Target: 200e6}},
			{name: "CoDel", link: link(100e6, 20*ms, 100*ms), aqm: &CoDel{}},
			{name: "CoDel, fixed", link: link(100e6, 20*ms, 100*ms), aqm: &CoDel{}, rates: core.Rates{Policy: core.Fixed, Target: 110e6}},
			{name: "beside CUBIC", link: link(100e6, 20*ms, 50*ms), tcp: true},
		} {
			t.Run(fmt.Sprintf("%s/%d", c.name, load), func(t *testing.T) {
				t.Parallel()
				w := New(3, c.link, c.link)
				w.AQM = c.aqm
				s := w.AddSession(Options{Seed: 3, Load: load, Rates: c.rates})
				if c.tcp {
					w.AddTCP(Cubic, TCPOptions{Seed: 1, HyStart: true})
				}
				limited, n := 0, 0
				w.Every(w.Now, ms, func() {
					n++
					if s.Sender.Burst() > 0 {
						limited++
					}
				})
				require.NoError(t, w.Run(w.Now+10*time.Second, nil))
				require.LessOrEqual(t, float64(limited), 0.01*float64(n), "of %d ms", n)
			})
		}
	}
}
