package faux

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"net/url"
	"strconv"
	"strings"

	"github.com/tradewind-io/tradewind/objstore"
)

// maxSize is the largest object, 7 EiB.
const maxSize = 7 << 60

// OpenURI is the objstore.Opener of faux URIs. Without options the place is a Sink.
func OpenURI(_ context.Context, u objstore.URI) (objstore.Driver, string, error) {
	invalid := func(err error) (objstore.Driver, string, error) {
		return nil, "", &objstore.Error{Op: "open", Kind: objstore.Invalid, Err: err}
	}
	if u.Host != "" {
		return invalid(fmt.Errorf("faux URIs name no host, and this one names %q; write faux:///NAME", u.Host))
	}
	if len(u.Options) == 0 {
		return NewSink(), u.Path, nil
	}
	path := strings.TrimSuffix(u.Path, "/")
	if path == "" {
		return invalid(errors.New("a name for what is made up is missing"))
	}
	if size, ok := loneOption(u.Options); ok {
		n, err := parseSize(size)
		if err != nil {
			return invalid(err)
		}
		return NewFile(path, n), path, nil
	}
	t, err := parseTree(&u)
	if err != nil {
		return invalid(err)
	}
	s, err := NewTree(path, t)
	if err != nil {
		return nil, "", err
	}
	return s, path, nil
}

// loneOption returns what stands alone behind the "?", without a value.
func loneOption(o url.Values) (string, bool) {
	if len(o) != 1 {
		return "", false
	}
	for name, v := range o {
		if len(v) == 1 && v[0] == "" && name != "count" {
			return name, true
		}
	}
	return "", false
}

func parseTree(u *objstore.URI) (t Tree, err error) {
	size := func(name string) (n int64) {
		v := u.Option(name)
		if v == "" || err != nil {
			return 0
		}
		if n, err = parseSize(v); err != nil {
			err = fmt.Errorf("option %s: %w", name, err)
		}
		return n
	}
	word := func(name string, words ...string) string {
		v := u.Option(name)
		for _, w := range words {
			if v == w {
				return w
			}
		}
		if v != "" && err == nil {
			err = fmt.Errorf("option %s is %q; it can be %s", name, v, strings.Join(words, ", "))
		}
		return words[0]
	}
	t.Count = size("count")
	t.File = u.Option("file")
	t.Size, t.Inc = size("size"), size("inc")
	t.RandomSizes = word("seq", "sequential", "random") == "random"
	t.RandomBytes = word("buf_init", "zero", "none", "random") == "random"
	if err == nil {
		err = u.Unknown("count", "file", "size", "inc", "seq", "buf_init")
	}
	return t, err
}

// parseSize reads a number of bytes with an optional suffix.
func parseSize(s string) (int64, error) {
	digits, shift := s, 0
	if n := len(s) - 1; n >= 0 {
		if i := strings.IndexByte("kmgtpe", s[n]|0x20); i >= 0 {
			digits, shift = s[:n], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || digits[0] == '+' {
		return 0, fmt.Errorf("%q is no size; write a number of bytes, or one with k, m, g, t, p or e", s)
	}
	if bits.Len64(n)+shift > 63 || n<<shift > maxSize {
		return 0, fmt.Errorf("size %s is larger than 7e", s)
	}
	return int64(n << shift), nil
}
