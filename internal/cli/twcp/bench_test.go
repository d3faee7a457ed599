package twcp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
)

func TestLimitOf(t *testing.T) {
	for name, c := range map[string]struct {
		m       measured
		st      fasp.Stats
		rateCap fasp.Rate
		rates   fasp.Rates
		want    string
	}{
		"target":           {measured{Seconds: 10, Wire: 98e6, CPU: 1}, fasp.Stats{Rate: 100e6}, 0, fasp.Rates{Target: 100e6}, "target"},
		"download, target": {measured{Seconds: 10, Goodput: 95e6, CPU: 1}, fasp.Stats{}, 0, fasp.Rates{Target: 100e6}, "target"},
		"grant":            {measured{Seconds: 10, Wire: 49e6, CPU: 1}, fasp.Stats{Rate: 50e6, Granted: 50e6}, 0, fasp.Rates{}, "grant"},
		"download, grant":  {measured{Seconds: 10, Goodput: 47e6, CPU: 1}, fasp.Stats{}, 50e6, fasp.Rates{}, "grant"},
		"cpu":              {measured{Seconds: 10, Wire: 5e9, CPU: 19}, fasp.Stats{Rate: 9e9}, 0, fasp.Rates{}, "cpu"},
		"one core":         {measured{Seconds: 10, Wire: 5e9, CPU: 11}, fasp.Stats{Rate: 9e9}, 0, fasp.Rates{}, "cpu"},
		"node":             {measured{Seconds: 10, Wire: 1e9, CPU: 3}, fasp.Stats{Rate: 2e9, CreditWaits: 90}, 0, fasp.Rates{}, "peer"},
		"network":          {measured{Seconds: 10, Wire: 290e6, Loss: 0.1, CPU: 2}, fasp.Stats{Rate: 300e6, RTT: 103 * time.Millisecond, MinRTT: 100 * time.Millisecond}, 0, fasp.Rates{}, "network"},
		"download":         {measured{Seconds: 10, Goodput: 95e6, CPU: 2}, fasp.Stats{}, 0, fasp.Rates{}, "network"},
		"download, busy":   {measured{Seconds: 10, Goodput: 5e9, CPU: 12}, fasp.Stats{}, 0, fasp.Rates{}, "unknown"},
	} {
		got, because := limitOf(&c.m, &c.st, c.rateCap, c.rates, 2)
		require.Equal(t, c.want, got, name)
		require.NotEmpty(t, because)
		require.Contains(t, limitText, got)
	}
}
