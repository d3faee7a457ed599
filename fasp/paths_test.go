package fasp

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

func TestPaths(t *testing.T) {
	var p Paths
	host, now := netip.MustParseAddr("192.0.2.1"), time.Now()
	require.Zero(t, p.enter(host, 100*time.Millisecond, now))
	p.leave(host)
	p.note(host, 300*Mbps, 90*time.Millisecond, now)
	for _, c := range []struct {
		age, handshake time.Duration
		want           knownPath
	}{
		{0, 100 * time.Millisecond, knownPath{300 * Mbps, 90 * time.Millisecond, true}},
		{time.Minute, 100 * time.Millisecond, knownPath{300 * Mbps, 0, true}},
		{time.Hour, 100 * time.Millisecond, knownPath{300 * Mbps, 0, false}},
		{25 * time.Hour, 100 * time.Millisecond, knownPath{}},
		{-time.Second, 100 * time.Millisecond, knownPath{}}, // a clock that was set back
		{time.Minute, 400 * time.Millisecond, knownPath{}},  // another path
		{time.Minute, 40 * time.Millisecond, knownPath{}},
	} {
		require.Equal(t, c.want, p.enter(netip.AddrFrom16(host.As16()), c.handshake, now.Add(c.age)), "%+v", c)
		c.want.fresh = false
		require.Equal(t, c.want, p.enter(host, c.handshake, now.Add(c.age)), "another session runs: %+v", c)
		p.leave(host)
		p.leave(netip.AddrFrom16(host.As16()))
	}
	require.Empty(t, p.running)
	for i := range 2 * maxPaths {
		p.note(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Mbps, time.Second, now.Add(time.Duration(i)*time.Second))
	}
	require.Len(t, p.m, maxPaths)

	var q Paths
	require.Error(t, json.Unmarshal([]byte(`[]`), &q))
	require.NoError(t, json.Unmarshal([]byte(`{"192.0.2.1":{"rate":-5,"rtt_ns":1},"192.0.2.2":{"rate":5000000000000000,"rtt_ns":1},"192.0.2.3":{"rate":5000000,"rtt_ns":1000,"seen":"2026-01-02T03:04:05Z"}}`), &q))
	require.Len(t, q.m, 1)
}

// FuzzPaths: whatever a file says, what is read back is the same as what was written.
func FuzzPaths(f *testing.F) {
	f.Add([]byte(`{"192.0.2.3":{"rate":5000000,"rtt_ns":1000,"seen":"2026-01-02T03:04:05Z"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, q Paths
		if json.Unmarshal(b, &p) != nil {
			return
		}
		text, err := json.Marshal(&p)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &q); err != nil || len(p.m) != len(q.m) {
			t.Fatal(err, len(p.m), len(q.m))
		}
	})
}

// A second session on a path starts where the first one was, and is done sooner.
func TestWarmStart(t *testing.T) {
	took := map[bool]time.Duration{}
	for _, warm := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := testConfig()
			cfg.Rates = Rates{}
			w := newWorld(t, simnet.Impair{Rate: 20e6, Delay: 150 * time.Millisecond}, Config{}, cfg)
			c, s := w.connect()
			exchange(t, c, s, 6<<20, 100_000)
			if warm {
				c.Close(CodeDone, "")
				time.Sleep(time.Second)
				c, s = w.connect()
			}
			start := time.Now()
			if !warm {
				w.close()
				w = newWorld(t, simnet.Impair{Rate: 20e6, Delay: 150 * time.Millisecond}, Config{}, cfg)
				c, s = w.connect()
				start = time.Now()
			}
			exchange(t, c, s, 1<<20, 100_000)
			took[warm] = time.Since(start)
			w.close()
		})
	}
	t.Log(fmt.Sprint(took))
	require.Less(t, took[true], took[false]-200*time.Millisecond)
}
