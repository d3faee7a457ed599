package node

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/state"
)

// TestHistory: what is over and old is forgotten, but not when the clock has just been put forward.
func TestHistory(t *testing.T) {
	ctx := t.Context()
	at := time.Unix(1_800_000_000, 0)
	s, err := state.Open(ctx, state.Config{Path: filepath.Join(t.TempDir(), "state.db"), Now: func() time.Time { return at }})
	require.NoError(t, err)
	defer s.Close()
	_, err = s.CreateJob(ctx, state.Job{ID: "over", Status: "completed"})
	require.NoError(t, err)
	_, err = s.CreateSession(ctx, state.Session{ID: "over", Job: "over", Started: at, Ended: at})
	require.NoError(t, err)
	_, err = s.CreateSession(ctx, state.Session{ID: "goes on", Started: at})
	require.NoError(t, err)
	_, err = s.AddEvents(ctx, []state.Event{{Type: "x", Time: at}})
	require.NoError(t, err)
	require.NoError(t, s.AddUsage(ctx, []state.Usage{{Key: "k", Hour: at, BytesIn: 7}}))
	n := &Node{cfg: Config{History: 24 * time.Hour, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}}
	h := history{keep: n.cfg.History}
	left := func() (jobs, sessions, events int) {
		js, _, err := s.Jobs(ctx, state.JobFilter{}, state.Page{})
		require.NoError(t, err)
		ss, _, err := s.Sessions(ctx, state.SessionFilter{}, state.Page{})
		require.NoError(t, err)
		es, _, err := s.Events(ctx, state.EventFilter{}, state.Page{})
		require.NoError(t, err)
		return len(js), len(ss), len(es)
	}
	expect := func(jobs, sessions, events int) {
		t.Helper()
		j, x, e := left()
		require.Equal(t, []int{jobs, sessions, events}, []int{j, x, e})
	}
	n.forgetBefore(ctx, s, &h, at.Add(time.Hour), time.Hour)
	expect(1, 2, 1)
	n.forgetBefore(ctx, s, &h, at.Add(1000*time.Hour), 2*time.Hour) // a wrong clock, for a moment
	expect(1, 2, 1)
	n.forgetBefore(ctx, s, &h, at.Add(3*time.Hour), 3*time.Hour)
	expect(1, 2, 1)
	n.forgetBefore(ctx, s, &h, at.Add(23*time.Hour), 23*time.Hour)
	expect(1, 2, 1)
	n.forgetBefore(ctx, s, &h, at.Add(25*time.Hour), 25*time.Hour)
	expect(0, 1, 0)
	u, err := s.UsageTotal(ctx, state.UsageFilter{Key: "k"})
	require.NoError(t, err)
	require.EqualValues(t, 7, u.BytesIn)
}
