package sshd

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/cluster/node/logins"
)

// Server serves SSH; see the package. Methods may be called by several goroutines at once.
type Server struct {
	cfg    Config
	spills chan struct{} // large listings at a time
	crowd  *logins.Crowd
}

// conn is one connection; logins.Crowd says what becomes of it.
type conn struct {
	net.Conn
	source string
}

// New checks cfg. It starts nothing.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Server{cfg: cfg, spills: make(chan struct{}, maxSpills), crowd: logins.NewCrowd(cfg.MaxConns, cfg.MaxPerAccount, cfg.MaxUnauthenticated)}, nil
}

// Serve takes connections from l until ctx ends; then it closes l and all connections, and returns nil when all is over. Another error is that of l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // which ends Accept
	defer stop()
	const least, most = 5 * time.Millisecond, time.Second
	pause := least
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // such as too many open files
			s.cfg.Logger.Warn("a connection was not taken", "error", err)
			t := time.NewTimer(pause)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
			pause = min(2*pause, most)
			continue
		}
		pause = least
		c := &conn{Conn: nc, source: logins.SourceOf(nc.RemoteAddr())}
		s.crowd.Admit(c)
		conns.Go(func() { s.serve(ctx, c) })
	}
}

// Stats is what a Server does now.
type Stats = logins.Stats

// Stats returns the counters.
func (s *Server) Stats() Stats { return s.crowd.Stats() }

// serve takes one connection from its first byte to its end.
func (s *Server) serve(ctx context.Context, c *conn) {
	defer c.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // what waits for the client ends then
	defer stop()
	log := s.cfg.Logger.With("source", c.source)
	_ = c.SetDeadline(time.Now().Add(s.cfg.HandshakeTimeout)) // without it, what follows fails by itself
	login, done := context.WithTimeout(ctx, s.cfg.HandshakeTimeout)
	sc, channels, requests, err := ssh.NewServerConn(c, s.sshConfig(login, c))
	done()
	waited := s.crowd.Left(c)
	switch {
	case err != nil:
		log.Debug("connection ended before a login", "error", err)
		return
	case !waited:
		return
	}
	_ = c.SetDeadline(time.Time{})
	name := sc.Permissions.Extensions[accountKey]
	log = log.With("account", name)
	if !s.crowd.Enter(name) {
		log.Warn("login refused: too many connections")
		return
	}
	defer s.crowd.Leave(name)
	log.Info("logged in", "client", clip(string(sc.ClientVersion())))
	u := &user{s: s, name: name, made: sc.Permissions.Extensions[madeKey], log: log, cut: func() { _ = c.Close() }}
	u.idle = time.AfterFunc(s.cfg.IdleTimeout, u.cut)
	defer u.idle.Stop()
	u.serve(ctx, cancel, channels, requests)
	log.Debug("connection ended")
}
