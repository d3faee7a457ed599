package transfer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Content that does not compress is tried ever more seldom: a ninth of the blocks on a slow path, which waits, and next to none on a fast one.
func TestSqueezeBacksOff(t *testing.T) {
	var q squeeze
	var tries []int
	for i := range 2048 {
		if q.next() {
			tries = append(tries, i)
			q.tried(1, true)
		}
	}
	require.Equal(t, []int{0, 3, 8, 17, 26, 35, 44}, tries[:7])
	require.Len(t, tries, 229)
	q, tries = squeeze{}, nil
	for i := range 2048 {
		if q.next() {
			tries = append(tries, i)
			q.tried(1, false)
		}
	}
	require.Equal(t, []int{0, 129, 386, 643, 900, 1157, 1414, 1671, 1928}, tries)
}

// Mixed content is followed in both directions, and what pays is compressed block by block.
func TestSqueezeFollows(t *testing.T) {
	var q squeeze
	compressed, lost := 0, 0
	for i := range 4000 {
		good := i/200%2 == 0 // stretches of 200 blocks
		if q.next() {
			if !good {
				lost++
				q.tried(1, true)
				continue
			}
			compressed++
			q.tried(5, true)
		}
	}
	require.Greater(t, compressed, 1800, "of 2000")
	require.Less(t, lost, 300, "of 2000")
}

// A path that is too fast makes tries rare from the first one on.
func TestSqueezeOnFastPath(t *testing.T) {
	var q squeeze
	tries := 0
	for range 2048 {
		if q.next() {
			tries++
			q.tried(5, false)
		}
	}
	require.Equal(t, 9, tries)
	q = squeeze{}
	require.True(t, q.next())
	q.tried(5, true)
	require.True(t, q.next())
	q.tried(5, false)
	require.False(t, q.next(), "also within a group")
	q.again()
	require.True(t, q.next())
}

func TestGaugePays(t *testing.T) {
	const mega = 1e6
	measured := gauge{prepare: 1 / (2000 * mega), compress: 1 / (400 * mega)} // 333 MB/s in all
	for _, c := range []struct {
		name  string
		g     gauge
		ratio float64
		r     route
		want  bool
	}{
		{"a slow link", measured, 5, route{rate: 12 * mega, hands: 1}, true},
		{"a slow link, little to gain", measured, 1.04, route{rate: 12 * mega, hands: 1}, false},
		{"a link that one worker feeds", measured, 5, route{rate: 300 * mega, hands: 1}, true},
		{"a link that one worker does not feed", measured, 5, route{rate: 330 * mega, hands: 1}, false},
		{"a link that two workers feed", measured, 5, route{rate: 600 * mega, hands: 2}, true},
		{"a storage that is slower than the link", measured, 5, route{rate: 12 * mega, hands: 1, drain: 11 * mega}, false},
		{"a storage that is little faster than the link", measured, 5, route{rate: 12 * mega, hands: 1, drain: 20 * mega}, true},
		{"a source that is slower than the link", gauge{prepare: 1 / (10 * mega), compress: 1 / (400 * mega)}, 5, route{rate: 12 * mega, hands: 1}, false},
		{"nothing measured yet", gauge{}, 5, route{rate: 12 * mega, hands: 1}, true},
		{"no limit known", measured, 5, route{hands: 1}, false},
	} {
		require.Equal(t, c.want, c.g.pays(c.ratio, c.r), c.name)
	}
}

// Where compression and not the link is the limit, soundings follow, ever more seldom.
func TestGaugeSoundings(t *testing.T) {
	var g gauge
	now := time.Unix(1, 0)
	const rtt = 20 * time.Millisecond
	for range 100 {
		g.spent(1000, time.Millisecond, time.Millisecond, 8*time.Millisecond)
	}
	require.False(t, g.sounding(now, rtt), "the transport lets us wait: its rate is used")
	require.InDelta(t, 0.2, g.busy, 0.01)
	for range 100 {
		g.spent(1000, time.Millisecond, time.Millisecond, 0)
	}
	var sounded time.Duration
	var begins []time.Duration
	was := false
	const step = 10 * time.Millisecond
	for at := time.Duration(0); at < 60*time.Second; at += step {
		is := g.sounding(now.Add(at), rtt)
		if is {
			sounded += step
		}
		if is && !was {
			begins = append(begins, at)
		}
		was = is
	}
	require.Equal(t, 160*time.Millisecond, begins[0])
	require.Equal(t, 80*time.Millisecond+4*80*time.Millisecond, begins[1]-begins[0])
	require.LessOrEqual(t, sounded, 1200*time.Millisecond, "2 % of a minute")
	for range 100 {
		g.spent(1000, time.Millisecond, time.Millisecond, 8*time.Millisecond)
	}
	require.False(t, g.sounding(now.Add(time.Hour), rtt), "the link is the limit again")
	g.spent(1000, 0, 0, time.Second)
	require.InDelta(t, 1e-6, g.compress, 1e-9, "what was not compressed says nothing of that")
}
