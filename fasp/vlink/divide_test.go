package vlink

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

var inf = math.Inf(1)

// one makes a division of one vlink without a cap.
func one(host float64, flows ...flow) *division {
	return &division{host: host, links: []span{{to: len(flows), cap: inf, weight: 1}}, flows: flows}
}

func greedyFlow(weight float64) flow { return flow{weight: weight, want: inf, most: inf} }

func TestDivide(t *testing.T) {
	for _, c := range []struct {
		name string
		d    *division
		want []float64
	}{
		{"none", one(100), nil},
		{"no cap", one(inf, greedyFlow(1), flow{weight: 1, want: 5, most: inf}), []float64{inf, inf}},
		{"equal", one(99, greedyFlow(1), greedyFlow(1), greedyFlow(1)), []float64{33, 33, 33}},
		{"by weight", one(90, greedyFlow(2), greedyFlow(1)), []float64{60, 30}},
		{"the rest goes to the others", one(90, flow{weight: 1, want: 10, most: inf}, greedyFlow(1), greedyFlow(1)), []float64{10, 40, 40}},
		{"a target is the most", one(90, flow{weight: 1, want: 20, most: 20}, greedyFlow(1)), []float64{20, 70}},
		{"what nobody wants is handed out", one(90, flow{weight: 1, want: 10, most: inf}, flow{weight: 1, want: 20, most: inf}), []float64{40, 50}},
		{"but to no more than the target", one(90, flow{weight: 1, want: 10, most: 15}, flow{weight: 1, want: 20, most: inf}), []float64{15, 75}},
		{
			"a key's cap goes beside weights",
			&division{host: 100, links: []span{{to: 3, cap: inf, weight: 1}}, keys: []span{{to: 2, cap: 20}}, flows: []flow{greedyFlow(1), greedyFlow(1), greedyFlow(1)}},
			[]float64{10, 10, 80},
		},
		{
			"a key's cap that does not bind changes nothing",
			&division{host: 90, links: []span{{to: 3, cap: inf, weight: 1}}, keys: []span{{to: 2, cap: 60}}, flows: []flow{greedyFlow(1), greedyFlow(1), greedyFlow(1)}},
			[]float64{30, 30, 30},
		},
		{
			"vlinks by weight, whatever the number of sessions",
			&division{host: 90, links: []span{{to: 3, cap: inf, weight: 1}, {from: 3, to: 4, cap: inf, weight: 2}}, flows: []flow{greedyFlow(1), greedyFlow(1), greedyFlow(1), greedyFlow(1)}},
			[]float64{10, 10, 10, 60},
		},
		{
			"what a vlink may not use goes to the other",
			&division{host: 90, links: []span{{to: 2, cap: inf, weight: 1}, {from: 2, to: 3, cap: 30, weight: 2}}, flows: []flow{greedyFlow(1), greedyFlow(1), greedyFlow(1)}},
			[]float64{30, 30, 30},
		},
		{
			"a vlink without a bound above it",
			&division{host: inf, links: []span{{to: 1, cap: inf, weight: 1}, {from: 1, to: 3, cap: 30, weight: 1}}, flows: []flow{greedyFlow(1), greedyFlow(1), greedyFlow(2)}},
			[]float64{inf, 10, 20},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.d.divide()
			for i, want := range c.want {
				if math.IsInf(want, 1) {
					require.True(t, math.IsInf(c.d.flows[i].share, 1), "flow %d", i)
				} else {
					require.InDelta(t, want, c.d.flows[i].share, 1e-9, "flow %d", i)
				}
			}
			requireFair(t, c.d)
		})
	}
}

