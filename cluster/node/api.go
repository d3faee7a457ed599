package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/cluster/node/jobs"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// apiService is the REST API while the node runs.
type apiService struct {
	listener net.Listener
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

// startDesk goes on with jobs and with the storage of keys that was not tried, and serves administration. stop ends all that: jobs that run wait for the next start.
func (n *Node) startDesk(ctx context.Context) (stop func(), err error) {
	h, err := n.desk.serve(n.info())
	if err != nil {
		return nil, err
	}
	l, err := admin.Listen(n.cfg.StateDir)
	if err != nil {
		return nil, err
	}
	if err := n.desk.api.Resume(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	n.mu.Lock()
	n.served = n.desk
	n.mu.Unlock()
	end := serveAdmin(l, h, n.cfg.Logger)
	life, halt := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.desk.jobs.Run(life); err != nil {
			n.cfg.Logger.Error("jobs do not run", "error", err)
		}
	})
	running.Go(func() { n.forgetHistory(life, n.desk.state) })
	return func() {
		end()
		probing, done := context.WithTimeout(context.WithoutCancel(ctx), apiStopTimeout)
		defer done()
		if err := n.desk.api.Close(probing); err != nil {
			n.cfg.Logger.Warn("the storage of some keys was not tried", "error", err)
		}
		halt()
		running.Wait()
	}, nil
}

// startAPI serves the API until stop.
func (n *Node) startAPI(ctx context.Context) (stop func(), err error) {
	current, err := n.openCertificate()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", n.cfg.API)
	if err != nil {
		return nil, fmt.Errorf("open the port of the API: %w", err)
	}
	a := &apiService{listener: l, server: newAPIServer(n.desk.api)}
	a.server.TLSConfig = &tls.Config{GetCertificate: current, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	a.server.ErrorLog = slog.NewLogLogger(n.cfg.Logger.Handler(), slog.LevelDebug) // what strangers do to the port
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			n.cfg.Logger.Error("the API is not served any more", "error", err)
		}
	})
	n.mu.Lock()
	n.api = a
	n.mu.Unlock()
	n.cfg.Logger.Info("API ready", "addr", l.Addr().String())
	return func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiStopTimeout)
		defer cancel()
		if err := a.server.Shutdown(stopping); err != nil {
			_ = a.server.Close() // requests that do not end are cut
		}
		running.Wait()
	}, nil
}

// newAPIServer returns a server with the bounds of the API (docs/api.md section 10).
func newAPIServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: apiHeaderTimeout, ReadTimeout: apiReadTimeout, WriteTimeout: apiWriteTimeout, IdleTimeout: apiIdleTimeout, MaxHeaderBytes: apiMaxHeader,
		ConnState: newConns(min(maxAPIConns, openFiles()/2)).state,
	}
}

// info is what the API says of the node.
func (n *Node) info() nodeapi.Info {
	return nodeapi.Info{
		Version: n.cfg.Version, NodeID: nodeID(n.Fingerprint().String()), Docroot: n.cfg.DocRoot, Fingerprint: n.Fingerprint().String(),
		UDPPort: portOf(n.Addr()), SSHPort: portOf(n.SSHAddr()), WSSPort: portOf(n.WSSAddr()),
	}
}

// nodeID is the short name of a node that is made of its fingerprint.
func nodeID(fingerprint string) string { return fingerprint[len("sha256:"):][:32] }

// managedKeys are the keys as the API changes them: what a key did goes with it.
type managedKeys struct {
	accesskey.Store
	jobs    *jobs.Manager
	changed func(key string, why error) // see guests
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
	if err := m.Store.Put(ctx, k); err != nil {
		return err
	}
	if !k.Disabled {
		m.changed(k.ID, nil)
		return nil
	}
	m.changed(k.ID, accesskey.ErrDisabled)
	return m.jobs.Disable(ctx, k.ID)
}

// Delete implements accesskey.Store.
func (m managedKeys) Delete(ctx context.Context, id string) error {
	if err := m.Store.Delete(ctx, id); err != nil {
		return err
	}
	m.changed(id, accesskey.ErrNotFound)
	return m.jobs.Forget(context.WithoutCancel(ctx), id) // there is no key any more whose removal could be asked for again
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
