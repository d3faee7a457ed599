package core

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A receiver that gets nothing itself, because the packets go to somebody else, cannot keep the sender going by reports of what it can only
// guess: it knows neither which numbers are left out nor how many were sent.
func TestLyingReceiverFloodsNobody(t *testing.T) {
	for _, c := range []struct {
		name  string
		share uint64 // one number in so many is said to have arrived
		most  uint64 // packets that the victim gets at most
	}{
		{"says that all arrived", 1, 400},
		{"says that one in four arrived", 4, 2000},
	} {
		t.Run(c.name, func(t *testing.T) {
			worst := uint64(0)
			for seed := range uint64(50) {
				s := newScript(t, func(cfg *Config) {
					cfg.Seed = seed
					cfg.Rates = Rates{Policy: Fair, Target: 1e9}
					cfg.PeerCredit = 1 << 40
				})
				for range 128 {
					s.c.AddBlock(s.now, 1<<19, 0, nil)
				}
				var err error
				for range 1000 { // 10 s
					s.wait(10 * ms)
					// The best guess there is: a clock, and the rate that it wants. Here it is told what was sent.
					if err = s.reportWith(s.highest(), func(n uint64) bool { return n%c.share == 0 }, nil); err != nil {
						break
					}
				}
				if c.share == 1 {
					require.Error(t, err, "seed %d", seed)
				}
				worst = max(worst, s.c.Stats.PacketsOut)
			}
			t.Logf("the victim got at most %d packets", worst)
			require.LessOrEqual(t, worst, c.most)
		})
	}
}
