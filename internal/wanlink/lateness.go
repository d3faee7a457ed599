package wanlink

import (
	"math/bits"
	"time"
)

// lateness is a histogram of durations with about 6 % resolution from 1 us to hours. The zero value is empty.
type lateness struct {
	count [40 * 16]int64
	total int64
	late  int64
	max   time.Duration
}

func (h *lateness) add(d time.Duration, n int) {
	d = max(d, 0)
	h.count[bucket(d)] += int64(n)
	h.total += int64(n)
	h.max = max(h.max, d)
	if d > LateAfter {
		h.late += int64(n)
	}
}

// quantile returns the upper end of the bucket that holds the q-quantile, 0 when empty.
func (h *lateness) quantile(q float64) time.Duration {
	want := int64(q * float64(h.total))
	for i, n := range h.count {
		if want -= n; want < 0 {
			return min(bucketEnd(i), h.max)
		}
	}
	return h.max
}

// bucket returns d's place: the first 16 buckets are 1 us wide, then 16 for each doubling.
func bucket(d time.Duration) int {
	us := uint64(d / time.Microsecond)
	exp := max(bits.Len64(us)-5, 0)
	return min(exp*16+int(us>>exp), 40*16-1)
}

func bucketEnd(i int) time.Duration {
	exp := max(i/16-1, 0)
	us := uint64(i-exp*16+1) << exp
	return time.Duration(us) * time.Microsecond
}
