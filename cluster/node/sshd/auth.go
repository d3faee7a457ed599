package sshd

import (
	"bytes"
	"context"
	"errors"
	"time"

	"golang.org/x/crypto/ssh"
)

// errLogin is all that a login fails with; SSH does not even send its text.
var errLogin = errors.New("failed to authenticate")

// Under which ssh.Permissions carry the name of the account, and which one of that name it is.
const (
	accountKey = "account"
	madeKey    = "made"
)

// sshConfig is that of one connection, whose logins end with ctx.
func (s *Server) sshConfig(ctx context.Context, c *conn) *ssh.ServerConfig {
	cfg := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-Tradewind",
		MaxAuthTries:  6,
		PasswordCallback: func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return s.login(c, m.User(), "password", func() (Account, bool, error) {
				return s.cfg.Logins.Password(ctx, m.User(), string(password))
			})
		},
		PublicKeyCallback: func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			return s.login(c, m.User(), "publickey", func() (Account, bool, error) { return s.publicKey(ctx, m.User(), key) })
		},
	}
	cfg.AddHostKey(s.cfg.HostKey)
	return cfg
}

// login tries one way to log in, if there were not too many attempts. That an answer to these comes sooner tells nobody whether there is such an account, since names that nobody has are counted, too.
func (s *Server) login(c *conn, user, method string, right func() (Account, bool, error)) (*ssh.Permissions, error) {
	log := s.cfg.Logger.With("source", c.source, "account", clip(user), "method", method)
	limited := user
	if method == "publickey" {
		limited = ""
	}
	if !s.cfg.Logins.Try(c.source, limited) {
		log.Debug("login not tried: too many failed")
		return nil, errLogin
	}
	a, ok, err := right()
	switch {
	case err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		log.Error("login cannot be checked", "error", err)
		return nil, errLogin
	case err != nil || !ok:
		log.Warn("login refused")
		return nil, errLogin
	}
	s.cfg.Logins.Right(c.source, limited)
	return &ssh.Permissions{Extensions: map[string]string{accountKey: user, madeKey: madeAt(a)}}, nil
}

// madeAt tells an account from others that have its name before or after it.
func madeAt(a Account) string { return a.Grant.Created.UTC().Format(time.RFC3339Nano) }

// publicKey says whether the account, which it returns then, has this key. That the client holds its other half is checked afterwards.
func (s *Server) publicKey(ctx context.Context, user string, key ssh.PublicKey) (Account, bool, error) {
	a, known, err := s.cfg.Logins.Account(ctx, user)
	if err != nil || !known || a.Disabled {
		return Account{}, false, err
	}
	shown := key.Marshal()
	for _, k := range a.Keys {
		if bytes.Equal(k.Marshal(), shown) {
			return a, true, nil
		}
	}
	return Account{}, false, nil
}

// clip is what the log shows of a name that a stranger sent.
func clip(name string) string { return name[:min(len(name), 64)] }