// requireFair checks what a division promises: caps hold, nothing is left that somebody could have, and nobody could have more without taking
// it from somebody whose share, by weight, is not larger.
func requireFair(t testing.TB, d *division) {
	t.Helper()
	const eps = 1e-6
	within := func(a, b float64) bool { return a <= b || a-b <= eps*(1+math.Abs(b)) }
	total := func(s span) (x float64) {
		for _, f := range d.flows[s.from:s.to] {
			x += f.share
		}
		return x
	}
	all := total(span{to: len(d.flows)})
	require.True(t, within(all, d.host), "%v of the host's %v", all, d.host)
	// full tells whether nobody below s can have more.
	full := func(s span) bool { return !math.IsInf(s.cap, 1) && within(s.cap, total(s)) }
	hostFull := !math.IsInf(d.host, 1) && within(d.host, all)
	above := func(spans []span, i int) (span, bool) {
		for _, s := range spans {
			if s.from <= i && i < s.to {
				require.True(t, within(total(s), s.cap), "%v of a cap of %v", total(s), s.cap)
				return s, true
			}
		}
		return span{}, false
	}
	// No division of wants alone would have given more to somebody: what is beyond the wants is left out of the comparison of levels.
	first := division{host: d.host, links: append([]span(nil), d.links...), keys: append([]span(nil), d.keys...)}
	for _, f := range d.flows {
		f.most = f.want
		first.flows = append(first.flows, f)
	}
	first.divide()
	for i := range d.flows {
		f := &d.flows[i]
		require.False(t, math.IsNaN(f.share) || f.share < 0, "flow %d: %v", i, f.share)
		require.True(t, within(f.share, f.most), "flow %d: %v of at most %v", i, f.share, f.most)
		require.True(t, within(first.flows[i].share, f.share), "flow %d: %v, and %v for what it wants", i, f.share, first.flows[i].share)
		link, ok := above(d.links, i)
		require.True(t, ok)
		key, hasKey := above(d.keys, i)
		if !within(f.most, f.share) {
			require.True(t, hostFull || full(link) || hasKey && full(key), "flow %d has %v and could have more", i, f.share)
		}
		if within(f.want, first.flows[i].share) {
			continue
		}
		// One of the spans above is its bottleneck: nobody in there has more by weight.
		highest := func(s span) bool {
			for j := s.from; j < s.to; j++ {
				if !within(first.flows[j].share/first.flows[j].weight, first.flows[i].share/f.weight) {
					return false
				}
			}
			return true
		}
		bottleneck := hasKey && highest(key) || highest(link)
		require.True(t, bottleneck, "flow %d wants %v and has %v, less by weight than others of its cap", i, f.want, first.flows[i].share)
	}
	// Likewise for vlinks below the host.
	firstTotal := func(s span) (x, want float64) {
		for _, f := range first.flows[s.from:s.to] {
			x += f.share
		}
		for _, f := range alone(&first, s) {
			want += f.share
		}
		return x, want
	}
	for _, a := range d.links {
		have, want := firstTotal(a)
		if within(want, have) {
			continue
		}
		for _, b := range d.links {
			other, _ := firstTotal(b)
			require.True(t, within(other/b.weight, have/a.weight), "a vlink wants %v, has %v, another has %v", want, have, other)
		}
	}
}

// alone divides a vlink's cap as if the host had none.
func alone(d *division, s span) []flow {
	x := division{host: inf, links: []span{{to: s.to - s.from, cap: s.cap, weight: 1}}, flows: append([]flow(nil), d.flows[s.from:s.to]...)}
	for _, k := range d.keys {
		if s.from <= k.from && k.to <= s.to {
			x.keys = append(x.keys, span{from: k.from - s.from, to: k.to - s.from, cap: k.cap})
		}
	}
	x.divide()
	return x.flows
}

// randomDivision makes one from numbers below 256.
func randomDivision(next func() int) *division {
	rate := func() float64 {
		switch v := next(); {
		case v < 40:
			return inf
		case v < 60:
			return 0
		case v < 90:
			return 1
		default:
			return math.Pow(1.1, float64(v))
		}
	}
	weight := func() float64 { return [...]float64{1, 1, 2, 0.1, 3.7}[next()%5] }
	d := &division{host: rate()}
	for range 1 + next()%4 {
		l := span{from: len(d.flows), cap: rate(), weight: weight()}
		for range next() % 4 {
			k := span{from: len(d.flows), cap: rate()}
			for range 1 + next()%5 {
				f := flow{weight: weight(), want: rate(), most: rate()}
				f.want = min(f.want, f.most)
				d.flows = append(d.flows, f)
			}
			if k.to = len(d.flows); !math.IsInf(k.cap, 1) {
				d.keys = append(d.keys, k)
			}
		}
		if l.to = len(d.flows); l.to > l.from {
			d.links = append(d.links, l)
		}
	}
	return d
}

func TestDivisionsAreFair(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	n := 20_000
	if testing.Short() {
		n = 1000
	}
	for range n {
		d := randomDivision(func() int { return rng.IntN(256) })
		d.divide()
		requireFair(t, d)
	}
}

func FuzzDivide(f *testing.F) {
	f.Add([]byte{200, 1, 220, 0, 2, 3, 4, 0, 255, 20, 0, 100, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := randomDivision(func() int {
			if len(b) == 0 {
				return 0
			}
			v := b[0]
			b = b[1:]
			return int(v)
		})
		d.divide()
		requireFair(t, d)
	})
}

func TestGreedySharesSumToTheCap(t *testing.T) {
	for n := 1; n <= 300; n += 13 {
		flows := make([]flow, n)
		for i := range flows {
			flows[i] = greedyFlow([...]float64{1, 2, 0.1}[i%3])
		}
		d := one(1e9, flows...)
		d.divide()
		whole := 0.0
		for _, f := range d.flows {
			whole += math.Floor(f.share)
		}
		require.LessOrEqual(t, whole, 1e9)
		require.GreaterOrEqual(t, whole, 1e9-float64(n), "a bit a second for each is lost to rounding")
	}
}

func TestDivisionDoesNotAllocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	d := randomDivision(func() int { return 60 + rng.IntN(196) })
	d.divide()
	require.Zero(t, testing.AllocsPerRun(100, d.divide))
}

func BenchmarkDivide256(b *testing.B) {
	flows := make([]flow, 256)
	for i := range flows {
		flows[i] = flow{weight: 1, want: float64(1 + i*i*1000), most: inf}
	}
	d := one(1e9, flows...)
	for b.Loop() {
		d.divide()
	}
}
