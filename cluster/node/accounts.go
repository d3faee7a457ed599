package node

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/sshd"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// accountDoc is what the state store keeps of an account beside its password.
type accountDoc struct {
	Root     string   `json:"root"`   // see accesskey.Key.Root
	Rights   []string `json:"rights"` // words of accesskey.ParseRights
	RateCap  int64    `json:"rate_cap_bps,omitempty"`
	VLink    string   `json:"vlink,omitempty"`
	Keys     []string `json:"keys,omitempty"` // lines of the form of OpenSSH
	Disabled bool     `json:"disabled,omitempty"`
}

// accounts implements sshd.Accounts and accesskey.Accounts.
type accounts struct {
	state   *state.Store
	dir     string                      // files of public keys, each named for its account
	changed func(key string, why error) // see guests
	log     *slog.Logger
}

// keysFolder is the folder of public keys in the state folder.
const keysFolder = "authorized_keys"

// Account implements sshd.Accounts.
func (a *accounts) Account(ctx context.Context, name string) (sshd.Account, error) {
	if err := accesskey.CheckAccount(name); err != nil {
		return sshd.Account{}, accesskey.ErrNotFound
	}
	// Before it is known whether there is such an account, so that this takes as long.
	keys, err := a.file(name)
	if err != nil {
		return sshd.Account{}, err
	}
	u, err := a.state.User(ctx, kindSSH, name)
	if errors.Is(err, state.ErrNotFound) {
		return sshd.Account{}, accesskey.ErrNotFound
	}
	if err != nil {
		return sshd.Account{}, err
	}
	doc, g, err := readAccount(name, u.Doc)
	if err != nil {
		return sshd.Account{}, fmt.Errorf("account %s: %w", name, err)
	}
	g.Created = u.Created
	more, problems := authorizedKeys([]byte(strings.Join(doc.Keys, "\n")))
	for _, p := range problems {
		a.log.Warn("a public key is not used", "account", name, "line", p.line, "reason", p.why)
	}
	return sshd.Account{Name: name, PasswordHash: string(u.Secret), Keys: append(keys, more...), Grant: g, Disabled: doc.Disabled}, nil
}

// AccountGrant implements accesskey.Accounts.
func (a *accounts) AccountGrant(ctx context.Context, name string) (accesskey.Grant, error) {
	u, err := a.state.User(ctx, kindSSH, name)
	if errors.Is(err, state.ErrNotFound) {
		return accesskey.Grant{}, accesskey.ErrNotFound
	}
	if err != nil {
		return accesskey.Grant{}, err
	}
	doc, g, err := readAccount(name, u.Doc)
	if err == nil && doc.Disabled {
		err = accesskey.ErrNotFound
	}
	g.Created = u.Created
	return g, err
}

// readAccount reads what the state store keeps, and makes the grant of it.
func readAccount(name string, b json.RawMessage) (accountDoc, accesskey.Grant, error) {
	var doc accountDoc
	if err := json.Unmarshal(b, &doc); err != nil {
		return doc, accesskey.Grant{}, err
	}
	rights, err := accesskey.ParseRights(strings.Join(append([]string{"none"}, doc.Rights...), ","))
	if err != nil {
		return doc, accesskey.Grant{}, err
	}
	if doc.RateCap < 0 {
		return doc, accesskey.Grant{}, errors.New("the rate cap is negative")
	}
	return doc, accesskey.Grant{KeyID: accesskey.AccountID(name), Root: doc.Root, Rights: rights, RateCap: doc.RateCap, VLink: doc.VLink}, nil
}

// maxKeysFile bounds a file of public keys, in bytes.
const maxKeysFile = 1 << 20

// file reads the file of public keys of an account. One that does not exist is empty.
func (a *accounts) file(name string) ([]ssh.PublicKey, error) {
	path := filepath.Join(a.dir, name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("public keys: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeysFile+1))
	if err != nil {
		return nil, fmt.Errorf("public keys: %w", err)
	}
	if len(b) > maxKeysFile {
		return nil, fmt.Errorf("public keys: %s is larger than %d bytes", path, maxKeysFile)
	}
	keys, problems := authorizedKeys(b)
	for _, p := range problems {
		a.log.Warn("a public key is not used", "file", path, "line", p.line, "reason", p.why)
	}
	return keys, nil
}

// keyProblem is why a line is not used.
type keyProblem struct {
	line int
	why  string
}

// authorizedKeys reads lines of the form of OpenSSH's authorized_keys. Options forbid what is not offered anyway, or the line is not used: one that bounds a key in another way would not do so here.
func authorizedKeys(b []byte) (keys []ssh.PublicKey, problems []keyProblem) {
	n := 0
	for line := range bytes.Lines(b) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, options, _, err := ssh.ParseAuthorizedKey(line)
		why := ""
		if err != nil {
			why = "it cannot be read"
		} else {
			why = refuseKey(key, options)
		}
		if why != "" {
			problems = append(problems, keyProblem{n, why})
			continue
		}
		keys = append(keys, key)
	}
	return keys, problems
}

// refuseKey says why a key is not used, "" if it is.
func refuseKey(key ssh.PublicKey, options []string) string {
	for _, o := range options {
		switch strings.ToLower(o) {
		case "restrict", "no-pty", "no-port-forwarding", "no-agent-forwarding", "no-x11-forwarding", "no-user-rc":
		default:
			return "it has options that are not offered here"
		}
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return "certificates are not offered"
	}
	const leastRSA = 2048
	if c, ok := key.(ssh.CryptoPublicKey); ok {
		if r, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok && r.N.BitLen() < leastRSA {
			return "it is of RSA with less than 2,048 bits"
		}
	}
	return ""
}
