package attr

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMtime(t *testing.T) {
	for _, c := range []struct {
		t time.Time
		s string
	}{
		{time.Unix(1700000000, 123456789), "1700000000.123456789"},
		{time.Unix(1700000000, 500000000), "1700000000.5"},
		{time.Unix(1700000000, 1), "1700000000.000000001"},
		{time.Unix(1700000000, 0), "1700000000"},
		{time.Unix(0, 0), "0"},
		{time.Unix(0, 5), "0.000000005"},
		{time.Unix(-1, 0), "-1"},
		{time.Unix(-2, 500000000), "-1.5"},
		{time.Unix(-1, 999999999), "-0.000000001"},
		{time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), "253402300799.999999999"},
		{time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), "-62135596799"},
	} {
		require.Equal(t, c.s, FormatMtime(c.t))
		got, err := ParseMtime(c.s)
		require.NoError(t, err)
		require.True(t, c.t.Equal(got), "%s is %s, want %s", c.s, got, c.t.UTC())
	}
	got, err := ParseMtime("1.1234567899")
	require.NoError(t, err)
	require.Equal(t, time.Unix(1, 123456789).UTC(), got, "the tenth decimal is dropped")
	for _, s := range []string{"", "-", ".", "1.", ".5", "+1", "1e9", "0x1", "1 ", "1.2.3", "1,5", "999999999999", "-62135596801", "9999999999999999999", "２"} {
		_, err := ParseMtime(s)
		require.ErrorIs(t, err, ErrTime, "%q", s)
	}
}

func TestBtime(t *testing.T) {
	when := time.Date(2024, 5, 6, 7, 8, 9, 123000000, time.FixedZone("", 7200))
	require.Equal(t, "2024-05-06T05:08:09.123Z", FormatBtime(when))
	got, err := ParseBtime("2024-05-06T07:08:09.123+02:00")
	require.NoError(t, err)
	require.True(t, when.Equal(got))
	_, err = ParseBtime("yesterday")
	require.ErrorIs(t, err, ErrTime)
}

func TestJoinSplit(t *testing.T) {
	mtime, btime := time.Unix(1700000000, 5).UTC(), time.Unix(1600000000, 0).UTC()
	all, err := Join(mtime, btime, map[string]string{"owner": "José", "empty": ""})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"mtime": "1700000000.000000005", "btime": "2020-09-13T12:26:40Z", "owner": "José", "empty": ""}, all)
	m, b, user := Split(map[string]string{"Mtime": all["mtime"], "BTIME": all["btime"], "Owner": "José", "empty": ""})
	require.Equal(t, mtime, m)
	require.Equal(t, btime, b)
	require.Equal(t, map[string]string{"owner": "José", "empty": ""}, user)

	all, err = Join(time.Time{}, time.Time{}, nil)
	require.NoError(t, err)
	require.Empty(t, all)
	_, _, user = Split(map[string]string{"mtime": "soon"})
	require.Equal(t, map[string]string{"mtime": "soon"}, user, "a time that cannot be read is kept")

	for _, bad := range []map[string]string{{"mtime": "1"}, {"Upper": "x"}, {"": "x"}, {"a b": "x"}, {"a": "x\ny"}, {"a": "\x80"}} {
		_, err := Join(mtime, btime, bad)
		require.Error(t, err, "%q", bad)
	}
}

func FuzzParseMtime(f *testing.F) {
	for _, s := range []string{"1700000000.123456789", "-0.5", "0", "", "1.", "253402300799.9999999999", "-62135596800"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		when, err := ParseMtime(s)
		if err != nil {
			return
		}
		text := FormatMtime(when)
		again, err := ParseMtime(text)
		require.NoError(t, err)
		require.True(t, when.Equal(again))
		require.Equal(t, text, FormatMtime(again))
	})
}

func FuzzParseBtime(f *testing.F) {
	f.Add("2024-05-06T07:08:09.123+02:00")
	f.Fuzz(func(t *testing.T, s string) {
		when, err := ParseBtime(s)
		if err != nil {
			return
		}
		again, err := ParseBtime(FormatBtime(when))
		require.NoError(t, err)
		require.True(t, when.Equal(again))
	})
}
