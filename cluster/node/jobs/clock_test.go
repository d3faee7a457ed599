package jobs

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClock(t *testing.T) {
	var c clock
	wall, running := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), time.Duration(0)
	want := wall
	require.Equal(t, want, c.now(wall, running))
	step := func(what string, d, ran, gone time.Duration) {
		wall, running = wall.Add(d), running+ran
		want = want.Add(gone)
		require.Equal(t, want, c.now(wall, running), what)
	}
	const s, h = time.Second, time.Hour
	step("both go on", s, s, s)
	step("set back", -5*h, s, s)
	step("behind, it goes on", s, s, s)
	step("corrected, and a little more", 5*h+3*s, s, 2*s)
	step("set forward", 7*h, s, 7*h)
	step("and back", -7*h, s, s)
	require.Equal(t, want, c.now(wall, running-3*time.Second), "an old reading changes nothing")
	require.Equal(t, want.Add(s), c.now(wall, running+s))
}

func TestComplaints(t *testing.T) {
	var log bytes.Buffer
	running := time.Duration(0)
	c := &complaints{log: slog.New(slog.NewTextHandler(&log, nil)), running: func() time.Duration { return running }}
	lines := func() []string {
		defer log.Reset()
		return strings.Split(strings.TrimSpace(log.String()), "\n")
	}
	full := errors.New("full")
	for range 100 {
		c.failed("this", full)
	}
	c.failed("that", full, "job", "j")
	require.Len(t, lines(), 2)
	c.fine("this") // in turn
	c.failed("this", full)
	require.Equal(t, []string{""}, lines())
	running += time.Minute
	c.failed("this", full)
	got := lines()
	require.Len(t, got, 1)
	require.Contains(t, got[0], "not_logged=100")
	running += time.Minute
	c.fine("this")
	c.fine("this")
	c.fine("other")
	got = lines()
	require.Len(t, got, 1)
	require.Contains(t, got[0], "goes well again: this")
	require.Contains(t, got[0], "times=102")
	c.failed("this", full)
	require.Len(t, lines(), 1)
}
