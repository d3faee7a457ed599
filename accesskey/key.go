package accesskey

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// Verifier is what a server keeps of a secret: HKDF-SHA256(secret, salt = key id, info = "tw-key-1"). It is as good as the secret for
// whoever wants to pass for the key, so it is kept sealed and is never printed.
type Verifier [sha256.Size]byte

// String hides the value.
func (Verifier) String() string { return redacted }

// GoString hides the value from %#v.
func (Verifier) GoString() string { return redacted }

// Format hides the value from every verb, %x too.
func (Verifier) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// LogValue hides the value from logs.
func (Verifier) LogValue() slog.Value { return slog.StringValue(redacted) }

// Rights are what a key allows below its root. The zero Rights allow nothing.
type Rights struct {
	Read   bool // download files
	Write  bool // upload files and replace existing ones
	List   bool // see names and attributes
	Delete bool // remove files, and what comes of it, such as renaming
}

// AllRights returns rights that allow everything.
func AllRights() Rights { return Rights{Read: true, Write: true, List: true, Delete: true} }

// String lists the rights, such as "read,list", or "none".
func (r Rights) String() string {
	if n := r.names(); len(n) > 0 {
		return strings.Join(n, ",")
	}
	return "none"
}

// Covers says whether r has all that other has.
func (r Rights) Covers(other Rights) bool {
	return (r.Read || !other.Read) && (r.Write || !other.Write) && (r.List || !other.List) && (r.Delete || !other.Delete)
}

func (r Rights) names() []string {
	var n []string
	for _, f := range []struct {
		on   bool
		name string
	}{{r.Read, "read"}, {r.Write, "write"}, {r.List, "list"}, {r.Delete, "delete"}} {
		if f.on {
			n = append(n, f.name)
		}
	}
	return n
}

// ParseRights reads a list of read, write, list, delete, separated by commas; "all" stands for all four and "none" for none.
func ParseRights(s string) (Rights, error) {
	var r Rights
	for name := range strings.SplitSeq(s, ",") {
		switch strings.TrimSpace(name) {
		case "read":
			r.Read = true
		case "write":
			r.Write = true
		case "list":
			r.List = true
		case "delete":
			r.Delete = true
		case "all":
			r = AllRights()
		case "none":
		default:
			return Rights{}, fmt.Errorf("right %q: want read, write, list, delete, all or none", name)
		}
	}
	return r, nil
}

// Key is what a server knows of an access key.
type Key struct {
	ID string
	// Tenant is whose key it is, in the form of an id; empty is the node's own. Keys of a tenant learn nothing of others.
	Tenant   string
	Verifier Verifier
	// Previous is the verifier of the secret before, which is good until PreviousUntil; the zero Verifier is none. See Rotate.
	Previous      Verifier
	PreviousUntil time.Time
	Disabled      bool
	Rights        Rights
	// Root is the place that the key is bound to: a slash path below the node's docroot, or the URI of a place of its own, such as
	// s3://host/bucket/prefix. Empty is the docroot itself.
	Root string
	// Storage is a place of its own with credentials of its own; nil means that Root says it all. With Storage, Root is a slash path below it.
	Storage *Storage
	// State says whether Storage, or Root if that is a URI, was reached, and StateText what was wrong if not.
	State     State
	StateText string
	// TokenKey is an RSA public key in PEM with which an application signs bearer tokens of its users; empty means that none are taken.
	TokenKey string
	// Config is the configuration object of the Node API, as it was given; nil is none. ParseConfiguration reads what has an effect.
	Config json.RawMessage
	// RateCap bounds the sum of what all sessions of the key send or receive, in bits of IP packets per second; 0 is no cap.
	RateCap int64
	// VLink names the virtual link of the node that sessions of the key belong to, in the form of an id; empty is none. A node that has no such
	// link refuses the key.
	VLink string
	// Created is when the key was made; the zero time if unknown.
	Created time.Time
	// Note is free text for whoever manages keys.
	Note string
}

// NewKey makes the key for a credential, with all rights, bound to the docroot. warning is not empty if the secret is weaker than 128 bits: such a key works, but
// whoever saw one handshake by impersonating the server could try secrets at leisure.
func NewKey(c Credential) (k Key, warning string, err error) {
	if err := c.check(); err != nil {
		return Key{}, "", err
	}
	v, err := c.verifier()
	if err != nil {
		return Key{}, "", err
	}
	return Key{ID: c.ID, Verifier: v, Rights: AllRights()}, weakness(c.Secret), nil
}

