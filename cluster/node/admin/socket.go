package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// SocketName is the socket in a state folder.
const SocketName = "admin.sock"

// Listen opens the socket in the state folder dir, for this user only. What a node that was killed left there is taken away: the caller holds the lock of the state store, so that nobody
// else serves it.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("administration: %w", err)
	}
	near, done, err := nearby(dir)
	if err != nil {
		return nil, fmt.Errorf("administration: %w", err)
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: near, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("administration: %w", err)
	}
	l.SetUnlinkOnClose(false) // by the name that it was opened with, which may be gone
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("administration: %w", err), l.Close())
	}
	return &listener{l, path}, nil
}

// listener takes the socket away when it is closed.
type listener struct {
	net.Listener
	path string
}

// Close implements net.Listener.
func (l *listener) Close() error {
	err := l.Listener.Close()
	if rerr := os.Remove(l.path); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// Dial connects to the node that runs on the state folder dir. The error matches fs.ErrNotExist, or that of a connection which was refused, where none does.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	near, done, err := nearby(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", near)
}

// maxSocketName is what every system takes as the name of a socket, in bytes; the least is 104 with a NUL.
const maxSocketName = 100
