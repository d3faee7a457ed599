package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/cluster/node/audit"
	"github.com/tradewind-io/tradewind/cluster/node/fileids"
	"github.com/tradewind-io/tradewind/cluster/node/jobs"
	"github.com/tradewind-io/tradewind/cluster/node/keystore"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// stateName is the state store in the state folder.
const stateName = "state.db"

// desk is what a node is managed with: the state store, the keys in it, the record of transfers, and the API over all that. A node that runs has one, and so has a command that looks after a state
// folder whose node does not run.
type desk struct {
	cfg     deskConfig
	state   *state.Store
	checker *accesskey.Checker
	master  accesskey.Master
	people  *accounts
	logins  *logins.Gate // of all ways in which passwords are tried
	jobs    *jobs.Manager
	files   *fileids.Files
	api     *nodeapi.Server // nil before serve
	log     *audit.Log
}

type deskConfig struct {
	dir     string          // the state folder
	keys    accesskey.Store // nil: those of the state store
	node    string          // fingerprint
	version string
	open    func(ctx context.Context, g accesskey.Grant) (transfer.Manager, func(), error)
	dial    func(ctx context.Context, g accesskey.Grant, to jobs.Remote) (fasp.Session, error)
	stats   func() any                                            // nil where no node runs
	reload  func(ctx context.Context) (later []string, err error) // may be nil
	changed func(key string, why error)                           // see guests; nil where no node runs
	logger  *slog.Logger
}

// openDesk opens the state store, which no other process may have open, and all that belongs to it.
func openDesk(ctx context.Context, cfg deskConfig) (_ *desk, err error) {
	if cfg.changed == nil {
		cfg.changed = func(string, error) {}
	}
	d := &desk{cfg: cfg}
	if d.state, err = state.Open(ctx, state.Config{Path: filepath.Join(cfg.dir, stateName), Log: cfg.logger}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.state.Close())
		}
	}()
	if d.master, err = d.loadMaster(ctx); err != nil {
		return nil, err
	}
	keys := cfg.keys
	if keys == nil {
		if keys, err = keystore.Open(ctx, d.state, d.master); err != nil {
			return nil, err
		}
	}
	d.people = &accounts{state: d.state, changed: cfg.changed, dir: filepath.Join(cfg.dir, keysFolder), log: cfg.logger}
	d.logins = logins.NewGate(d.people, nil)
	d.checker = &accesskey.Checker{Keys: keys, Users: nodeUsers{d.state}, Accounts: d.people, Tokens: accesskey.NewKeyring(d.master), Node: cfg.node}
	if d.jobs, err = jobs.New(jobs.Config{
		State: d.state, Master: d.master, Keys: keys, Open: cfg.open, Dial: cfg.dial, StateDir: filepath.Join(cfg.dir, "transfers"), Log: cfg.logger,
	}); err != nil {
		return nil, err
	}
	if d.files, err = fileids.New(fileids.Config{State: d.state, Places: placesFunc(cfg.open), Keys: managedKeys{keys, d.jobs, cfg.changed}, Changed: func() { cfg.changed("", nil) }, Log: cfg.logger}); err != nil {
		return nil, err
	}
	d.log = audit.New(d.state)
	return d, nil
}

// loadMaster reads the master key, and makes it where nothing is sealed yet.
func (d *desk) loadMaster(ctx context.Context) (accesskey.Master, error) {
	m, err := accesskey.ReadMaster(d.cfg.dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	keys, _, err := d.state.Keys(ctx, state.KeyFilter{}, state.Page{Limit: 1})
	if err != nil {
		return m, err
	}
	if len(keys) > 0 {
		return m, fmt.Errorf("the state folder has access keys and no master.key, which they are sealed with; bring it back from a backup: %w", accesskey.ErrCorrupt)
	}
	return accesskey.LoadMaster(d.cfg.dir)
}

func (d *desk) close() {
	if err := d.state.Close(); err != nil {
		d.cfg.logger.Error("state store not closed", "error", err)
	}
}

// serve makes the API, and the one for administration over it.
func (d *desk) serve(info nodeapi.Info) (*admin.Server, error) {
	keys := d.files.Keys()
	var err error
	if d.api, err = nodeapi.New(nodeapi.Config{
		Auth: d.checker, Keys: keys, Places: d.files.Places(), TokenSecret: d.master.Derive("tw-iteration-1"), Info: info,
		Logins: d.logins, Extensions: []nodeapi.Extension{d.jobs, d.files, d.log, &nodeapi.PublicKeys{Accounts: d.people, Audit: d.log.Write}}, Audit: d.log.Write,
		Unattended: d.cfg.stats == nil, Logger: d.cfg.logger,
	}); err != nil {
		return nil, err
	}
	cfg := admin.Config{
		API: d.api.Trusted(admin.Actor), State: d.state, Keys: keys, Exclusive: d.api.Exclusive, People: d.people, Tokens: d.checker.Tokens, Node: d.cfg.node, Audit: d.log.Write,
		Version: d.cfg.version, Reload: d.cfg.reload, Stats: d.cfg.stats, Log: d.cfg.logger,
	}
	if d.cfg.stats != nil {
		cfg.Probe = d.api.Resume
	}
	return admin.New(cfg), nil
}

// placesFunc implements the Places of the API.
type placesFunc func(ctx context.Context, g accesskey.Grant) (transfer.Manager, func(), error)

// Open implements nodeapi.Places.
func (f placesFunc) Open(ctx context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	return f(ctx, g)
}

// serveAdmin serves administration at l until stop.
func serveAdmin(l net.Listener, h http.Handler, log *slog.Logger) (stop func()) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: apiHeaderTimeout, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("administration is not served any more", "error", err)
		}
	})
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), apiStopTimeout)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			_ = s.Close() // requests that do not end are cut
		}
		running.Wait()
	}
}