// verifier derives V (docs/protocol-auth.md section 41).
func (c Credential) verifier() (Verifier, error) {
	b, err := hkdf.Key(sha256.New, []byte(c.Secret), []byte(c.ID), "tw-key-1", sha256.Size)
	if err != nil {
		return Verifier{}, fmt.Errorf("derive the verifier: %w", err)
	}
	return Verifier(b), nil
}

// Grant returns what the key allows.
func (k Key) Grant() Grant {
	g := Grant{KeyID: k.ID, Tenant: k.Tenant, Rights: k.Rights, Root: k.Root, Storage: k.Storage, RateCap: k.RateCap, VLink: k.VLink, Created: k.Created}
	c, err := ParseConfiguration(k.Config)
	if err != nil { // Check refuses such a key
		c = Configuration{Deny: []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}}
	}
	if g.Config = c; c.RateCap > 0 && (g.RateCap == 0 || c.RateCap < g.RateCap) {
		g.RateCap = c.RateCap
	}
	return g
}

// Grant is everything that an authenticated request may touch. Whoever serves a request asks the Grant and nothing else.
type Grant struct {
	KeyID   string // of an account it is its AccountID
	Tenant  string // see Key
	Rights  Rights
	Root    string   // see Key
	Storage *Storage // see Key; must not be changed
	RateCap int64    // the lower one of Key.RateCap and that of the configuration
	VLink   string   // see Key
	Config  Configuration
	// Created is when the key or account was made; what is older is not its own. The zero time if unknown.
	Created time.Time

	// Master says that this is no key but the node's own user, who may manage keys and sees what all of them do. KeyID is empty then.
	Master bool
	// Local says that a Master is whoever looks after the machine that the node runs on, and may bind keys to places outside of its docroot.
	Local bool
	// User is the node's user, or who a bearer token names, "" else, and Groups are those of a bearer token.
	User   string
	Groups []string
	// Owner says that a bearer token is for all that the key allows; without it, permissions say what its user may do.
	Owner bool
	// Direction, unless it is Both, is the only one allowed, and Within, unless it is nil, has the paths below Root that alone may be touched by it: those of a
	// transfer token.
	Direction Direction
	Within    []string
	// Expires is when a token ends; the zero time is never.
	Expires time.Time
	// UsageID is what an application wants the transfers of a token to be counted under, "" if nothing.
	UsageID string
}

// State says whether a key's storage can be used.
type State uint8

// The states. A key whose Root is a folder below the docroot is always Ready: the folder is made when it is needed.
const (
	Ready   State = iota // the storage was reached
	Pending              // it was not tried yet
	Failed               // it could not be reached; Key.StateText says why
)

// String returns the word of the Node API: synchronized, pending, error.
func (s State) String() string {
	switch s {
	case Ready:
		return "synchronized"
	case Pending:
		return "pending"
	}
	return "error"
}

// ParseState reads what String returns.
func ParseState(text string) (State, error) {
	for _, s := range []State{Ready, Pending, Failed} {
		if s.String() == text {
			return s, nil
		}
	}
	return 0, fmt.Errorf("state %q: want synchronized, pending or error", text)
}

// Rotate gives the key another secret. The one before is good for overlap more, so that those who use it can change over; 0 ends it at once. warning is as in NewKey.
func (k Key) Rotate(c Credential, overlap time.Duration, now time.Time) (_ Key, warning string, err error) {
	if c.ID != k.ID {
		return k, "", fmt.Errorf("the secret is that of key %s", c.ID)
	}
	if err := c.check(); err != nil {
		return k, "", err
	}
	v, err := c.verifier()
	if err != nil {
		return k, "", err
	}
	k.Previous, k.PreviousUntil = Verifier{}, time.Time{}
	if overlap > 0 {
		k.Previous, k.PreviousUntil = k.Verifier, now.Add(overlap).UTC().Truncate(time.Second)
	}
	k.Verifier = v
	return k, weakness(c.Secret), nil
}

// verifiers are those that are good now.
func (k Key) verifiers(now time.Time) [2]Verifier {
	v := [2]Verifier{k.Verifier, k.Verifier}
	if k.Previous != (Verifier{}) && now.Before(k.PreviousUntil) {
		v[1] = k.Previous
	}
	return v
}
