package core

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/wire"
)

// ecnScript plays a sender whose packets are numbered from 0, and what its peer counts.
type ecnScript struct {
	*testing.T
	e    ecn
	next uint64
	now  time.Duration
	n    wire.ECN
}

func newECNScript(t *testing.T) *ecnScript {
	s := &ecnScript{T: t, e: ecn{state: ECNTesting}, now: time.Second}
	s.e.begin(0)
	return s
}

// send sends n packets and returns how many of them were marked.
func (s *ecnScript) send(n int) (marked int) {
	for range n {
		if s.e.mark() {
			marked++
		}
		s.next++
	}
	return marked
}

// report brings a report of the numbers up to before hi, whose marked ones arrived, and the peer's counts.
func (s *ecnScript) report(acked int) ECNState {
	for range acked {
		s.e.onAcked(s.next - 1)
	}
	s.e.onCounts(s.n)
	s.e.validate(s.now, s.next)
	return s.e.state
}

func TestECNStates(t *testing.T) {
	t.Run("capable", func(t *testing.T) {
		s := newECNScript(t)
		require.Equal(t, 10, s.send(30), "a test is of ten packets")
		s.n.ECT0 = 4
		require.Equal(t, ECNCapable, s.report(4))
		require.Equal(t, 30, s.send(30))
		s.n.ECT0, s.n.CE = 30, 5
		require.Equal(t, ECNCapable, s.report(31))
		s.n = wire.ECN{ECT0: 3}
		require.Equal(t, ECNCapable, s.report(0), "an older frame says nothing")
	})
	t.Run("counts nothing", func(t *testing.T) {
		s := newECNScript(t)
		s.send(5)
		require.Equal(t, ECNFailed, s.report(5))
		require.Zero(t, s.send(10))
	})
	t.Run("clears some", func(t *testing.T) {
		s := newECNScript(t)
		s.send(10)
		s.n.ECT0 = 9
		require.Equal(t, ECNFailed, s.report(10))
	})
	t.Run("remarks", func(t *testing.T) {
		s := newECNScript(t)
		s.send(10)
		s.n = wire.ECN{ECT0: 9, ECT1: 1}
		require.Equal(t, ECNFailed, s.report(9))
	})
	t.Run("makes up", func(t *testing.T) {
		s := newECNScript(t)
		s.send(10)
		s.n.ECT0 = 11
		require.Equal(t, ECNFailed, s.report(10))
	})
	t.Run("shrinks", func(t *testing.T) {
		s := newECNScript(t)
		s.send(10)
		s.n = wire.ECN{ECT0: 2, CE: 3}
		require.Equal(t, ECNCapable, s.report(5))
		s.n = wire.ECN{ECT0: 5, CE: 2}
		require.Equal(t, ECNFailed, s.report(0))
	})
	t.Run("loses all, and is tested again", func(t *testing.T) {
		s := newECNScript(t)
		s.send(30)
		for pn := range uint64(9) {
			s.e.onLost(pn)
		}
		require.Equal(t, ECNTesting, s.report(0))
		s.e.onLost(9)
		require.Equal(t, ECNFailed, s.report(0))
		s.now += 999 * ms
		require.Equal(t, ECNFailed, s.report(0))
		s.now += ms
		require.Equal(t, ECNTesting, s.report(0))
		require.Equal(t, 10, s.send(30))
		for pn := range uint64(10) {
			s.e.onLost(30 + pn)
		}
		require.Equal(t, ECNFailed, s.report(0))
		s.now += 1999 * ms
		require.Equal(t, ECNFailed, s.report(0), "waits twice as long")
		s.now += ms
		require.Equal(t, ECNTesting, s.report(0))
	})
	t.Run("says CE of all", func(t *testing.T) {
		s := newECNScript(t)
		s.send(10)
		s.n.CE = 10
		require.Equal(t, ECNCapable, s.report(10))
		s.send(200)
		s.n.CE = 210
		s.now += 14 * time.Second
		require.Equal(t, ECNCapable, s.report(200))
		s.now += 2 * time.Second
		require.Equal(t, ECNFailed, s.report(0))
	})
	t.Run("another path", func(t *testing.T) {
		s := newECNScript(t)
		s.send(10)
		require.Equal(t, ECNFailed, s.report(10))
		s.e.begin(s.next)
		require.Equal(t, 10, s.send(12))
		s.e.onAcked(3) // of the path before
		s.n.ECT0 = 6
		require.Equal(t, ECNCapable, s.report(6))
	})
	t.Run("off", func(t *testing.T) {
		s := newECNScript(t)
		s.e = ecn{}
		s.e.begin(0)
		require.Zero(t, s.send(10))
		s.n.CE = 5
		require.Equal(t, ECNOff, s.report(0))
	})
}

