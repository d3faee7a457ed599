//go:build !linux

package wanlink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

var errLinux = fmt.Errorf("wanlink: linux only: %w", errors.ErrUnsupported)

// Relay exists on Linux only.
type Relay struct{}

func NewRelay(Config) (*Relay, error)                 { return nil, errLinux }
func (*Relay) Addr() netip.AddrPort                   { return netip.AddrPort{} }
func (*Relay) Run(context.Context) error              { return errLinux }
func (*Relay) Close() error                           { return nil }
func (*Relay) Stats() Stats                           { return Stats{} }
func (*Relay) Set(simnet.Impair, simnet.Impair) error { return errLinux }
func (*Relay) Cut(bool) error                         { return errLinux }
func (*Relay) Rebind() error                          { return errLinux }

// Tun exists on Linux only.
type Tun struct{ A, B Endpoint }

// Endpoint exists on Linux only.
type Endpoint struct {
	Namespace    string
	Device       string
	Addr4, Addr6 netip.Addr
}

func NewTun(context.Context, TunConfig) (*Tun, error) { return nil, errLinux }
func (*Tun) Run(context.Context) error                { return errLinux }
func (*Tun) Close() error                             { return nil }
func (*Tun) Stats() Stats                             { return Stats{} }
func (*Tun) Set(simnet.Impair, simnet.Impair) error   { return errLinux }
func (*Tun) Cut(bool) error                           { return errLinux }
func (Endpoint) Do(func() error) error                { return errLinux }
func (Endpoint) Start(*exec.Cmd) error                { return errLinux }
