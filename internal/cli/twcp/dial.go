package twcp

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/objstore"
)

// dialer opens sessions and authenticates them. It is used by one goroutine at a time.
type dialer struct {
	credential accesskey.Opener
	account    *account // in place of credential and trust; nil if they are used
	manage     bool     // sessions look and arrange, and transfer nothing
	fixedPort  bool     // the user has given the UDP port, whatever a ticket says
	trust      trust
	idle       time.Duration // see fasp.Config.IdleTimeout
	handshake  time.Duration // see fasp.Config.HandshakeTimeout
	paths      *fasp.Paths   // may be nil
	tickets    *fasp.Tickets // may be nil: sessions do not begin early
	log        *slog.Logger
}

// use says with which credentials, and how servers are known.
func (d *dialer) use(c credentials, o *options, env cli.Env, warn func(string, ...any)) (err error) {
	d.credential, d.account, d.fixedPort = c.opener, c.account, o.fixedPort || o.flags.Changed("udp-port")
	if c.account != nil {
		return c.account.reach(o, env, warn)
	}
	d.trust, err = newTrust(o, env, warn)
	return err
}

// programUser is the name that programs give which drive clients of this kind, with a token beside it.
const programUser = "xfer"

// warnUnusedName tells who gave the name of an account that a token of the environment goes before it: what follows is done with the rights of another.
func warnUnusedName(user string, c credentials, env cli.Env, warn func(string, ...any)) {
	if user != "" && user != programUser && c.account == nil && env.Get(tokenVariable) != "" {
		warn("%s is not used as the name of an account: %s is set, and comes first; unset it to log in", user, tokenVariable)
	}
}

// window is as nodes have it: a second of 1 Gbit/s.
const window = 128 << 20

// dial is for transfer.Config.Dial.
func (d *dialer) dial(ctx context.Context, spec *transfer.Spec) (fasp.Session, error) {
	list, err := ciphers(spec.Cipher)
	if err != nil {
		return nil, usagef("%w", err)
	}
	port, opener, trusted := spec.Port, d.credential, d.trust
	if d.account != nil {
		q := toManage()
		if !d.manage {
			q = toTransfer(spec)
		}
		t, err := d.account.ticketFor(ctx, spec.Host, q)
		if err != nil {
			return nil, err
		}
		opener, trusted = t.opener, trust{pinned: &t.fingerprint}
		if !d.fixedPort {
			port = t.port
		}
	}
	addr := net.JoinHostPort(spec.Host, strconv.Itoa(port))
	t := &trusting{trust: trusted, addr: addr}
	cfg := fasp.Config{
		VerifyServer: t.verify,
		Opening:      func(x fasp.Exporter) ([]byte, error) { return opener.Opening(x) },
		Window:       window,
		Ciphers:      list, IdleTimeout: d.idle, HandshakeTimeout: d.handshake, Logger: d.log, Paths: d.paths, Tickets: d.tickets,
	}
	if spec.Direction == transfer.Send {
		cfg.Rates = spec.Rates
	} else if !objstore.IsURI(spec.Destination) {
		cfg.Extents = window / transfer.PageSize // a folder takes all that the window lets come
	}
	if spec.DatagramSize != 0 {
		cfg.Datagram = spec.DatagramSize - overhead(ctx, spec.Host)
		cfg.MaxDatagram = cfg.Datagram
	}
	conn, err := fasp.Dial(ctx, addr, cfg)
	if err == nil && t.unknown() {
		// A session that began early says only now what the server has proved; that is worth the wait where the server was forgotten meanwhile.
		if err = conn.Confirmed(ctx); err != nil {
			conn.Close(fasp.CodeCancelled, "")
		}
	}
	if err != nil {
		return nil, &connectError{spec.Host, port, err}
	}
	// The handshake has proved that the server holds the key it showed; before, it would have been a claim.
	if err := t.accepted(); err != nil {
		conn.Close(fasp.CodeCancelled, "")
		return nil, err
	}
	return conn, nil
}

// trusting is the trust of one session. Its handshake may go on in another goroutine when the session has begun.
type trusting struct {
	mu    sync.Mutex // guards what follows
	trust trust
	addr  string
	shown fasp.Fingerprint
}

// verify is for fasp.Config.VerifyServer.
func (t *trusting) verify(fp fasp.Fingerprint) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown = fp
	return t.trust.verify(t.addr, fp)
}

// unknown says whether the server was not known before.
func (t *trusting) unknown() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.trust.first
}

// accepted notes a server that was not known.
func (t *trusting) accepted() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.trust.accepted(t.addr, t.shown)
}

// connectError is why a server was not reached.
type connectError struct {
	host string
	port int // UDP
	err  error
}

func (e *connectError) Error() string {
	return fmt.Sprintf("%s, UDP port %d: %v", e.host, e.port, e.err)
}
func (e *connectError) Unwrap() error { return e.err }

// overhead is the size of the IP and UDP headers towards a host.
func overhead(ctx context.Context, host string) int {
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err == nil && len(ips) > 0 && is6(ips[0]) {
		return 48
	}
	return 28
}

func is6(ip netip.Addr) bool { return ip.Unmap().Is6() }

// trust decides whether a server is the one that is meant: by a fingerprint given, or by the file of known hosts, where a server that
// is seen for the first time is entered.
type trust struct {
	pinned *fasp.Fingerprint
	ignore bool
	known  cli.KnownHosts
	ssh    bool // it is a host of SSH, whose fingerprint is written in other ways, too
	quiet  bool // who is seen for the first time is known otherwise, so it is entered without a word
	warn   func(format string, args ...any)

	first bool // this server was not known
}

// newTrust reads the options.
func newTrust(o *options, env cli.Env, warn func(string, ...any)) (t trust, err error) {
	t.warn = warn
	switch {
	case o.fingerprint != "":
		fp, err := fasp.ParseFingerprint(o.fingerprint)
		if err != nil {
			return t, usagef("--fingerprint: %w", err)
		}
		t.pinned = &fp
	case o.ignoreHostKey:
		t.ignore = true
		warn("the server's key is not checked: whoever answers can read and change what is transferred")
	case o.knownHosts != "":
		t.known.Path = o.knownHosts
	default:
		dir, err := env.ConfigDir()
		if err != nil {
			return t, usagef("no place for the file of known hosts: %w; give --known-hosts or --fingerprint", err)
		}
		t.known.Path = filepath.Join(dir, "known_hosts")
	}
	return t, nil
}

// verify is called while the server's key is still a claim.
func (t *trust) verify(addr string, got fasp.Fingerprint) error {
	t.first = false
	switch {
	case t.pinned != nil:
		return fasp.PinnedKey(*t.pinned)(got)
	case t.ignore:
		return nil
	}
	known, err := t.known.Check(addr, got)
	t.first = !known && err == nil
	return err
}

// accepted is called when the server has proved that the key is its own.
func (t *trust) accepted(addr string, fp fasp.Fingerprint) error {
	if !t.first {
		return nil
	}
	if err := t.known.Add(addr, fp); err != nil {
		return fmt.Errorf("%w: %w", fasp.ErrIdentity, err)
	}
	t.first = false
	if t.quiet {
		return nil
	}
	text := fp.String()
	if t.ssh {
		text = "SHA256:" + base64.RawStdEncoding.EncodeToString(fp[:]) + " (" + text + ")"
	}
	t.warn("%s was not known; its key %s is kept in %s", addr, text, t.known.Path)
	return nil
}
