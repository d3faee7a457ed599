package objstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Options of every scheme, which OpenBucket takes out of a URI before the scheme's Opener sees it.
const (
	optPartSize = "part-size" // of Config.PartSize: bytes, or with K, M or G for powers of 1024
	optParallel = "parallel"  // of Config.Parallel
)

// OpenBucket opens the place that uri names, with the settings of cfg or those that the URI's options give instead, and
// returns the key that the URI names in it. The caller closes the Bucket.
func (s Schemes) OpenBucket(ctx context.Context, uri string, cfg Config) (*Bucket, string, error) {
	u, err := ParseURI(uri)
	if err != nil {
		return nil, "", err
	}
	if v := u.Option(optPartSize); v != "" {
		if cfg.PartSize, err = ParseSize(v); err != nil || cfg.PartSize < 1 {
			return nil, "", fmt.Errorf("%s URI: %s=%s: want bytes, or a number with K, M or G", u.Scheme, optPartSize, v)
		}
	}
	if v := u.Option(optParallel); v != "" {
		if cfg.Parallel, err = strconv.Atoi(v); err != nil || cfg.Parallel < 1 {
			return nil, "", fmt.Errorf("%s URI: %s=%s: want a number of requests", u.Scheme, optParallel, v)
		}
	}
	d, key, err := s.open(ctx, u)
	if err != nil {
		return nil, "", err
	}
	return NewBucket(d, cfg), key, nil
}

// ParseSize reads a number of bytes, which may carry K, M, G, T, P or E for powers of 1024.
func ParseSize(s string) (int64, error) {
	t, unit := strings.TrimSpace(s), int64(1)
	if n := len(t); n > 0 {
		if i := strings.IndexByte("KMGTPE", t[n-1]&^0x20); i >= 0 {
			t, unit = t[:n-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("size %q: want a number of bytes, or one with K, M, G, T, P or E", s)
	}
	return n * unit, nil
}
