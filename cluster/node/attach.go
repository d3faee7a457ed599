package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/cluster/node/jobs"
	"github.com/tradewind-io/tradewind/cluster/node/keystore"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// errNotRunning is for what only a running node can do.
var errNotRunning = errors.New("the node does not run; start it with twnode serve")

// How long a command waits for another one that looks after the same state folder, or for a node that is starting, and how long a node that starts waits for a command.
const (
	attachPatience = 10 * time.Second
	startPatience  = 2 * time.Second
	attachPause    = 20 * time.Millisecond
)

// unlocked calls fn until the state store is not locked any more, for so long.
func unlocked(ctx context.Context, patience time.Duration, fn func(ctx context.Context) error) error {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(attachPause), backoff.WithMaxInterval(5*attachPause), backoff.WithMaxElapsedTime(patience))
	return backoff.Retry(func() error {
		err := fn(ctx)
		if err == nil || errors.Is(err, state.ErrLocked) {
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(pause, ctx))
}

// Attach connects to the node of the state folder dir, to manage it. Where none runs, it opens the state store itself and keeps other processes from it, a node that wants to start too, until close is
// called; what needs a running node fails then. The folder must be that of a node, see LoadIdentity. logger may be nil.
func Attach(ctx context.Context, dir, version string, logger *slog.Logger) (c *admin.Client, closed func() error, err error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	id, err := ReadIdentity(dir)
	if err != nil {
		return nil, nil, err
	}
	err = unlocked(ctx, attachPatience, func(ctx context.Context) (err error) {
		if conn, err := admin.Dial(ctx, dir); err == nil {
			_ = conn.Close() // it was to see whether somebody is there
			c = admin.NewClient(func(ctx context.Context) (net.Conn, error) { return admin.Dial(ctx, dir) })
			closed = func() error { c.Close(); return nil }
			return nil
		}
		c, closed, err = attend(ctx, dir, id.Fingerprint().String(), version, logger)
		return err
	})
	if errors.Is(err, state.ErrLocked) {
		err = fmt.Errorf("a process has the state store open and does not answer at %s: %w", filepath.Join(dir, admin.SocketName), err)
	}
	return c, closed, err
}

// attend opens a desk in this process.
func attend(ctx context.Context, dir, fingerprint, version string, logger *slog.Logger) (*admin.Client, func() error, error) {
	d, err := openDesk(ctx, deskConfig{
		dir: dir, node: fingerprint, version: version, logger: logger,
		open: func(context.Context, accesskey.Grant) (transfer.Manager, func(), error) {
			return nil, nil, errNotRunning
		},
		dial: func(context.Context, accesskey.Grant, jobs.Remote) (fasp.Session, error) { return nil, errNotRunning },
	})
	if err != nil {
		return nil, nil, err
	}
	h, err := d.serve(nodeapi.Info{Version: version, NodeID: nodeID(fingerprint), Fingerprint: fingerprint})
	if err != nil {
		d.close()
		return nil, nil, err
	}
	l := newPipe()
	stop := serveAdmin(l, h, logger)
	c := admin.NewClient(l.dial)
	return c, func() error {
		c.Close()
		stop()
		return errors.Join(d.api.Close(context.Background()), d.state.Close())
	}, nil
}

// pipe is a net.Listener within this process.
type pipe struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipe() *pipe { return &pipe{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipe) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// Addr implements net.Listener.
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// Restore fills the state store of the state folder dir, which must have none yet, from a backup: there is a whole one afterwards or none, also when the process is killed. The folder needs the master.key that
// the backup's secrets are sealed with.
func Restore(ctx context.Context, dir string, from io.Reader, logger *slog.Logger) (err error) {
	master, err := accesskey.ReadMaster(dir)
	if err != nil {
		return fmt.Errorf("the secrets in a backup are sealed with the master.key of its node; put that into %s first: %w", dir, err)
	}
	path := filepath.Join(dir, stateName)
	for _, name := range []string{path, path + "-wal"} { // a log that is left over would be taken for one of the new store
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(fmt.Errorf("%s is there already; a backup is restored into a folder without one", name), err)
		}
	}
	aside, err := os.MkdirTemp(dir, "restore-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(aside)) }()
	whole := filepath.Join(aside, stateName)
	s, err := state.Open(ctx, state.Config{Path: whole, Log: logger})
	if err != nil {
		return err
	}
	if err = s.Restore(ctx, from); err == nil {
		_, err = keystore.Open(ctx, s, master)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	if err := os.Link(whole, path); err != nil { // which, unlike a rename, does not replace what somebody has made meanwhile
		return err
	}
	return syncFolder(dir)
}

// syncFolder makes names in a folder durable. Windows has no such call, and writes names through.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
