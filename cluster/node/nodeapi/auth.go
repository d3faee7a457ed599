package nodeapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
)

// errUnauthorized is the same for every credential that is not right, so that it tells nothing of which ids exist.
var errUnauthorized = api.Errorf(http.StatusUnauthorized, "the credentials are missing or wrong")

// delegatedHeader would bring credentials for the storage. Without them a request would reach another place than its sender means.
const delegatedHeader = "X-Aspera-Storage-Credentials"

// authenticated finds out who makes a request before h gets it.
func (s *Server) authenticated(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, err := s.authenticate(r)
		if err == nil && r.Header.Get(delegatedHeader) != "" {
			err = api.Errorf(http.StatusNotImplemented, "this node takes no storage credentials with a request (%s)", delegatedHeader)
		}
		if err == nil && !admitted(r, g) {
			err = api.Errorf(http.StatusForbidden, "the configuration of the access key does not admit this address")
		}
		if err == nil {
			err = h(w, r, g)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	})
}

// admitted says whether a request comes from where the access key may be used.
func admitted(r *http.Request, g accesskey.Grant) bool {
	if len(g.Config.Allow) == 0 && len(g.Config.Deny) == 0 {
		return true
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && g.Admits(at.Addr())
}

// trusted is the grant of requests that need no credentials, in their context.
type trusted struct{}

// Trusted returns the API for requests that only somebody can make who looks after the machine: it asks for no credentials, and takes each as one of a user of the node with this name.
func (s *Server) Trusted(user string) http.Handler {
	g := accesskey.Grant{Master: true, Local: true, User: user, Rights: accesskey.AllRights()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), trusted{}, g)))
	})
}

// isTrusted says whether a request came by Trusted.
func isTrusted(r *http.Request) bool {
	_, ok := r.Context().Value(trusted{}).(accesskey.Grant)
	return ok
}

// authenticate takes what stands in the Authorization header and nothing else.
func (s *Server) authenticate(r *http.Request) (accesskey.Grant, error) {
	if g, ok := r.Context().Value(trusted{}).(accesskey.Grant); ok {
		return g, nil
	}
	texts := r.Header.Values("Authorization")
	if len(texts) != 1 {
		return accesskey.Grant{}, errUnauthorized
	}
	if accesskey.IsTransferToken(texts[0]) {
		return accesskey.Grant{}, api.Errorf(http.StatusUnauthorized, "a transfer token is for transfers only")
	}
	auth, spent := s.cfg.Auth, false
	source := sourceOf(r)
	if s.cfg.Logins != nil && s.cfg.Logins.Spent(source) {
		// Who has a key goes on: others behind the same address may have used it up. Passwords are what can be guessed, and take work to check.
		auth, spent = s.keysOnly, true
	}
	g, err := auth.Authorization(r.Context(), texts[0], r.Header.Get("X-Aspera-AccessKey"))
	switch {
	case err == nil:
		return g, nil
	case errors.Is(err, accesskey.ErrAuth) && spent:
		return accesskey.Grant{}, api.Errorf(http.StatusTooManyRequests, "too many wrong credentials from this address; try again a little later")
	case errors.Is(err, accesskey.ErrAuth):
		if s.cfg.Logins != nil {
			s.cfg.Logins.Wrong(source) // which bounds how often the next line is written, too
			s.cfg.Logger.Warn("wrong credentials", "source", source, "key", g.KeyID)
		}
		return accesskey.Grant{}, errUnauthorized
	case errors.Is(err, accesskey.ErrExpired):
		return accesskey.Grant{}, api.Errorf(http.StatusUnauthorized, "the bearer token has expired")
	case errors.Is(err, accesskey.ErrBusy):
		return accesskey.Grant{}, api.Errorf(http.StatusTooManyRequests, "too many logins at a time; try again a little later")
	case errors.Is(err, accesskey.ErrDisabled): // which only who holds the secret gets to see
		return accesskey.Grant{}, api.Errorf(http.StatusForbidden, "this access key is disabled")
	}
	return accesskey.Grant{}, err
}

// sourceOf is who makes a request, as logins are counted.
func sourceOf(r *http.Request) string {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return logins.SourceOf(net.TCPAddrFromAddrPort(at))
}

// isBearer says whether g comes from a bearer token.
func isBearer(g accesskey.Grant) bool { return g.User != "" && !g.Master }

// may says whether g allows something with files, which is a right by its name.
func may(g accesskey.Grant, allowed bool, right string) error {
	switch {
	case isBearer(g) && !g.Owner:
		return api.Errorf(http.StatusForbidden, "permissions of users are for files by their ids: with paths a bearer token needs the scope admin:all")
	case !allowed:
		return api.Errorf(http.StatusForbidden, "the access key lacks the right %s", right)
	}
	return nil
}

// Exclusive runs fn while nobody else changes keys over this API: whoever reads a key and writes it back must not do so at the same time. The error is fn's, or that of ctx.
func (s *Server) Exclusive(ctx context.Context, fn func() error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
		return fn()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