// counts returns the ECN frame of a packet, if it has one, and whether a REPORT comes behind it.
func counts(t *testing.T, frames []byte) (n wire.ECN, ok, report bool) {
	t.Helper()
	var f wire.Frame
	for r := wire.NewReader(frames); r.Len() > 0; {
		require.NoError(t, wire.ReadFrame(&r, &f))
		switch f.Type {
		case wire.FrameECN:
			var err error
			n, err = wire.ParseECN(f.Data)
			require.NoError(t, err)
			ok = true
		case wire.FrameReport:
			report = true
		}
	}
	return n, ok, report
}

// The receiver's counts go with every report until one that has them is echoed.
func TestECNFrames(t *testing.T) {
	s := newScript(t, func(c *Config) { c.ECN = true })
	s.step("two packets arrive, one with CE")
	s.c.Mark(wire.ECT0)
	require.NoError(t, s.c.OnFrames(s.now, 0, 0, []byte{wire.FramePing}, 57, nil))
	s.c.Mark(wire.CE)
	require.NoError(t, s.c.OnFrames(s.now, 1, 0, []byte{wire.FramePing}, 57, nil))
	report := func(want wire.ECN, wanted bool) {
		t.Helper()
		s.fresh = s.fresh[:0]
		for range 1000 {
			s.now += ms
			s.send()
			for _, p := range s.fresh {
				if n, ok, report := counts(t, p.Frames); report {
					require.Equal(t, wanted, ok)
					require.Equal(t, want, n)
					require.False(t, p.ECT, "reports are not marked")
					return
				}
			}
		}
		t.Fatal("no report")
	}
	report(wire.ECN{ECT0: 1, CE: 1}, true)
	s.step("an unmarked one does not change them, and the report before was not echoed")
	require.NoError(t, s.c.OnFrames(s.now, 2, 0, []byte{wire.FramePing}, 57, nil))
	report(wire.ECN{ECT0: 1, CE: 1}, true)
	s.step("the first report is echoed")
	require.NoError(t, s.c.OnFrames(s.now, 3, 1, []byte{wire.FramePing}, 57, nil))
	report(wire.ECN{}, false)
	s.step("a duplicate and a replay do not count, a new one does")
	s.c.Mark(wire.CE)
	require.NoError(t, s.c.OnFrames(s.now, 3, 1, []byte{wire.FramePing}, 57, nil))
	s.c.Mark(wire.ECT0)
	require.NoError(t, s.c.OnFrames(s.now, 4, 1, []byte{wire.FramePing}, 57, nil))
	report(wire.ECN{ECT0: 2, CE: 1}, true)
}

// What is not agreed on is neither sent nor taken.
func TestECNOff(t *testing.T) {
	s := newScript(t, nil)
	s.c.AddBlock(s.now, 5000, 0, nil)
	s.now += 100 * ms
	s.send()
	for _, p := range s.fresh {
		require.False(t, p.ECT)
	}
	s.c.Mark(wire.CE)
	require.NoError(t, s.c.OnFrames(s.now, 0, 0, wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameECN, Data: []byte{1, 2}}), 57, nil), "an unknown extension is skipped")
	require.Zero(t, s.c.Stats.Marked)
	_, ok, _ := counts(t, s.c.LastReport(s.now))
	require.False(t, ok)
	s = newScript(t, func(c *Config) { c.ECN = true })
	var p *ProtocolError
	require.ErrorAs(t, s.c.OnFrames(s.now, 0, 0, wire.AppendFrame(nil, &wire.Frame{Type: wire.FrameECN, Data: []byte{1, 2}}), 57, nil), &p)
}
