package fasp

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// bondPair returns two bonds of n sessions in memory, and the sessions of the first.
func bondPair(t *testing.T, n int) (a, b *Bond, of []Session) {
	t.Helper()
	x, y := Pipe()
	a, b, of = NewBond(x), NewBond(y), []Session{x}
	for range n - 1 {
		x, y := Pipe()
		require.NoError(t, a.Add(x))
		require.NoError(t, b.Add(y))
		of = append(of, x)
	}
	return a, b, of
}

func TestBondCarriesBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, of := bondPair(t, 3)
		a.SetRates(Rates{Policy: Fixed, Target: 300 * Mbps})
		const n, size = 300, 100_000
		go func() {
			for i := range n {
				blk, err := a.NewBlock(t.Context(), size)
				if err != nil {
					return
				}
				blk.Data[0], blk.Data[1] = byte(i), byte(i>>8)
				if a.SendBlock(t.Context(), blk) != nil {
					return
				}
			}
		}()
		require.NoError(t, a.SendMessage(t.Context(), []byte("hello")))
		msg, err := b.ReceiveMessage(t.Context())
		require.NoError(t, err)
		require.Equal(t, "hello", string(msg))
		seen := map[int]bool{}
		begin := time.Now()
		for range n {
			blk, err := b.ReceiveBlock(t.Context())
			require.NoError(t, err)
			i := int(blk.Data[0]) | int(blk.Data[1])<<8
			require.False(t, seen[i])
			seen[i] = true
			blk.Release()
		}
		took := time.Since(begin).Seconds()
		require.InDelta(t, 300e6, n*size*8/took, 30e6, "the rate is of all together")
		require.NoError(t, a.Drained(t.Context()))
		for i, s := range of {
			require.InDelta(t, n/3, s.Stats().BlocksSent, n/8, "session %d", i)
		}
		require.EqualValues(t, n, a.Stats().BlocksSent)
		for _, m := range a.members {
			require.Zero(t, m.load)
		}
		require.NoError(t, a.Close(CodeDone, ""))
		_, err = b.ReceiveBlock(t.Context())
		var peer *PeerError
		require.ErrorAs(t, err, &peer)
		require.Equal(t, CodeDone, peer.Code)
		require.NoError(t, b.Close(CodeDone, ""))
	})
}

// What is asked of a bond holds for sessions that are added later.
func TestBondDivides(t *testing.T) {
	a, b, of := bondPair(t, 1)
	defer b.Close(CodeDone, "")
	defer a.Close(CodeDone, "")
	a.SetRates(Rates{Policy: High, Target: 90, Min: 9})
	a.SetGrant(60)
	a.SetDrain(30)
	a.SetExtents(7)
	for range 2 {
		x, y := Pipe()
		require.NoError(t, a.Add(x))
		require.NoError(t, b.Add(y))
		of = append(of, x)
	}
	for _, s := range of {
		p := s.(*pipeEnd)
		require.Equal(t, Rates{Policy: High, Target: 30, Min: 3}, p.rates)
		require.EqualValues(t, 20, p.grant)
		require.EqualValues(t, 10, p.drain)
		require.GreaterOrEqual(t, p.extents, uint64(7))
	}
	a.SetRates(Rates{Policy: Fair})
	require.Equal(t, Rates{Policy: Fair}, of[2].(*pipeEnd).rates, "no target stays none")
}

// TestBondEndsWithASession: whichever is lost, everything that waits ends with the reason, at both ends.
func TestBondEndsWithASession(t *testing.T) {
	for lost := range 3 {
		synctest.Test(t, func(t *testing.T) {
			a, b, of := bondPair(t, 3)
			errs := make(chan error, 4)
			go func() { _, err := a.ReceiveMessage(t.Context()); errs <- err }()
			go func() { _, err := a.ReceiveBlock(t.Context()); errs <- err }()
			go func() { _, err := b.ReceiveMessage(t.Context()); errs <- err }()
			go func() { _, err := b.ReceiveBlock(t.Context()); errs <- err }()
			synctest.Wait()
			require.NoError(t, of[lost].Close(CodeInternal, "gone"))
			for range 4 {
				require.Error(t, <-errs)
			}
			<-a.Done()
			<-b.Done()
			require.Error(t, a.Add(of[0]), "nothing joins what has ended")
			_, err := a.NewBlock(t.Context(), 10)
			require.Error(t, err)
			require.NoError(t, a.Close(CodeDone, ""))
			require.NoError(t, b.Close(CodeDone, ""))
		})
	}
}

func TestBondIsBounded(t *testing.T) {
	a, b, _ := bondPair(t, MaxBond)
	x, y := Pipe()
	require.Error(t, a.Add(x))
	for _, s := range []Session{a, b, x, y} {
		require.NoError(t, s.Close(CodeDone, ""))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := a.ReceiveBlock(ctx)
	require.Error(t, err)
}

// What a bond is asked for and then is not any more goes to its sessions, too, and what it leases need not be released by anybody else.
func TestBondPassesOn(t *testing.T) {
	s := &plainSession{}
	b := NewBond(s)
	b.SetDrain(5 * Mbps)
	require.Equal(t, 5*Mbps, s.drain)
	b.SetDrain(0)
	require.Zero(t, s.drain)
	blk, err := b.NewBlock(t.Context(), 10)
	require.NoError(t, err)
	blk.Release()
	require.NoError(t, b.Close(CodeDone, ""))
}

// plainSession is a Session that does nothing.
type plainSession struct {
	Session
	drain Rate
}

func (s *plainSession) SetDrain(r Rate) { s.drain = r }

func (s *plainSession) NewBlock(_ context.Context, n int) (*Block, error) {
	return NewBlock(make([]byte, n), nil), nil
}

func (s *plainSession) ReceiveBlock(ctx context.Context) (*Block, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (s *plainSession) Close(Code, string) error { return nil }

// The peer ends all sessions at once. Whichever close is heard first, what it said on the lead before is heard, and the end is a good one.
func TestBondHearsTheLeadOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, leadPeer := Pipe()
		y, otherPeer := Pipe()
		b := NewBond(x)
		require.NoError(t, b.Add(y))
		require.NoError(t, otherPeer.Close(CodeDone, ""))
		time.Sleep(time.Second) // virtual
		require.NoError(t, leadPeer.SendMessage(t.Context(), []byte("all is there")))
		msg, err := b.ReceiveMessage(t.Context())
		require.NoError(t, err)
		require.Equal(t, "all is there", string(msg))
		require.NoError(t, leadPeer.Close(CodeDone, ""))
		_, err = b.ReceiveMessage(t.Context())
		var peer *PeerError
		require.ErrorAs(t, err, &peer)
		require.Equal(t, CodeDone, peer.Code)
		require.NoError(t, b.Close(CodeDone, ""))
	})
}

// A session that ends well while the lead goes on is one that was lost.
func TestBondMissesASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, _ := Pipe()
		y, peer := Pipe()
		b := NewBond(x)
		require.NoError(t, b.Add(y))
		begin := time.Now()
		require.NoError(t, peer.Close(CodeDone, ""))
		_, err := b.ReceiveMessage(t.Context())
		require.Error(t, err)
		require.Equal(t, endTime, time.Since(begin))
		require.NoError(t, b.Close(CodeDone, ""))
	})
}
