package vlab

import (
	"slices"
	"time"
)

// Series is what a flow delivered, in equal bins.
type Series struct {
	Bin   time.Duration
	Bytes []int64 // new in each bin
}

// Watch measures how a counter of bytes grows, from now on.
func (w *World) Watch(bin time.Duration, count func() int64) *Series {
	s := &Series{Bin: bin}
	last := count()
	w.Every(w.Now+bin, bin, func() {
		n := count()
		s.Bytes = append(s.Bytes, n-last)
		last = n
	})
	return s
}

// Rate returns the average in bit/s over the bins that begin in [from, to), both counted from the series' beginning.
func (s *Series) Rate(from, to time.Duration) float64 {
	i, j := int(from/s.Bin), min(int(to/s.Bin), len(s.Bytes))
	if i >= j {
		return 0
	}
	sum := int64(0)
	for _, n := range s.Bytes[i:j] {
		sum += n
	}
	return float64(sum) * 8 / (time.Duration(j-i) * s.Bin).Seconds()
}

// Reached returns when the rate first reached the given one, as the end of the first of `over` bins whose average does; 0 = never.
func (s *Series) Reached(rate float64, over int) time.Duration {
	for i := 0; i+over <= len(s.Bytes); i++ {
		if s.Rate(time.Duration(i)*s.Bin, time.Duration(i+over)*s.Bin) >= rate {
			return time.Duration(i+1) * s.Bin
		}
	}
	return 0
}

// Jain returns Jain's index of fairness: 1 = all equal, 1/n = one has all.
func Jain(rates ...float64) float64 {
	sum, squares := 0.0, 0.0
	for _, r := range rates {
		sum += r
		squares += r * r
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(rates)) * squares)
}

// Samples collects durations, such as queues.
type Samples []time.Duration

// WatchQueue notes the queue of the forward bottleneck at equal distances, from now on.
func (w *World) WatchQueue(dt time.Duration) *Samples {
	var s Samples
	w.Every(w.Now+dt, dt, func() { s = append(s, w.Queue()) })
	return &s
}

// Quantile returns the q-quantile, 0 if there is none.
func (s Samples) Quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	t := slices.Sorted(slices.Values(s))
	return t[min(int(q*float64(len(t))), len(t)-1)]
}

// Above returns for how long the samples, which are dt apart, were above the limit.
func (s Samples) Above(limit, dt time.Duration) time.Duration {
	n := 0
	for _, v := range s {
		if v > limit {
			n++
		}
	}
	return time.Duration(n) * dt
}
