package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/cluster/node/sshd"
)

const hostKeyName = "ssh_host_ed25519_key"

// sshService is SSH while the node runs.
type sshService struct {
	listener net.Listener
	server   *sshd.Server
	key      ssh.PublicKey
}

// SSHAddr returns the address of SSH, nil before Ready and without it.
func (n *Node) SSHAddr() net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ssh == nil {
		return nil
	}
	return n.ssh.listener.Addr()
}

// SSHFingerprint returns the fingerprint of the host key, as OpenSSH writes it, "" before Ready and without SSH.
func (n *Node) SSHFingerprint() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ssh == nil {
		return ""
	}
	return ssh.FingerprintSHA256(n.ssh.key)
}

// startSSH serves SSH until stop, which returns when all its connections have ended.
func (n *Node) startSSH(ctx context.Context) (stop func(), err error) {
	key, err := loadHostKey(n.cfg.StateDir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(n.cfg.StateDir, keysFolder), 0o700); err != nil {
		return nil, fmt.Errorf("folder of authorized keys: %w", err)
	}
	temp := filepath.Join(n.cfg.StateDir, "listings")
	// What a node that was killed left there is nobody's any more.
	if err := errors.Join(os.RemoveAll(temp), os.Mkdir(temp, 0o700)); err != nil {
		return nil, fmt.Errorf("folder for listings: %w", err)
	}
	server, err := sshd.New(sshd.Config{
		Logins: n.desk.logins, Places: placesFunc(n.places.open), Tickets: tickets{n}, HostKey: key, Version: n.cfg.Version, TempDir: temp, Logger: n.cfg.Logger.With("service", "ssh"),
	})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", n.cfg.SSH)
	if err != nil {
		return nil, fmt.Errorf("open the port of SSH: %w", err)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(life, l); err != nil {
			n.cfg.Logger.Error("SSH is not served any more", "error", err)
		}
	})
	n.mu.Lock()
	n.ssh = &sshService{listener: l, server: server, key: key.PublicKey()}
	n.mu.Unlock()
	n.cfg.Logger.Info("SSH ready", "addr", l.Addr().String(), "fingerprint", ssh.FingerprintSHA256(key.PublicKey()))
	return func() { end(); running.Wait() }, nil
}

// loadHostKey returns the host key in the state folder dir, which it makes if there is none yet.
func loadHostKey(dir string) (ssh.Signer, error) {
	path := filepath.Join(dir, hostKeyName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeHostKey(path); err == nil {
			b, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("host key of SSH: %w", err)
	}
	key, err := ssh.ParsePrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// makeHostKey writes a new one to path.
func makeHostKey(path string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	return placeFile(path, pem.EncodeToMemory(block))
}
