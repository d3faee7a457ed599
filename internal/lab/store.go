package lab

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseBits reads a rate such as 300M in bit/s.
func ParseBits(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.NewReplacer("k", "e3", "M", "e6", "G", "e9").Replace(s), 64)
	if err != nil {
		return 0, fmt.Errorf("rate %q: %w", s, err)
	}
	return v, nil
}

// JoinURI returns the URI of a key below that of a folder.
func JoinURI(uri, key string) string {
	place, options, _ := strings.Cut(uri, "?")
	u := strings.TrimSuffix(place, "/") + "/" + key
	if options != "" {
		u += "?" + options
	}
	return u
}

// SameFile compares two files byte by byte.
func SameFile(a, b string) error { return sameFile(a, b) }
