//go:build linux

package main

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
	"github.com/tradewind-io/tradewind/internal/simnet"
	"github.com/tradewind-io/tradewind/internal/wanlink"
)

// linkQueue is that of the bottleneck.
const linkQueue = 100 * time.Millisecond

// linkRest is how late the link may be: 250 us are nothing beside its round trip, and cost half of the processor time of 50.
const linkRest = 250 * time.Microsecond

// site is where the two ends stand: both on loopback, or each in a namespace with the link between them.
type site struct {
	far        netip.Addr // where servers listen
	near, at   func(*exec.Cmd) error
	host       string // lab.Lab.NodeHost
	tun        *wanlink.Tun
	ended      chan error
	bitsPerSec float64
}

func openSite(ctx context.Context, o options) (*site, error) {
	bits, err := lab.ParseBits(o.rate)
	if err != nil {
		return nil, err
	}
	if o.link == "loopback" {
		start := (*exec.Cmd).Start
		// The host is named, so that lab lets the node take the large datagrams of loopback.
		return &site{far: netip.MustParseAddr("127.0.0.1"), near: start, at: start, host: "127.0.0.1", bitsPerSec: bits}, nil
	}
	imp := simnet.Impair{Rate: bits, Queue: linkQueue, Delay: o.rtt / 2, Loss: o.loss / 100, MTU: 1500}
	t, err := wanlink.NewTun(ctx, wanlink.TunConfig{Forward: imp, Backward: imp, Seed: 1, MTU: 1500, Rest: linkRest})
	if err != nil {
		return nil, err
	}
	s := &site{far: t.B.Addr4, near: t.A.Start, at: t.B.Start, host: t.B.Addr4.String(), tun: t, ended: make(chan error, 1), bitsPerSec: bits}
	go func() { s.ended <- t.Run(context.Background()) }() // until close
	return s, nil
}

func (s *site) close() error {
	if s.tun == nil {
		return nil
	}
	return errors.Join(s.tun.Close(), <-s.ended)
}
