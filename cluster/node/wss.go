package node

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"sync"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/wsd"
)

// wssService hands over tickets over WebSocket while the node runs.
type wssService struct {
	listener net.Listener
	server   *wsd.Server
}

// WSSAddr returns the address of tickets over WebSocket, nil before Ready and without them.
func (n *Node) WSSAddr() net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wss == nil {
		return nil
	}
	return n.wss.listener.Addr()
}

// WSSFingerprint returns the fingerprint of the key in the certificate there, SHA-256 of its SubjectPublicKeyInfo written as that of SSH is, "" before Ready and without WebSocket.
func (n *Node) WSSFingerprint() string {
	if n.WSSAddr() == nil {
		return ""
	}
	sum := sha256.Sum256(n.certificate.Load().Leaf.RawSubjectPublicKeyInfo)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// startWSS hands over tickets over WebSocket until stop, which returns when all its connections have ended.
func (n *Node) startWSS(ctx context.Context) (stop func(), err error) {
	current, err := n.openCertificate()
	if err != nil {
		return nil, err
	}
	server, err := wsd.New(wsd.Config{
		// Users of the node have no storage of their own, so there is no ticket for them.
		Logins: n.desk.logins, Keys: &accesskey.Checker{Keys: n.checker.Keys, Tokens: n.checker.Tokens, Accounts: n.checker.Accounts, Node: n.checker.Node},
		Tickets: tickets{n}, Certificate: current, Logger: n.cfg.Logger.With("service", "wss"),
	})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", n.cfg.WSS)
	if err != nil {
		return nil, fmt.Errorf("open the port of WebSocket: %w", err)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(life, l); err != nil {
			n.cfg.Logger.Error("WebSocket is not served any more", "error", err)
		}
	})
	n.mu.Lock()
	n.wss = &wssService{l, server}
	n.mu.Unlock()
	n.cfg.Logger.Info("WebSocket ready", "addr", l.Addr().String(), "fingerprint", n.WSSFingerprint())
	return func() { end(); running.Wait() }, nil
}
