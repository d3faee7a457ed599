package fasp

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/udp"
)

// host is an endpoint of a machine that moves so much and no more, with sessions that want to move more.
type host struct {
	o        overload
	now      time.Duration
	capacity float64 // bit/s
	queue    float64 // bits
	level    int64
	meters   []loadMeter
	rates    []float64 // that sessions had in the last interval
	wants    []float64
}

// interval lets 50 ms pass, in which the sessions that come first take what they can get: no law shares anything here.
func (h *host) interval() {
	const dt = overloadInterval
	h.rates = h.rates[:0]
	sum := 0.0
	for _, w := range h.wants {
		r := min(w, float64(h.level))
		h.rates = append(h.rates, r)
		sum += r
	}
	h.queue = max(0, h.queue+(sum-h.capacity)*dt.Seconds())
	const room = 30e6 // bits
	lost := max(0, h.queue-room)
	h.queue -= lost
	done := min(1, h.capacity/sum)
	h.now += dt
	h.o.read([]udp.Train{{Age: time.Duration(h.queue / h.capacity * 1e9)}}, 0)
	h.o.lost = int(lost / 8)
	h.o.busy = 1
	h.level = h.o.step(h.now, 0, func(list []int64, _ time.Duration) ([]int64, int64) {
		total := int64(0)
		for i, r := range h.rates {
			list = append(list, h.meters[i].next(int64(r*done)))
			total += int64(r * done)
		}
		return list, total + int64(lost/dt.Seconds())
	})
}

func TestOverloadSharesEvenly(t *testing.T) {
	for _, wants := range [][]float64{{9e9, 9e9}, {1e9, 9e9, 9e9, 2e9, 3e9}, {1e6, 20e6, 9e9, 9e9}} {
		h := &host{capacity: 1e9, level: noLevel, wants: wants, meters: make([]loadMeter, len(wants))}
		var used, worst float64
		for i := range 400 {
			h.interval()
			if i < 200 {
				continue
			}
			sum := 0.0
			for j, r := range h.rates {
				sum += r
				require.InDelta(t, min(wants[j], float64(h.level)), r, 1e8)
			}
			used += min(sum, h.capacity) / h.capacity / 200
			worst = max(worst, h.queue/h.capacity)
		}
		require.Greater(t, used, 0.8, "%v", wants)
		require.Less(t, worst, 0.031, "seconds of queue: %v", wants)
	}
}

// One session is left alone, whatever waits or is lost; of two, losses count, and waits while it is this process that takes the processors.
func TestOverloadHeeds(t *testing.T) {
	of := func(n int) func([]int64, time.Duration) ([]int64, int64) {
		return func(list []int64, _ time.Duration) ([]int64, int64) {
			for range n {
				list = append(list, 1e9)
			}
			return list, int64(n) * 1e9
		}
	}
	interval := func(o *overload, n, kept int, age time.Duration, drops uint64) int64 {
		o.read([]udp.Train{{Age: age}}, kept)
		return o.step(o.begin+overloadInterval, drops, of(n))
	}
	var one, idle, busy, lossy overload
	one.busy, busy.busy = 1, 1
	for i := range 100 {
		require.EqualValues(t, noLevel, interval(&one, 1, 50, 20*time.Millisecond, uint64(i)))
		require.EqualValues(t, noLevel, interval(&idle, 2, 50, 20*time.Millisecond, 0))
		require.EqualValues(t, noLevel, interval(&lossy, 2, 0, 0, 0))
	}
	require.EqualValues(t, 1_000_000_000-1_000_000_000/12, interval(&busy, 2, 50, 0, 0), "they wait for sessions")
	require.EqualValues(t, 1_000_000_000-1_000_000_000/12, interval(&lossy, 2, 0, 0, 7), "the socket has dropped something")
	lossy.read([]udp.Train{{}}, 0)
	require.EqualValues(t, noLevel, lossy.step(lossy.begin+5*overloadInterval, 7, of(2)), "a pause ends it")
}

// Whoever makes the socket drop something in every interval takes no more than half away.
func TestOverloadByStrangers(t *testing.T) {
	o := overload{}
	rate := int64(1e9)
	least := rate
	for i := range 5000 {
		o.read([]udp.Train{{}}, 0)
		level := o.step(o.begin+overloadInterval, uint64(i/100), func(list []int64, _ time.Duration) ([]int64, int64) { return append(list, rate, rate), 2 * rate })
		if i >= 100 {
			level = o.step(o.begin+overloadInterval, uint64(i), func(list []int64, _ time.Duration) ([]int64, int64) { return append(list, rate, rate), 2 * rate })
		}
		rate = min(rate, level)
		least = min(least, rate)
	}
	require.Greater(t, least, int64(0.45e9))
	require.Less(t, least, int64(0.95e9))
}

func TestEvenLevel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		rates := make([]int64, 1+rng.IntN(60))
		sum := int64(0)
		for i := range rates {
			rates[i] = rng.Int64N(1e9)
			sum += rates[i]
		}
		limit := 1 + rng.Int64N(2*sum+1)
		level := evenLevel(append([]int64(nil), rates...), limit)
		used := int64(0)
		for _, r := range rates {
			used += min(r, level)
		}
		if sum >= limit {
			require.InDelta(t, limit, used, float64(len(rates)), "all of the limit, and no more")
		} else {
			require.Equal(t, sum, used, "nobody is held back")
		}
	}
}
