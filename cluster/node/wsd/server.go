package wsd

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/cluster/node/logins"
)

// Server hands over tickets; see the package. Methods may be called by several goroutines at once.
type Server struct {
	cfg   Config
	crowd *logins.Crowd
}

// New checks cfg. It starts nothing.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, crowd: logins.NewCrowd(cfg.MaxConns, cfg.MaxPerAccount, cfg.MaxUnauthenticated)}, nil
}

// Stats returns how many connections there are.
func (s *Server) Stats() logins.Stats { return s.crowd.Stats() }

// The bounds of HTTP. A bearer token has up to 64 KiB.
const (
	maxHeader = 96 << 10
	// loginTime is what a request may wait for the check of its password, beside Config.Timeout to be written.
	loginTime = 30 * time.Second
)

// Serve takes connections from l, on which it speaks TLS, until ctx ends; then it closes l and all connections, and returns nil when all is over. Another error is that of l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &handler{s: s}
	protocols := new(http.Protocols) // of HTTP/2 no connection can be taken over
	protocols.SetHTTP1(true)
	web := &http.Server{
		Handler: h, Protocols: protocols, ReadHeaderTimeout: s.cfg.Timeout, ReadTimeout: s.cfg.Timeout, WriteTimeout: s.cfg.Timeout + loginTime, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c.(*tls.Conn).NetConn())
		},
		ErrorLog: slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug), // what strangers do to the port
	}
	web.SetKeepAlivesEnabled(false)
	var stopped sync.WaitGroup
	defer func() {
		cancel()
		stopped.Wait()
		h.end()
		s.crowd.Dismiss() // one that was taken while the server closed is not known to it
	}()
	stopped.Go(func() {
		<-ctx.Done()
		_ = web.Close() // which closes l, and the connections that are no WebSockets yet; those end with ctx
	})
	err := web.Serve(tls.NewListener(&listener{l, s.crowd}, &tls.Config{
		GetCertificate: s.cfg.Certificate, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// listener enters connections into the books.
type listener struct {
	net.Listener
	crowd *logins.Crowd
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, source: logins.SourceOf(nc.RemoteAddr()), crowd: l.crowd}
	l.crowd.Admit(c)
	return c, nil
}

// conn is one connection; logins.Crowd says what becomes of it.
type conn struct {
	net.Conn
	source string
	crowd  *logins.Crowd
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.crowd.Left(c)
	return c.Conn.Close()
}

// connKey is under which the context of a request carries its *conn.
type connKey struct{}
