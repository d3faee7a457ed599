// Package attr reads and writes the attributes of objects as other tools do, so that what one wrote the other can read.
//
// The keys are those of rclone: "mtime" is decimal seconds since 1970, with a fraction to the nanosecond and without
// trailing zeros, and "btime" a time after RFC 3339. Platforms put them among the user's own metadata.
package attr

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Names of the metadata that hold attributes.
const (
	MtimeKey = "mtime"
	BtimeKey = "btime"
)

// The seconds that a time may have: those of the years 1 to 9999, which RFC 3339 can write.
const (
	minSecond = -62135596800
	maxSecond = 253402300799
)

// FormatMtime writes t as rclone does: "1700000000.123456789", "1700000000.5", "1700000000", "-1.5".
func FormatMtime(t time.Time) string {
	sec, nsec := t.Unix(), int64(t.Nanosecond())
	sign := ""
	if sec < 0 {
		// A time before 1970 has negative seconds and a fraction that counts upwards.
		sign, sec = "-", -sec
		if nsec > 0 {
			sec, nsec = sec-1, 1e9-nsec
		}
	}
	s := sign + strconv.FormatInt(sec, 10)
	if nsec > 0 {
		s += "." + strings.TrimRight(fmt.Sprintf("%09d", nsec), "0")
	}
	return s
}

// ErrTime is matched by the errors of ParseMtime and ParseBtime.
var ErrTime = errors.New("not a time")

// ParseMtime reads what FormatMtime and rclone write. Digits behind the ninth decimal are dropped.
func ParseMtime(s string) (time.Time, error) {
	bad := func() (time.Time, error) {
		return time.Time{}, fmt.Errorf("mtime %.40q: %w: want seconds such as 1700000000.25", s, ErrTime)
	}
	digits, negative := strings.CutPrefix(s, "-")
	whole, frac, dot := strings.Cut(digits, ".")
	if !allDigits(whole) || len(whole) > 12 || dot && !allDigits(frac) {
		return bad()
	}
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return bad()
	}
	nsec := int64(0)
	if len(frac) > 9 {
		frac = frac[:9]
	}
	if frac != "" {
		if nsec, err = strconv.ParseInt(frac+strings.Repeat("0", 9-len(frac)), 10, 64); err != nil {
			return bad()
		}
	}
	if negative {
		sec, nsec = -sec, -nsec
	}
	t := time.Unix(sec, nsec).UTC()
	if t.Unix() < minSecond || t.Unix() > maxSecond {
		return bad()
	}
	return t, nil
}

func allDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// FormatBtime writes t after RFC 3339, to the nanosecond.
func FormatBtime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// ParseBtime reads a time after RFC 3339.
func ParseBtime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Unix() < minSecond || t.Unix() > maxSecond {
		return time.Time{}, fmt.Errorf("btime %.40q: %w: want one such as 2006-01-02T15:04:05Z", s, ErrTime)
	}
	return t.UTC(), nil
}

// Join returns the metadata of an object: the user's own, and the times that are not zero under their keys. It fails
// where the user's have one of those keys, a name that no HTTP header could have, or a value that is not printable.
func Join(mtime, btime time.Time, user map[string]string) (map[string]string, error) {
	all := make(map[string]string, len(user)+2)
	for k, v := range user {
		switch {
		case k == MtimeKey || k == BtimeKey:
			return nil, fmt.Errorf("metadata %q is set from the object's times and cannot be given", k)
		case !validName(k):
			return nil, fmt.Errorf("metadata name %.80q: want lower-case letters, digits, - or _", k)
		case !printable(v):
			return nil, fmt.Errorf("metadata %q has a value with control characters or bytes that are not UTF-8", k)
		}
		all[k] = v
	}
	if !mtime.IsZero() {
		all[MtimeKey] = FormatMtime(mtime)
	}
	if !btime.IsZero() {
		all[BtimeKey] = FormatBtime(btime)
	}
	return all, nil
}

// Split undoes Join, and takes all: the names become lower case. A time that cannot be read stays among the user's
// metadata, since another tool may have meant something else by the key.
func Split(all map[string]string) (mtime, btime time.Time, user map[string]string) {
	for k, v := range all {
		k = strings.ToLower(k)
		switch k {
		case MtimeKey:
			if t, err := ParseMtime(v); err == nil {
				mtime = t
				continue
			}
		case BtimeKey:
			if t, err := ParseBtime(v); err == nil {
				btime = t
				continue
			}
		}
		if user == nil {
			user = make(map[string]string, len(all))
		}
		user[k] = v
	}
	return mtime, btime, user
}

// validName wants a token of RFC 9110 section 5.6.2 without upper case, which platforms fold.
func validName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return false
		}
	}
	return true
}
