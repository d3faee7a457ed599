package accesskey

import (
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Direction is which way a transfer token allows data to go, as the client sees it.
type Direction uint8

// The directions. The zero Direction is both, which no transfer token has.
const (
	Both Direction = iota
	Upload
	Download
	// Manage is for looking at files and arranging them, without transfers.
	Manage
)

// TransferToken allows whoever holds it one kind of transfer, for a time. It is made by a node for an authenticated user, and redeemed at the node, or
// one of the nodes, that have the same Keyring. It carries no secret of its key or account: that must still exist, and its rights still suffice, when the token is used.
type TransferToken struct {
	Key       string    // id of the access key that it was made with
	Account   string    // or the name of the account; one of the two is empty
	Direction Direction // not Both
	// Paths bound the transfer, as slash paths below the root of the key or account: of an upload, its destination must be one of them or lie below one; of a
	// download, each source. "" is the root itself. For Manage there are none.
	Paths []string
	// UsageID is what the transfer is counted under beside the key; see Grant. It has at most 255 bytes.
	UsageID string
	// Made is when the key or account was made, to the microsecond, as Grant.Created has it: who gets the same id or name later is not whom the token is of. The zero time is not compared.
	Made time.Time
	// Node is where alone it may be redeemed, in whatever form the nodes name themselves; "" is anywhere.
	Node    string
	Expires time.Time // to the second; required
}

// Keyring seals transfer tokens. Nodes that have the same master key redeem each other's tokens. Safe for concurrent use.
type Keyring struct {
	aead cipher.AEAD
}

// NewKeyring returns the keyring of a master key.
func NewKeyring(m Master) *Keyring { return &Keyring{m.aead("tw-token-1")} }

// tokenPrefix marks our tokens; clients treat what follows as opaque.
const tokenPrefix = "ATM_TW1_"

const maxUsageID = 255

// MaxToken is the longest token, in bytes.
const MaxToken = 32 << 10

// tokenJSON is what is sealed.
type tokenJSON struct {
	Key     string   `json:"k,omitempty"`
	Account string   `json:"a,omitempty"`
	Dir     uint8    `json:"d"`
	Paths   []string `json:"p,omitempty"`
	Node    string   `json:"n,omitempty"`
	UsageID string   `json:"u,omitempty"`
	Made    int64    `json:"m,omitempty"` // microseconds since 1970
	Expires int64    `json:"e"`           // seconds since 1970
}

// Seal makes the text that the client gets. Errors: what is wrong with t.
func (r *Keyring) Seal(t TransferToken) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	paths := make([]string, len(t.Paths))
	for i, p := range t.Paths {
		var ok bool
		if paths[i], ok = cleanBelow(p); !ok {
			return "", fmt.Errorf("path %q leads out of the key's root", p)
		}
	}
	j := tokenJSON{Key: t.Key, Account: t.Account, Dir: uint8(t.Direction), Paths: paths, Node: t.Node, UsageID: t.UsageID, Expires: t.Expires.Unix()}
	if !t.Made.IsZero() {
		j.Made = t.Made.UnixMicro()
	}
	b, err := json.Marshal(j)
	if err != nil {
		return "", err
	}
	text := tokenPrefix + base64.RawURLEncoding.EncodeToString(r.aead.Seal(nil, nil, b, []byte(tokenPrefix)))
	if len(text) > MaxToken {
		return "", fmt.Errorf("a transfer token for so many paths would be longer than %d bytes; name a folder above them", MaxToken)
	}
	return text, nil
}

// check says what is wrong with t apart from its paths.
func (t TransferToken) check() error {
	if (t.Key == "") == (t.Account == "") {
		return errors.New("a transfer token is made with an access key or for an account")
	}
	err := error(nil)
	if t.Key != "" {
		err = checkID(t.Key)
	} else {
		err = CheckAccount(t.Account)
	}
	switch {
	case err != nil:
		return err
	case t.Direction != Upload && t.Direction != Download && t.Direction != Manage:
		return errors.New("a transfer token is for uploads, for downloads or to look and arrange")
	case len(t.UsageID) > maxUsageID:
		return fmt.Errorf("an id of usage has at most %d bytes", maxUsageID)
	case (len(t.Paths) == 0) != (t.Direction == Manage) || t.Expires.IsZero():
		return errors.New("a transfer token has paths and an end")
	}
	return nil
}

// IsTransferToken says whether text looks like one of ours.
func IsTransferToken(text string) bool { return strings.HasPrefix(text, tokenPrefix) }

// Open reads a token. Errors: ErrAuth whatever is wrong with it, ErrExpired if it is ours and its time is over.
func (r *Keyring) Open(text string, node string, now time.Time) (TransferToken, error) {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(text) > MaxToken {
		return TransferToken{}, ErrAuth
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil {
		return TransferToken{}, ErrAuth
	}
	b, err := r.aead.Open(nil, nil, sealed, []byte(tokenPrefix))
	if err != nil {
		return TransferToken{}, ErrAuth
	}
	var j tokenJSON
	if json.Unmarshal(b, &j) != nil {
		return TransferToken{}, ErrAuth
	}
	t := TransferToken{Key: j.Key, Account: j.Account, Direction: Direction(j.Dir), Paths: j.Paths, Node: j.Node, UsageID: j.UsageID, Expires: time.Unix(j.Expires, 0)}
	if j.Made != 0 {
		t.Made = time.UnixMicro(j.Made)
	}
	switch {
	case t.check() != nil:
		return TransferToken{}, ErrAuth
	case t.Node != "" && t.Node != node:
		return TransferToken{}, ErrAuth
	case !now.Before(t.Expires):
		return TransferToken{}, ErrExpired
	}
	return t, nil
}

// cleanBelow returns p as a slash path below a root, without leading or trailing slash, "" for the root itself; ok is false if it leads out.
func cleanBelow(p string) (clean string, ok bool) {
	for el := range strings.SplitSeq(p, "/") {
		if el == ".." {
			return "", false
		}
	}
	return strings.Trim(path.Clean("/"+p), "/"), true
}

// of says whether the token was made for this very key or account, and not for one that had its id or name before.
func (t TransferToken) of(g Grant) bool {
	return t.Made.IsZero() || g.Created.IsZero() || t.Made.UnixMicro() == g.Created.UnixMicro()
}

// bound narrows the grant of a key or account to what the token allows.
func (t TransferToken) bound(g Grant) Grant {
	g.Direction, g.Within, g.Expires, g.UsageID = t.Direction, t.Paths, t.Expires, t.UsageID
	// What a token is for is all that it is for.
	switch t.Direction {
	case Upload:
		g.Rights.Read, g.Rights.List = false, false
	case Download:
		g.Rights.Write, g.Rights.Delete = false, false
	}
	return g
}
