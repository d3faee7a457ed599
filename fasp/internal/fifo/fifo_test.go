package fifo

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPush(t *testing.T) {
	var s []int
	next := 0
	allocs := testing.AllocsPerRun(1000, func() {
		s = Push(s, next+2)
		if len(s) > 2 {
			if s[0]-2 != next {
				panic("out of order")
			}
			s = s[1:]
			next++
		}
	})
	require.Less(t, allocs, 0.1)
	s = nil
	for i := range 1000 {
		s = Push(s, i)
		require.Equal(t, i, s[i])
	}
}
