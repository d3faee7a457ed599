package sshd

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
)

// Server serves SSH; see the package. Methods may be called by several goroutines at once.
type Server struct {
	cfg       Config
	passwords accesskey.Passwords
	spills    chan struct{} // large listings at a time

	mu      sync.Mutex // guards what follows
	logins  *logins
	waiting []*conn        // that have not logged in, oldest first
	serving map[string]int // connections by account
	total   int            // their sum
}

// conn is one connection:
//
//	waiting --logged in--> serving --> ended
//	   \--wrong, too slow, too many--> ended
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
	return &Server{cfg: cfg, spills: make(chan struct{}, maxSpills), logins: newLogins(), serving: map[string]int{}}, nil
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
		c := &conn{Conn: nc, source: sourceOf(nc.RemoteAddr())}
		s.admit(c)
		conns.Go(func() { s.serve(ctx, c) })
	}
}

// admit enters a new connection into the books. Where there are too many that have not logged in, the oldest has to go: an honest client does not wait.
func (s *Server) admit(c *conn) {
	s.mu.Lock()
	var old *conn
	if len(s.waiting) >= s.cfg.MaxUnauthenticated {
		old = s.waiting[0]
		s.waiting = slices.Delete(s.waiting, 0, 1)
	}
	s.waiting = append(s.waiting, c)
	s.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}

// left takes a connection out of those that wait; false if it had to go before.
func (s *Server) left(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, c)
	if i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	return i >= 0
}

// enter counts a connection of an account, unless there are too many.
func (s *Server) enter(account string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= s.cfg.MaxConns || s.serving[account] >= s.cfg.MaxPerAccount {
		return false
	}
	s.total++
	s.serving[account]++
	return true
}

func (s *Server) leave(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.serving[account]--; s.serving[account] == 0 {
		delete(s.serving, account)
	}
}

// Stats is what a Server does now.
type Stats struct {
	Conns           int // that have logged in
	Unauthenticated int // that have not
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Conns: s.total, Unauthenticated: len(s.waiting)}
}

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
	waited := s.left(c)
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
	if !s.enter(name) {
		log.Warn("login refused: too many connections")
		return
	}
	defer s.leave(name)
	log.Info("logged in", "client", clip(string(sc.ClientVersion())))
	u := &user{s: s, name: name, log: log, cut: func() { _ = c.Close() }}
	u.idle = time.AfterFunc(s.cfg.IdleTimeout, u.cut)
	defer u.idle.Stop()
	u.serve(ctx, cancel, channels, requests)
	log.Debug("connection ended")
}
