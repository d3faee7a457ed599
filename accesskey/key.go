package accesskey

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"log/slog"
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
	ID       string
	Verifier Verifier
	Disabled bool
	Rights   Rights
	// Root is the place that the key is bound to: a slash path below the node's docroot, or the URI of a place of its own, such as
	// s3://host/bucket/prefix. Empty is the docroot itself.
	Root string
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
	return Grant{KeyID: k.ID, Rights: k.Rights, Root: k.Root, RateCap: k.RateCap, VLink: k.VLink}
}

// Grant is everything that an authenticated request may touch. Whoever serves a request asks the Grant and nothing else.
type Grant struct {
	KeyID   string
	Rights  Rights
	Root    string // see Key
	RateCap int64  // see Key
	VLink   string // see Key
}
