package twcp

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// Environment variables that hold secrets, as the product names them.
const (
	tokenVariable    = "ASPERA_SCP_TOKEN"
	passwordVariable = "ASPERA_SCP_PASS"
	keyVariable      = "ASPERA_SCP_KEY"
)

// cookieVariable has what an application wants to be kept with the transfer.
const cookieVariable = "ASPERA_SCP_COOKIE"

// credentials are how to authenticate: one of the two.
type credentials struct {
	opener  accesskey.Opener // an access key, or a token
	account *account         // who logs in for a ticket
}

// name is whom they belong to, as far as is known.
func (c credentials) name() string {
	if c.account != nil {
		return c.account.user
	}
	return c.opener.KeyID()
}

// findCredentials finds out how to authenticate: token, if it is not empty, is that of a specification. With a token, a user name, password or private key given too is not used: programs that
// drive ascp always pass one.
func findCredentials(o *options, user, token string, env cli.Env) (credentials, error) {
	from := "token"
	if token == "" {
		from, token = tokenVariable, env.Get(tokenVariable)
	}
	if token != "" {
		c, err := accesskey.ParseOpener(token)
		if err != nil {
			return credentials{}, &transfer.Error{Code: transfer.CodeAuth, Op: from, Err: err}
		}
		if o.wsConnect {
			a, err := findWeb(o, c.KeyID(), strings.TrimSpace(token))
			return credentials{account: a}, err
		}
		return credentials{opener: c}, nil
	}
	a, err := findAccount(o, user, env)
	return credentials{account: a}, err
}

// findAccount finds out who logs in, with what, and how: over WebSocket where that is asked for, or where a specification says that the node has it and SSH would take no more than the same password.
func findAccount(o *options, user string, env cli.Env) (*account, error) {
	a := &account{user: accountName(user, env)}
	password, key := env.Get(passwordVariable), env.Get(keyVariable)
	if o.wsConnect || o.wssPort != 0 && password != "" && key == "" && o.keyFile == "" {
		switch {
		case key != "":
			// What is in the other variable may be the passphrase of this key, which is nobody else's.
			return nil, usagef("a private key logs in by SSH only; unset %s, or leave out --ws-connect", keyVariable)
		case password == "":
			return nil, usagef("no credentials: set %s to the token of an access key, of an application or of a node, or %s to the password of an account of the node", tokenVariable, passwordVariable)
		case a.user == "":
			return nil, errNoName
		}
		return findWeb(o, a.user, accesskey.Credential{ID: a.user, Secret: password}.Token())
	}
	switch {
	case key != "":
		s, err := parseKey(keyVariable, []byte(key), password)
		if err != nil {
			return nil, err
		}
		a.auth = append(a.auth, ssh.PublicKeys(s))
	case o.keyFile != "":
		b, err := os.ReadFile(o.keyFile)
		if err != nil {
			return nil, usagef("-i: %w", err)
		}
		s, err := parseKey("-i", b, password)
		if err != nil {
			return nil, err
		}
		a.auth = append(a.auth, ssh.PublicKeys(s))
	case password == "":
		return nil, usagef(`no credentials: set %s to "Basic " and the base64 form of ID:SECRET, an access key of the node; or, for an account of the node, %s to its password, or give its private key by %s or -i`,
			tokenVariable, passwordVariable, keyVariable)
	}
	if password != "" {
		a.auth = append(a.auth, ssh.Password(password))
	}
	if a.user == "" {
		return nil, errNoName
	}
	return a, nil
}

var errNoName = usagef("the name of the account is missing: write user@host, or give --user")

// accountName is the user, or who runs this program.
func accountName(user string, env cli.Env) string {
	for _, name := range []string{"USER", "LOGNAME", "USERNAME"} {
		if user == "" {
			user = env.Get(name)
		}
	}
	return user
}

// parseKey reads a private key; the password is its passphrase, if it has one. Errors repeat nothing of the key.
func parseKey(from string, pem []byte, password string) (ssh.Signer, error) {
	s, err := ssh.ParsePrivateKey(pem)
	var missing *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return s, nil
	case !errors.As(err, &missing):
		return nil, usagef("%s: this is no private key that can be read; want one in the form of OpenSSH or PEM", from)
	case password == "":
		return nil, usagef("%s: the private key has a passphrase; set %s to it", from, passwordVariable)
	}
	if s, err = ssh.ParsePrivateKeyWithPassphrase(pem, []byte(password)); err != nil {
		return nil, usagef("%s: the private key cannot be read with the passphrase in %s", from, passwordVariable)
	}
	return s, nil
}
