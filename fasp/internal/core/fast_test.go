package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// On a path so fast that trains are over before their time can be taken, a session that begins at a low rate comes away from it.
func TestLowRateOnAVeryFastPath(t *testing.T) {
	for _, link := range []float64{10e9, 0} {
		i := simnet.Impair{Rate: link, Delay: 20 * ms}
		s := newSim(1, Config{Rates: Rates{Policy: Fair, Target: 30_000_000}, KnownRate: 64_000, Parity: true}, i, i)
		s.a.left = -1
		begin := s.now
		require.NoError(t, s.run(begin+2*time.Minute, func() bool { return s.a.Rate() >= 30_000_000 }))
		require.Less(t, s.now-begin, 40*time.Second, "%g bit/s", link)
	}
}
