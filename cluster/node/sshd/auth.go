package sshd

import (
	"bytes"
	"context"
	"errors"

	"golang.org/x/crypto/ssh"
)

// errLogin is all that a login fails with; SSH does not even send its text.
var errLogin = errors.New("failed to authenticate")

// accountKey is under which ssh.Permissions carry the name of the account.
const accountKey = "account"

// sshConfig is that of one connection, whose logins end with ctx.
func (s *Server) sshConfig(ctx context.Context, c *conn) *ssh.ServerConfig {
	cfg := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-Tradewind",
		MaxAuthTries:  6,
		PasswordCallback: func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return s.login(c, m.User(), "password", func() (bool, error) {
				_, right, err := s.cfg.Logins.Password(ctx, m.User(), string(password))
				return right, err
			})
		},
		PublicKeyCallback: func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			return s.login(c, m.User(), "publickey", func() (bool, error) { return s.publicKey(ctx, m.User(), key) })
		},
	}
	cfg.AddHostKey(s.cfg.HostKey)
	return cfg
}

// login tries one way to log in, if there were not too many attempts. That an answer to these comes sooner tells nobody whether there is such an account, since names that nobody has are counted, too.
func (s *Server) login(c *conn, user, method string, right func() (bool, error)) (*ssh.Permissions, error) {
	log := s.cfg.Logger.With("source", c.source, "account", clip(user), "method", method)
	limited := user
	if method == "publickey" {
		limited = ""
	}
	if !s.cfg.Logins.Try(c.source, limited) {
		log.Debug("login not tried: too many failed")
		return nil, errLogin
	}
	ok, err := right()
	switch {
	case err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		log.Error("login cannot be checked", "error", err)
		return nil, errLogin
	case err != nil || !ok:
		log.Warn("login refused")
		return nil, errLogin
	}
	s.cfg.Logins.Right(c.source, limited)
	return &ssh.Permissions{Extensions: map[string]string{accountKey: user}}, nil
}

// publicKey says whether the account has this key. That the client holds its other half is checked afterwards.
func (s *Server) publicKey(ctx context.Context, user string, key ssh.PublicKey) (bool, error) {
	a, known, err := s.cfg.Logins.Account(ctx, user)
	if err != nil || !known || a.Disabled {
		return false, err
	}
	shown := key.Marshal()
	for _, k := range a.Keys {
		if bytes.Equal(k.Marshal(), shown) {
			return true, nil
		}
	}
	return false, nil
}

// clip is what the log shows of a name that a stranger sent.
func clip(name string) string { return name[:min(len(name), 64)] }
