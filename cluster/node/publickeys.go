package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// maxAccountKeys is how many public keys of an account the state store keeps. Each login reads all of them.
const maxAccountKeys = 100

// AddKey implements nodeapi.Accounts.
func (a *accounts) AddKey(ctx context.Context, name, line string, before func(fingerprint string) error) (kept string, err error) {
	if err := accesskey.CheckAccount(name); err != nil {
		return "", accesskey.ErrNotFound
	}
	keys, problems := authorizedKeys([]byte(line))
	switch {
	case len(problems) > 0:
		return "", &nodeapi.KeyRefused{Why: problems[0].why}
	case len(keys) != 1:
		return "", &nodeapi.KeyRefused{Why: "there is none on the line"}
	}
	said := false
	for { // somebody else may change the account at the same time
		u, err := a.state.User(ctx, kindSSH, name)
		if errors.Is(err, state.ErrNotFound) {
			return "", accesskey.ErrNotFound
		}
		if err != nil {
			return "", err
		}
		doc, _, err := readAccount(name, u.Doc)
		if err != nil {
			return "", fmt.Errorf("account %s: %w", name, err)
		}
		for _, have := range doc.Keys {
			if list, _ := authorizedKeys([]byte(have)); len(list) == 1 && bytes.Equal(list[0].Marshal(), keys[0].Marshal()) {
				return have, nil
			}
		}
		if len(doc.Keys) >= maxAccountKeys {
			return "", &nodeapi.KeyRefused{Why: fmt.Sprintf("the account has %d", len(doc.Keys)), Full: true}
		}
		if !said {
			if err := before(ssh.FingerprintSHA256(keys[0])); err != nil {
				return "", err
			}
			said = true
		}
		doc.Keys = append(doc.Keys, line)
		if u.Doc, err = json.Marshal(doc); err != nil {
			return "", err
		}
		switch _, err = a.state.UpdateUser(ctx, u); {
		case errors.Is(err, state.ErrConflict), errors.Is(err, state.ErrNotFound):
			continue
		case err != nil:
			return "", err
		}
		a.log.Info("public key of an account added", "account", name, "fingerprint", ssh.FingerprintSHA256(keys[0]))
		return line, nil
	}
}
