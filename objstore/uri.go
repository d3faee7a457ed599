package objstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// URI names a place in a store and a key below it:
//
//	SCHEME://HOST/PATH?OPTION=VALUE&...
//
// What HOST and PATH mean is the scheme's: for s3 the host is the endpoint and the path bucket and key. Options are
// settings of the place, such as storage-class; never secrets.
type URI struct {
	Scheme  string // lower case
	Host    string // with a port, as written; may be empty
	Path    string // decoded, without the leading slash
	Options url.Values
}

// ErrSecret is matched by errors about a URI with a secret in it. Their text does not repeat it.
var ErrSecret = errors.New("a secret in a URI can be read in process lists, logs and histories")

// secretWords are parts of option names that would hold a secret.
var secretWords = []string{"secret", "password", "passphrase", "passwd", "token", "signature", "sig", "sas", "credential", "access-key", "access_key", "accesskey", "account-key", "account_key"}

// IsURI says whether s begins with a scheme, such as "s3://", and so is not the path of a local file.
func IsURI(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && validScheme(scheme)
}

// validScheme wants at least two letters, so that Windows drives are none.
func validScheme(s string) bool {
	if len(s) < 2 {
		return false
	}
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return true
}

// ParseURI reads a URI. The path may be percent-encoded where it must be ("%3F" for "?", "%25" for "%"); other bytes
// stand for themselves. A user name, or an option whose name says that it is a secret, is refused with ErrSecret.
func ParseURI(s string) (URI, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !validScheme(scheme) {
		return URI{}, fmt.Errorf("%q is not a URI: want SCHEME://HOST/PATH", clean(s))
	}
	u := URI{Scheme: strings.ToLower(scheme)}
	rest, query, _ := strings.Cut(rest, "?")
	host, path, _ := strings.Cut(rest, "/")
	if strings.Contains(host, "@") {
		return URI{}, fmt.Errorf("%s URI: %w: take it out of the host", u.Scheme, ErrSecret)
	}
	u.Host = host
	var err error
	if u.Path, err = url.PathUnescape(path); err != nil {
		return URI{}, fmt.Errorf("%s URI: the path is badly encoded: write %%25 for %%", u.Scheme)
	}
	if strings.ContainsRune(u.Path, 0) {
		return URI{}, fmt.Errorf("%s URI: the path holds a NUL byte", u.Scheme)
	}
	// Names of secrets are looked for first, so that no error can repeat their values.
	for term := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(term, "=")
		if n, err := url.QueryUnescape(name); err == nil {
			name = n
		}
		if IsSecretOption(name) {
			return URI{}, fmt.Errorf("%s URI: option %q: %w: give it in the environment or in a configuration", u.Scheme, name, ErrSecret)
		}
	}
	if u.Options, err = url.ParseQuery(query); err != nil {
		return URI{}, fmt.Errorf("%s URI: the options behind ? are badly encoded", u.Scheme)
	}
	return u, nil
}

// IsSecretOption says whether an option of that name would hold a secret.
func IsSecretOption(name string) bool {
	name = strings.ToLower(name)
	for _, w := range secretWords {
		if name == w || len(w) > 3 && strings.Contains(name, w) {
			return true
		}
	}
	return false
}

// clean is what an error may show of something that was to be a URI: nothing before an "@" or behind a "?".
func clean(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = "..." + s[i:]
	}
	if i := strings.IndexByte(s, '?'); i >= 0 {
		s = s[:i] + "..."
	}
	return s
}

// String writes the URI so that ParseURI reads the same.
func (u URI) String() string {
	s := u.Scheme + "://" + u.Host + "/" + escapePath(u.Path)
	if len(u.Options) > 0 {
		s += "?" + u.Options.Encode()
	}
	return s
}

// escapePath encodes what would end or change a path, and nothing else.
func escapePath(p string) string {
	return strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(p)
}

// Option returns the value of an option and takes it out, so that a driver can refuse what is left with Unknown.
func (u *URI) Option(name string) string {
	v := u.Options.Get(name)
	u.Options.Del(name)
	return v
}

// Unknown returns an error that names the options which are left, or nil if there are none. known are those that the
// scheme has.
func (u *URI) Unknown(known ...string) error {
	var left []string
	for name := range u.Options {
		left = append(left, name)
	}
	if len(left) == 0 {
		return nil
	}
	slices.Sort(left)
	return fmt.Errorf("%s URI: unknown option %q; known are %s", u.Scheme, left, strings.Join(known, ", "))
}

// Opener makes the Driver of the place that a URI names, and returns the key that the URI names in it: "" for the place
// itself.
type Opener func(ctx context.Context, u URI) (d Driver, key string, err error)

// Schemes are the Openers that a program has, by scheme. The program makes it; there is no registry.
type Schemes map[string]Opener

// Open opens the place that uri names. The caller closes the Driver.
func (s Schemes) Open(ctx context.Context, uri string) (d Driver, key string, err error) {
	u, err := ParseURI(uri)
	if err != nil {
		return nil, "", err
	}
	return s.open(ctx, u)
}

func (s Schemes) open(ctx context.Context, u URI) (d Driver, key string, err error) {
	open := s[u.Scheme]
	if open == nil {
		var names []string
		for name := range s {
			names = append(names, name+"://")
		}
		slices.Sort(names)
		return nil, "", &Error{Op: "open", Kind: Unsupported, Err: fmt.Errorf("scheme %q is not known here", u.Scheme), Hint: "known are " + strings.Join(names, ", ")}
	}
	return open(ctx, u)
}
