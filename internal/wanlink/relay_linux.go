package wanlink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// Relay forwards datagrams between clients and one server across an emulated link. Its methods are safe for concurrent
// use.
type Relay struct {
	cfg  Config
	eng  *engine
	addr netip.AddrPort

	// The rest belongs to the engine.
	listen *udpSocket
	flows  map[netip.AddrPort]*flow
	rx     *receiver
	tx     *sender
	ip     int // bytes of IP and UDP header
}

// flow is one client.
type flow struct {
	client netip.AddrPort
	name   []byte     // the client's struct sockaddr
	up     *udpSocket // nil once the client has been displaced
	used   time.Duration
}

// NewRelay binds the sockets and starts nothing. The caller calls Run or Close.
func NewRelay(cfg Config) (*Relay, error) {
	if !cfg.Target.IsValid() || cfg.Target.Port() == 0 {
		return nil, errors.New("wanlink: relay without a target")
	}
	cfg.Target = unmap(cfg.Target)
	if !cfg.Listen.Addr().IsValid() {
		local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if cfg.Target.Addr().Is6() {
			local = netip.IPv6Loopback()
		}
		cfg.Listen = netip.AddrPortFrom(local, cfg.Listen.Port())
	}
	cfg.Listen = unmap(cfg.Listen)
	if cfg.Listen.Addr().Is4() != cfg.Target.Addr().Is4() {
		return nil, fmt.Errorf("wanlink: listen address %v and target %v are of different families", cfg.Listen, cfg.Target)
	}
	if cfg.SocketBuffer <= 0 {
		cfg.SocketBuffer = defaultSocketBuffer
	}
	if cfg.MaxClients <= 0 {
		cfg.MaxClients = defaultMaxClients
	}
	r := &Relay{
		cfg:   cfg,
		flows: make(map[netip.AddrPort]*flow),
		rx:    newReceiver(),
		tx:    newSender(),
		ip:    28,
	}
	if cfg.Listen.Addr().Is6() {
		r.ip = 48
	}
	listen, err := openUDP(cfg.Listen, netip.AddrPort{}, cfg.SocketBuffer)
	if err != nil {
		return nil, fmt.Errorf("wanlink: listen on %v: %w", cfg.Listen, err)
	}
	if r.eng, err = newEngine(cfg.Forward, cfg.Backward, cfg.Seed, cfg.MaxInFlight); err != nil {
		listen.close()
		return nil, err
	}
	r.listen, r.addr = listen, listen.local
	listen.rx, listen.tx = r.rx, r.tx
	listen.deliver = r.fromClient
	listen.drops = &r.eng.dirs[forward].drops
	r.eng.dirs[forward].route = func(p *packet) port {
		if p.flow.up == nil {
			return nil // displaced while the packet was under way; a typed nil would not do
		}
		return p.flow.up
	}
	r.eng.dirs[backward].route = func(*packet) port { return listen }
	r.eng.release = r.release
	r.listPorts()
	return r, nil
}

// Addr returns the address that clients send to.
func (r *Relay) Addr() netip.AddrPort { return r.addr }

// Run relays until ctx ends or Close is called, which is no error, or until the machine fails. It may be called once;
// further calls return ErrClosed. It occupies an OS thread, and all sockets are closed when it returns.
func (r *Relay) Run(ctx context.Context) error { return r.eng.run(ctx) }

// Close ends Run and returns when the sockets are closed. Later calls do nothing.
func (r *Relay) Close() error {
	r.eng.close()
	return nil
}

// Stats returns the counters, the final ones once the relay has ended.
func (r *Relay) Stats() Stats { return r.eng.stats(nil) }

// Set changes both directions while the relay runs; see [simnet.Link.Set]. It returns ErrClosed once it has ended.
func (r *Relay) Set(fwd, back simnet.Impair) error {
	if !r.eng.setLinks(fwd, back) {
		return ErrClosed
	}
	return nil
}

// Cut interrupts both directions, or heals them. What is under way still arrives. It returns ErrClosed once the relay
// has ended.
func (r *Relay) Cut(down bool) error {
	if !r.eng.do(func() { r.eng.cut = down }) {
		return ErrClosed
	}
	return nil
}

// Rebind gives every client a new upstream socket, as a NAT does that has forgotten its mappings: the server sees the
// next datagrams come from other ports and what it sends to the old ones is lost. It returns ErrClosed once the relay
// has ended.
func (r *Relay) Rebind() error {
	var err error
	ok := r.eng.do(func() {
		for _, f := range r.flows {
			old := f.up
			up, e := r.upstream(f)
			if e != nil {
				err = fmt.Errorf("wanlink: rebind %v: %w", f.client, e)
				break
			}
			f.up = up
			old.close() // only now, so that the new port differs
		}
		r.listPorts()
	})
	if !ok {
		return ErrClosed
	}
	return err
}

// fromClient takes a datagram that came in at the listening socket.
func (r *Relay) fromClient(from netip.AddrPort, data []byte, at time.Duration) {
	if !from.IsValid() {
		return
	}
	f := r.flows[from]
	if f == nil {
		var err error
		if f, err = r.newFlow(from); err != nil {
			r.eng.dirs[forward].refused++ // out of file descriptors or ports
			return
		}
	}
	f.used = at
	r.eng.submit(forward, at, data, len(data)+r.ip, f)
}

// newFlow makes room for a client and opens its upstream socket.
func (r *Relay) newFlow(client netip.AddrPort) (*flow, error) {
	if len(r.flows) >= r.cfg.MaxClients {
		var oldest *flow
		for _, f := range r.flows {
			if oldest == nil || f.used < oldest.used {
				oldest = f
			}
		}
		oldest.up.close()
		oldest.up = nil
		delete(r.flows, oldest.client)
		r.listPorts()
	}
	f := &flow{client: client, name: appendName(nil, client)}
	up, err := r.upstream(f)
	if err != nil {
		return nil, err
	}
	f.up = up
	r.flows[client] = f
	r.listPorts()
	return f, nil
}

func (r *Relay) upstream(f *flow) (*udpSocket, error) {
	// The kernel chooses the source address that fits the target.
	local := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if r.cfg.Target.Addr().Is6() {
		local = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	up, err := openUDP(local, r.cfg.Target, r.cfg.SocketBuffer)
	if err != nil {
		return nil, err
	}
	up.rx, up.tx = r.rx, r.tx
	up.drops = &r.eng.dirs[backward].drops
	up.deliver = func(_ netip.AddrPort, data []byte, at time.Duration) {
		f.used = at
		r.eng.submit(backward, at, data, len(data)+r.ip, f)
	}
	return up, nil
}

func (r *Relay) listPorts() {
	r.eng.ports = append(r.eng.ports[:0], r.listen)
	for _, f := range r.flows {
		r.eng.ports = append(r.eng.ports, f.up)
	}
	r.eng.pollStale = true
}

func (r *Relay) release() {
	r.listen.close()
	for _, f := range r.flows {
		f.up.close()
	}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
