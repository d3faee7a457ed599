package admin

import (
	"encoding/json"
	"time"
)

// Status is what a node says of itself.
type Status struct {
	Running bool   `json:"running"` // false: a command looks after the state folder, and nobody serves
	Node    string `json:"node"`    // fingerprint
	Version string `json:"version"`
	Keys    int    `json:"keys"`
	// Stats are those of the running node.
	Stats json.RawMessage `json:"stats,omitempty"`
}

// Reloaded says what came of reading the configuration again.
type Reloaded struct {
	Later []string `json:"after_restart"` // settings that are different and wait for the next start
}

// User is a user of the node, who manages keys over the Node API.
type User struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created,omitzero"`
}

// Account is who logs in by SSH or WebSocket.
type Account struct {
	Name     string    `json:"name"`
	Root     string    `json:"root"`         // see accesskey.Key.Root
	Rights   []string  `json:"rights"`       // of read, write, list, delete
	RateCap  int64     `json:"rate_cap_bps"` // bits per second for all sessions of the account together; 0 is no cap
	VLink    string    `json:"vlink,omitempty"`
	Keys     []string  `json:"authorized_keys"` // public keys, each a line in the form of OpenSSH
	Password bool      `json:"password"`        // whether there is one
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created,omitzero"`
}

// AccountChange makes or changes an account; nil fields are left as they are, and on creation are all of the docroot, all rights, and no cap.
type AccountChange struct {
	Create   bool      `json:"create,omitempty"` // it must not exist yet; without it, it must
	Password *string   `json:"password,omitempty"`
	Root     *string   `json:"root,omitempty"`
	Rights   *[]string `json:"rights,omitempty"`
	RateCap  *int64    `json:"rate_cap_bps,omitempty"`
	VLink    *string   `json:"vlink,omitempty"`
	Keys     *[]string `json:"authorized_keys,omitempty"` // replaced as a whole
	Disabled *bool     `json:"disabled,omitempty"`
}

// TokenRequest asks for a transfer token of a key or an account.
type TokenRequest struct {
	Key       string   `json:"access_key,omitempty"`
	Account   string   `json:"account,omitempty"`
	Direction string   `json:"direction"` // upload or download
	Paths     []string `json:"paths"`     // below the root of the key; "/" is all of it
	Life      int64    `json:"life_seconds"`
}

// Token is a transfer token.
type Token struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// ExportRequest asks for keys with their secrets.
type ExportRequest struct {
	Passphrase string   `json:"passphrase"`
	IDs        []string `json:"ids,omitempty"` // empty is all
}

// ImportRequest brings keys of an export.
type ImportRequest struct {
	Passphrase string          `json:"passphrase"`
	Export     json.RawMessage `json:"export"`
	// Replace says that a key of an id which is there already takes its place; without it, such a key is left as it is and told of.
	Replace bool `json:"replace,omitempty"`
}

// Imported is what came of it, by id.
type Imported struct {
	Made     []string `json:"made"`
	Replaced []string `json:"replaced"`
	Kept     []string `json:"kept"` // were there already, and stay as they were
}
