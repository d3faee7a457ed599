package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// stepped is a bench whose clock on the wall is set at will, while the running time goes on.
type stepped struct {
	*bench
	offset atomic.Int64
	key    accesskey.Grant

	dials   []time.Time // by the running time
	failing int         // how many of the next dials fail
	hold    chan struct{}
	left    int // destinations
}

func (s *stepped) wall() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

// set sets the clock on the wall forward or back.
func (s *stepped) set(d time.Duration) { s.offset.Add(int64(d)) }

func newStepped(t *testing.T) *stepped {
	s := &stepped{}
	s.bench = newBenchWith(t, nil, s.wall)
	s.stop()
	s.cfg.RetryWait = 10 * time.Second
	s.start()
	k, err := s.keys.Key(t.Context(), "anna")
	require.NoError(t, err)
	k.Created = s.wall()
	require.NoError(t, s.keys.Put(t.Context(), k))
	s.key = anna
	s.key.Created = k.Created
	s.bench.dial = func(ctx context.Context, _ Remote) error {
		s.mu.Lock()
		s.dials = append(s.dials, time.Now())
		s.failing--
		fails, hold := s.failing >= 0, s.hold
		s.mu.Unlock()
		if fails {
			return &transfer.Error{Code: transfer.CodeConnectionError, Err: errors.New("no route")}
		}
		if hold != nil {
			select {
			case <-hold:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}
	s.write("local/anna/f", 1000)
	return s
}

// make makes a job whose first tries fail.
func (s *stepped) make(failing int) string {
	s.t.Helper()
	s.mu.Lock()
	s.failing, s.dials = failing, nil
	s.mu.Unlock()
	s.left++
	x, err := s.m.Create(s.t.Context(), s.key, spec(map[string]any{"destination_root": fmt.Sprint("/in", s.left, "/")}))
	require.NoError(s.t, err)
	return x.ID
}

// tried waits until so many dials were made.
func (s *stepped) tried(n int) {
	s.t.Helper()
	for range 6000 {
		s.mu.Lock()
		have := len(s.dials)
		s.mu.Unlock()
		if have >= n {
			synctest.Wait()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.t.Fatalf("%d dials were made, not %d", len(s.dials), n)
}

// get is the job as its key sees it.
func (s *stepped) get(id string) api.Transfer {
	s.t.Helper()
	x, err := s.m.Get(s.t.Context(), s.key, id, 0)
	require.NoError(s.t, err)
	require.GreaterOrEqual(s.t, x.Elapsed, int64(0))
	require.GreaterOrEqual(s.t, x.AvgRateKbps, int64(0))
	return x
}

// within waits until a job is as wanted, for so long by the running time.
func (s *stepped) within(d time.Duration, id string, want api.TransferStatus) api.Transfer {
	s.t.Helper()
	for end := time.Now().Add(d); ; time.Sleep(100 * time.Millisecond) {
		x := s.get(id)
		if x.Status == want {
			return x
		}
		if time.Now().After(end) {
			s.t.Fatalf("after %v the job is still %+v", d, x)
		}
	}
}

// waits says how long it took from one dial to the next.
func (s *stepped) waits() (list []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 1; i < len(s.dials); i++ {
		list = append(list, s.dials[i].Sub(s.dials[i-1]))
	}
	return list
}

// TestClockStepsUnderJobs sets the clock on the wall by hours between and during tries, over restarts, and before jobs are made. What waits is tried when that is due by the running time, or at once
// where the clock was set forward, and never hours later; and what was made later is told later, whatever the clock says.
func TestClockStepsUnderJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStepped(t)
		const late = lookEvery + 200*time.Millisecond
		due := func(want, got time.Duration) {
			t.Helper()
			require.GreaterOrEqual(t, got, want)
			require.LessOrEqual(t, got, want+late)
		}
		next := func(id string, most time.Duration) {
			t.Helper()
			x := s.get(id)
			require.Equal(t, api.Waiting, x.Status)
			left := time.UnixMicro(x.NextTry).Sub(s.wall())
			require.LessOrEqual(t, left, most)
			require.Greater(t, left, most-2*time.Second)
		}

		// Between tries.
		id := s.make(3)
		s.tried(1)
		s.set(-5 * time.Hour)
		next(id, 10*time.Second)
		s.tried(2)
		s.set(7 * time.Hour)
		s.tried(3)
		s.set(-3 * time.Hour)
		next(id, 40*time.Second)
		x := s.within(time.Minute, id, api.Completed)
		require.Equal(t, 4, x.Attempts)
		got := s.waits()
		due(10*time.Second, got[0])
		due(0, got[1])
		due(40*time.Second, got[2])

		// During a try, both ways, and made while the clock is behind the making of its key.
		require.True(t, s.wall().Before(s.key.Created), "the test shows nothing")
		for _, d := range []time.Duration{-5 * time.Hour, 9 * time.Hour, -4 * time.Hour} {
			s.hold = make(chan struct{})
			id = s.make(0)
			s.tried(1)
			s.set(d)
			require.Equal(t, api.Running, s.get(id).Status)
			time.Sleep(20 * time.Second) // rows are written meanwhile
			close(s.hold)
			x = s.within(2*time.Second, id, api.Completed)
			require.Equal(t, 1, x.Attempts)
			s.hold = nil
		}

		// A job that waits for a slot, for which nobody waits longer.
		s.hold = make(chan struct{})
		for range s.m.cfg.MaxRunning/4 + 5 {
			s.make(0)
		}
		id = s.make(0)
		s.set(-5 * time.Hour)
		time.Sleep(time.Minute)
		require.Equal(t, api.Waiting, s.get(id).Status)
		close(s.hold)
		s.within(10*time.Second, id, api.Completed)
		s.hold = nil

		// A node that comes again with its clock set back, and one whose clock was right before.
		for _, d := range []time.Duration{-6 * time.Hour, 6 * time.Hour} {
			id = s.make(2)
			s.tried(2)
			s.stop()
			s.set(d)
			s.start()
			s.within(20*time.Second+late, id, api.Completed)
		}

		// All of them in the order in which they changed last, in pages by the token; and events in that in which they happened.
		var since, last int64
		seen := map[string]bool{}
		for {
			list, point, err := s.m.List(t.Context(), s.key, Filter{Since: max(since, 1), Count: 3})
			require.NoError(t, err)
			if len(list) == 0 {
				break
			}
			require.Greater(t, point, since)
			since = point
			for _, x := range list {
				require.False(t, seen[x.ID])
				seen[x.ID] = true
			}
		}
		require.Len(t, seen, s.left)
		events, _, err := s.cfg.State.Events(t.Context(), state.EventFilter{Key: "anna"}, state.Page{Limit: 1000})
		require.NoError(t, err)
		require.Len(t, events, 2*s.left)
		backwards := 0
		for i, e := range events {
			require.Greater(t, e.Seq, last)
			last = e.Seq
			if i > 0 && e.Time.Before(events[i-1].Time) {
				backwards++
			}
		}
		require.Positive(t, backwards, "the test shows nothing")
		w := httptest.NewRecorder()
		require.NoError(t, s.m.Routes()["GET /events"](w, httptest.NewRequest(http.MethodGet, "/events?count=1000", nil), s.key))
		var told []api.Event
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &told))
		require.Len(t, told, len(events), "the key sees all that is its own")
	})
}
