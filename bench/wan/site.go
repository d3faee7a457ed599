package main

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"

	"github.com/tradewind-io/tradewind/internal/lab"
	"github.com/tradewind-io/tradewind/internal/simnet"
	"github.com/tradewind-io/tradewind/internal/wanlink"
)

// site is a node at the far end of an emulated link, which a thread of this process carries.
type site struct {
	node  *lab.Node
	addr  string                // where clients find the node
	start func(*exec.Cmd) error // starts a client at the near end
	link  link
	ended chan error // gets what the link's Run returns
}

// link is what a wanlink.Tun and a wanlink.Relay have in common.
type link interface {
	Run(context.Context) error
	Close() error
	Stats() wanlink.Stats
}

// tryTun says why there can be no TUN devices and namespaces, nil where there can.
func tryTun(ctx context.Context) error {
	t, err := wanlink.NewTun(ctx, wanlink.TunConfig{})
	if err != nil {
		return err
	}
	return t.Close()
}

func impair(k lab.Link) simnet.Impair {
	return simnet.Impair{Rate: k.Rate, Queue: k.Queue, Delay: k.RTT / 2, Loss: k.Loss, MTU: 1500}
}

// openTun starts a node in one of two namespaces; clients start in the other.
func openTun(ctx context.Context, l lab.Lab, k lab.Link, docroot string) (*site, error) {
	t, err := wanlink.NewTun(ctx, wanlink.TunConfig{Forward: impair(k), Backward: impair(k), Seed: k.Seed, MTU: 1500})
	if err != nil {
		return nil, err
	}
	l.NodeHost, l.NodeStart = t.B.Addr4.String(), t.B.Start
	node, err := l.StartNode(ctx, docroot)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return newSite(node, node.Addr, t.A.Start, t), nil
}

// openRelay starts a node and a relay to it on loopback.
func openRelay(ctx context.Context, l lab.Lab, k lab.Link, docroot string) (*site, error) {
	node, err := l.StartNode(ctx, docroot)
	if err != nil {
		return nil, err
	}
	target, err := netip.ParseAddrPort(node.Addr)
	if err == nil {
		var r *wanlink.Relay
		if r, err = wanlink.NewRelay(wanlink.Config{Target: target, Forward: impair(k), Backward: impair(k), Seed: k.Seed}); err == nil {
			return newSite(node, r.Addr().String(), (*exec.Cmd).Start, r), nil
		}
	}
	node.Kill()
	return nil, err
}

func newSite(node *lab.Node, addr string, start func(*exec.Cmd) error, l link) *site {
	s := &site{node: node, addr: addr, start: start, link: l, ended: make(chan error, 1)}
	go func() { s.ended <- l.Run(context.Background()) }() // until close, so that the node can say goodbye
	return s
}

// close ends what is left and removes the link. The node goes first: it would keep its namespace alive.
func (s *site) close() error {
	s.node.Kill()
	err := s.link.Close()
	return errors.Join(err, <-s.ended)
}
