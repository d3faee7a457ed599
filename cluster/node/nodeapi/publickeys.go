package nodeapi

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// PublicKeys is the Extension by which users of the node give accounts further public keys.
type PublicKeys struct {
	Accounts Accounts
	Audit    func(ctx context.Context, a Act) error // see Config; nil writes nothing down
}

// Accounts keeps what accounts log in with. Methods may be called by several goroutines at once.
type Accounts interface {
	// AddKey lets an account log in with a public key, which line has in the form of OpenSSH's authorized_keys, and returns the line as it is kept: for a key that the account has,
	// the one that it has. before is called with the key's fingerprint when all has been checked and nothing was done yet, at most once; with an error nothing is done.
	//
	// Errors: accesskey.ErrNotFound if there is no such account, *KeyRefused, and that of before.
	AddKey(ctx context.Context, account, line string, before func(fingerprint string) error) (kept string, err error)
}

// KeyRefused says why a public key is not taken.
type KeyRefused struct {
	Why  string
	Full bool // there are too many already
}

func (e *KeyRefused) Error() string { return "the public key is not taken: " + e.Why }

// maxPublicKey bounds a line with a public key, in bytes: one of RSA with 16,384 bits and a comment.
const maxPublicKey = 8 << 10

// Routes implements Extension.
func (p *PublicKeys) Routes() map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error {
	return map[string]func(http.ResponseWriter, *http.Request, accesskey.Grant) error{"POST /public_keys": p.add}
}

// add answers POST /public_keys.
func (p *PublicKeys) add(w http.ResponseWriter, r *http.Request, g accesskey.Grant) error {
	if !g.Master {
		return api.Errorf(http.StatusForbidden, "only users of the node give accounts public keys")
	}
	var in api.PublicKeyRequest
	if err := Decode(w, r, defaultBody, &in); err != nil {
		return err
	}
	line := strings.TrimSpace(in.PublicKey)
	switch {
	case in.Username == "":
		return api.Errorf(http.StatusBadRequest, "username: the account that the key is for is missing")
	case line == "":
		return api.Errorf(http.StatusBadRequest, "public_key: want a public key in the form of OpenSSH")
	case len(line) > maxPublicKey:
		return api.Errorf(http.StatusBadRequest, "public_key: more than %d bytes", maxPublicKey)
	case strings.ContainsAny(line, "\r\n\x00"):
		return api.Errorf(http.StatusBadRequest, "public_key: want one key, on one line")
	}
	kept, err := p.Accounts.AddKey(r.Context(), in.Username, line, func(fingerprint string) error {
		if p.Audit == nil {
			return nil
		}
		return p.Audit(r.Context(), Act{Actor: actor(g), Action: "account.add_public_key", Object: in.Username, Changed: []string{"public_key " + fingerprint}})
	})
	var refused *KeyRefused
	switch {
	case errors.Is(err, accesskey.ErrNotFound):
		return api.Errorf(http.StatusNotFound, "there is no account of this name")
	case errors.As(err, &refused) && refused.Full:
		return api.Errorf(http.StatusConflict, "%v", refused)
	case errors.As(err, &refused):
		return api.Errorf(http.StatusBadRequest, "%v", refused)
	case err != nil:
		return err
	}
	_ = reply(w, http.StatusCreated, api.PublicKey{PublicKey: kept}) // a client that has gone away finds the key when it asks again
	return nil
}
