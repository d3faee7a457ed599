package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/audit"
	"github.com/tradewind-io/tradewind/cluster/node/fileids"
	"github.com/tradewind-io/tradewind/cluster/node/jobs"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// apiService is the REST API while the node runs.
type apiService struct {
	listener net.Listener
	handler  *nodeapi.Server
	server   *http.Server
}

// The bounds of the HTTP server (docs/api.md section 10).
const (
	apiHeaderTimeout = 10 * time.Second
	apiReadTimeout   = time.Minute
	apiIdleTimeout   = 2 * time.Minute
	apiWriteTimeout  = 10 * time.Minute
	apiMaxHeader     = 128 << 10
	apiStopTimeout   = 10 * time.Second
)

// APIAddr returns the address of the REST API, nil before Ready and without one.
func (n *Node) APIAddr() net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.api == nil {
		return nil
	}
	return n.api.listener.Addr()
}

// startAPI goes on with jobs, and serves the API. stop ends all that: jobs that run wait for the next start.
func (n *Node) startAPI(ctx context.Context) (stop func(), err error) {
	var undo []func()
	back := func() {
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
	}
	defer func() {
		if err != nil {
			back()
		}
	}()
	cert, err := loadCertificate(n.cfg.StateDir, time.Now())
	if err != nil {
		return nil, err
	}
	if err := n.setUser(ctx, kindNode, n.cfg.APIUser, nil); err != nil {
		return nil, err
	}
	n.checker.Users = nodeUsers{n.state}
	if n.jobs, err = jobs.New(jobs.Config{
		State: n.state, Master: n.master, Keys: n.keys, Open: n.places.open, Dial: n.dial, StateDir: filepath.Join(n.cfg.StateDir, "transfers"), Log: n.cfg.Logger,
	}); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", n.cfg.API)
	if err != nil {
		return nil, fmt.Errorf("open the port of the API: %w", err)
	}
	undo = append(undo, func() { _ = l.Close() }) // closed by the server already, if that has begun
	log := audit.New(n.state)
	files, err := fileids.New(fileids.Config{State: n.state, Places: placeOpener{n.places}, Keys: managedKeys{n.keys, n.jobs}, Log: n.cfg.Logger})
	if err != nil {
		return nil, err
	}
	h, err := nodeapi.New(nodeapi.Config{
		Auth: n.checker, Keys: files.Keys(), Places: files.Places(), TokenSecret: n.master.Derive("tw-iteration-1"), Info: n.info(l.Addr()),
		Extensions: []nodeapi.Extension{n.jobs, files, log}, Audit: log.Write, Logger: n.cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	a := &apiService{listener: l, handler: h, server: &http.Server{
		Handler: h, ReadHeaderTimeout: apiHeaderTimeout, ReadTimeout: apiReadTimeout, WriteTimeout: apiWriteTimeout, IdleTimeout: apiIdleTimeout, MaxHeaderBytes: apiMaxHeader,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}},
		ErrorLog:  slog.NewLogLogger(n.cfg.Logger.Handler(), slog.LevelDebug), // what strangers do to the port
	}}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.jobs.Run(life); err != nil {
			n.cfg.Logger.Error("jobs do not run", "error", err)
		}
	})
	running.Go(func() {
		if err := a.server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			n.cfg.Logger.Error("the API is not served any more", "error", err)
		}
	})
	undo = append(undo, func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiStopTimeout)
		defer cancel()
		if err := a.server.Shutdown(stopping); err != nil {
			_ = a.server.Close() // requests that do not end are cut
		}
		probing, done := context.WithTimeout(context.WithoutCancel(ctx), apiStopTimeout)
		defer done()
		if err := h.Close(probing); err != nil {
			n.cfg.Logger.Warn("the storage of some keys was not tried", "error", err)
		}
		end()
		running.Wait()
	})
	n.mu.Lock()
	n.api = a
	n.mu.Unlock()
	n.cfg.Logger.Info("API ready", "addr", l.Addr().String())
	return back, nil
}

// info is what the API says of the node.
func (n *Node) info(at net.Addr) nodeapi.Info {
	i := nodeapi.Info{Version: n.cfg.Version, NodeID: n.Fingerprint().String()[len("sha256:"):][:32], Docroot: n.cfg.DocRoot, Fingerprint: n.Fingerprint().String()}
	if udp, ok := n.Addr().(*net.UDPAddr); ok {
		i.UDPPort = udp.Port
	}
	return i
}

// managedKeys are the keys as the API changes them: what a key did goes with it.
type managedKeys struct {
	accesskey.Store
	jobs *jobs.Manager
}

// Put implements accesskey.Store.
func (m managedKeys) Put(ctx context.Context, k accesskey.Key) error {
	if _, err := m.Key(ctx, k.ID); errors.Is(err, accesskey.ErrNotFound) {
		// One of the same id may have been removed without this node's knowing.
		if err := m.jobs.Forget(ctx, k.ID); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := m.Store.Put(ctx, k); err != nil || !k.Disabled {
		return err
	}
	return m.jobs.Disable(ctx, k.ID)
}

// Delete implements accesskey.Store.
func (m managedKeys) Delete(ctx context.Context, id string) error {
	if err := m.Store.Delete(ctx, id); err != nil {
		return err
	}
	return m.jobs.Forget(ctx, id)
}

// placeOpener opens places for the API.
type placeOpener struct{ p *places }

// Open implements nodeapi.Places.
func (o placeOpener) Open(ctx context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	return o.p.open(ctx, g)
}

// nodeUsers implements accesskey.Users.
type nodeUsers struct{ s *state.Store }

// PasswordHash implements accesskey.Users.
func (u nodeUsers) PasswordHash(ctx context.Context, name string) (string, error) {
	x, err := u.s.User(ctx, kindNode, name)
	if errors.Is(err, state.ErrNotFound) {
		return "", accesskey.ErrNotFound
	}
	return string(x.Secret), err
}
