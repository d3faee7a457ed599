package vlink

import (
	"testing"
	"time"
	_ "time/tzdata" // the machine may have no time zones

	"github.com/stretchr/testify/require"
)

func at(t *testing.T, zone *time.Location, s string) time.Time {
	t.Helper()
	when, err := time.ParseInLocation("2006-01-02 15:04:05", s, zone)
	require.NoError(t, err)
	return when
}

func TestSchedule(t *testing.T) {
	base, office, night := Caps{Out: 1}, Caps{Out: 2}, Caps{Out: 3}
	weekdays, err := ParseDays("mon-fri")
	require.NoError(t, err)
	friday, err := ParseDays("fri")
	require.NoError(t, err)
	l := Link{Caps: base, Zone: time.UTC, Schedule: []Window{
		{Days: weekdays, From: 8 * time.Hour, To: 18 * time.Hour, Caps: office},
		{Days: friday, From: 22 * time.Hour, To: 6 * time.Hour, Caps: night},
	}}
	for _, c := range []struct {
		when string
		want Caps
	}{
		{"2026-11-27 07:59:59", base}, // a Friday
		{"2026-11-27 08:00:00", office},
		{"2026-11-27 17:59:59", office},
		{"2026-11-27 18:00:00", base},
		{"2026-11-27 21:59:59", base},
		{"2026-11-27 22:00:00", night},
		{"2026-11-28 00:00:00", night},
		{"2026-11-28 05:59:59", night},
		{"2026-11-28 06:00:00", base},
		{"2026-11-28 09:00:00", base}, // Saturday is no weekday
		{"2026-11-28 23:00:00", base}, // and its night none of Friday's
		{"2026-11-27 05:00:00", base}, // nor is Thursday's
		{"2026-11-30 08:00:00", office},
	} {
		require.Equal(t, c.want, l.CapsAt(at(t, time.UTC, c.when)), c.when)
	}
	require.Equal(t, office, l.CapsAt(at(t, time.UTC, "2026-11-27 17:59:59").Add(time.Second-1)), "to the last nanosecond")
	whole := Link{Zone: time.UTC, Schedule: []Window{{To: 24 * time.Hour, Caps: office}}}
	require.NoError(t, whole.Check())
	for _, when := range []string{"2026-11-27 00:00:00", "2026-11-27 23:59:59"} {
		require.Equal(t, office, whole.CapsAt(at(t, time.UTC, when)), when)
	}
	first := Link{Zone: time.UTC, Schedule: []Window{{To: 24 * time.Hour, Caps: night}, {To: 24 * time.Hour, Caps: office}}}
	require.Equal(t, night, first.CapsAt(at(t, time.UTC, "2026-11-27 12:00:00")), "the first counts")
}

// Where clocks are set forward from 2 to 3, and back from 3 to 2.
func TestScheduleWhenClocksAreSet(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	night := Caps{In: 5}
	l := Link{Zone: zone, Schedule: []Window{{From: 2 * time.Hour, To: 3 * time.Hour, Caps: night}}}
	held := func(day string) (d time.Duration) {
		begin := at(t, zone, day+" 00:00:00")
		for m := range 25 * 60 {
			if l.CapsAt(begin.Add(time.Duration(m)*time.Minute)) == night {
				d += time.Minute
			}
		}
		return d
	}
	require.Equal(t, time.Hour, held("2026-06-01"))
	require.Zero(t, held("2026-03-29"), "the hour is left out")
	require.Equal(t, 2*time.Hour, held("2026-10-25"), "the hour is there twice")
}

func TestCheck(t *testing.T) {
	hour := time.Hour
	for _, c := range []struct {
		cfg  Config
		text string
	}{
		{Config{Host: Caps{Out: -1}}, "host: a cap is negative"},
		{Config{Links: []Link{{Name: "a b"}}}, "letters"},
		{Config{Links: []Link{{Name: "a"}, {Name: "a"}}}, "twice"},
		{Config{Links: []Link{{Name: "a", Caps: Caps{In: -5}}}}, "negative"},
		{Config{Links: []Link{{Name: "a", Weight: -1}}}, "weight"},
		{Config{Links: []Link{{Name: "a", Weight: inf - inf}}}, "weight"},
		{Config{Links: []Link{{Name: "a", Schedule: []Window{{From: hour, To: hour}}}}}, "equal"},
		{Config{Links: []Link{{Name: "a", Schedule: []Window{{From: 24 * hour, To: hour}}}}}, "from"},
		{Config{Links: []Link{{Name: "a", Schedule: []Window{{From: hour, To: 25 * hour}}}}}, "to"},
		{Config{Links: []Link{{Name: "a", Schedule: []Window{{To: hour, Days: 255}}}}}, "days"},
	} {
		_, err := New(c.cfg)
		require.ErrorContains(t, err, c.text)
	}
}

func TestDays(t *testing.T) {
	for in, want := range map[string]string{
		"mon": "mon", "Mon-Fri": "mon,tue,wed,thu,fri", "fri-mon": "sun,mon,fri,sat", "sat, sun": "sun,sat", "daily": "daily", "tue-mon": "daily",
	} {
		d, err := ParseDays(in)
		require.NoError(t, err, in)
		require.Equal(t, want, d.String())
	}
	for _, bad := range []string{"", "mo", "mon-", "-", "mon-fri-sat", "mon;tue"} {
		_, err := ParseDays(bad)
		require.ErrorContains(t, err, "want days such as", bad)
	}
}

func FuzzParseDays(f *testing.F) {
	f.Add("mon-fri,sun")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDays(s)
		if err != nil {
			return
		}
		require.True(t, d > 0 && d <= EveryDay)
		again, err := ParseDays(d.String())
		require.NoError(t, err)
		require.Equal(t, d, again)
	})
}
