package fifo

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPush(t *testing.T) {
	s := Push(Push([]int(nil), 0), 1)
	last := 1
	allocs := testing.AllocsPerRun(1000, func() {
		last++
		s = Push(s, last)
		if s[0] != last-2 {
			panic("out of order")
		}
		s = s[1:]
	})
	require.Less(t, allocs, 0.1)
	s = nil
	for i := range 1000 {
		s = Push(s, i)
		require.Equal(t, i, s[i])
	}
}
