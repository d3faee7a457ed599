package twnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/cluster/node/keystorage"
	"github.com/tradewind-io/tradewind/cluster/node/wsd"
	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/internal/cli/stores"
)

const serveHelp = `Serve the files below --docroot until SIGTERM or SIGINT; then no new sessions
are taken and the running ones may finish. A second signal ends the node at once.

When it is ready, one line of JSON with the node's addresses and fingerprint
appears on standard output. Logs go to standard error.

Every flag can stand in the YAML file given by --config, with "_" for "-", and in
an environment variable TWNODE_NAME; flags win over variables, variables over the file.
SIGHUP, or "twnode reload", reads the file again, that of vlinks, and the certificate, without
cutting a session: max_rate, vlinks, min_free, max_sessions, compression, drain_timeout and
log_level hold at once, others after a restart. A file with a mistake changes nothing. The log
file is opened anew, for those who have moved it away.

Under systemd the node says when it is ready (Type=notify); see docs/operations.md.

TWNODE_BOOTSTRAP_KEY=ID:SECRET makes an access key bound to the docroot, or gives
the one that exists this secret.

TWNODE_API_USER=NAME:PASSWORD makes a user who manages access keys over the REST API,
or gives the one that exists this password, of 12 characters or more.

TWNODE_SSH_USER=NAME:PASSWORD makes an account, for SSH and WebSocket, that reaches all of
the docroot, or gives the one that exists this password. Its public keys are the lines of the file
authorized_keys/NAME in the state folder, in the form of OpenSSH.`

const (
	bootstrapVariable = "TWNODE_BOOTSTRAP_KEY"
	userVariable      = "TWNODE_API_USER"
	accountVariable   = "TWNODE_SSH_USER"
)

func serveCommand(p cli.Process) *cobra.Command {
	c := &cobra.Command{Use: "serve --docroot DIR|URI --state DIR [flags]", Short: "Serve files", Long: serveHelp + "\n" + stores.Help, Args: noArgs}
	f := c.Flags()
	f.String("config", "", "YAML `file` with settings")
	f.String("docroot", "", "`folder` whose files are served, which must exist, or the URI of a place in an object store")
	f.String("state", "", "`folder` for identity and access keys, not in the docroot; made if needed")
	f.String("listen", fmt.Sprint(":", node.DefaultPort), "UDP `address` to listen on; port 0 takes a free one")
	f.String("max-rate", "0", "`rate` that all sessions share, each way, such as 1G; 0 is no bound")
	f.String("vlinks", "", "YAML `file` of vlinks, which cap what keys transfer together; see twnode vlinks --help")
	f.String("min-free", "0", "`bytes` that uploads leave free on the disk, such as 10G")
	f.Int("max-sessions", 256, "most sessions at a time, at least 1")
	f.String("part-size", "64M", "`bytes` of the parts in which objects in a store are written; they grow where an object needs it")
	f.String("part-memory", "0", "most `bytes` of parts in memory, of all sessions together; 0 is 32 parts")
	f.Int("datagram-size", 0, "largest UDP `payload` in bytes, 1200 to 65507; 0 fits an MTU of 1500, or up to 9000 where the path takes it")
	f.Int("history-days", 90, "`days` for which transfers that are over, their sessions and files, and events are kept; 0 is for ever. Usage and the audit log stay")
	f.Duration("drain-timeout", time.Hour, "how long running sessions may go on after SIGTERM")
	f.Bool("early-data", true, "let clients that were here before begin a round trip sooner")
	f.Bool("compression", true, "let clients have data compressed on its way, where that makes transfers faster")
	f.String("log-level", "info", "debug, info, warn or error")
	f.Bool("log-json", false, "log in JSON")
	f.String("log-file", "", "`file` to log into, in place of standard error")
	f.String("log-size", "10M", "`bytes` after which it gives way to a new one, at least 1M")
	f.Int("log-count", 9, "how many older ones are kept, at least 1")
	f.String("api", "", "TCP `address` of the REST API over HTTPS, such as :9092; a port alone is on all addresses; without it there is none")
	f.String("ssh", "", fmt.Sprintf("TCP `address` at which accounts log in by SSH, such as :%d; a port alone is on all addresses; without it there is none", node.DefaultPort))
	f.String("wss", "", fmt.Sprintf("TCP `address` at which twcp --ws-connect gets tickets over WebSocket and TLS, for accounts and access keys, such as :%d; a port alone is on all addresses; without it there is none", wsd.DefaultPort))
	f.String("debug", "", "TCP `address` for metrics (/metrics, for Prometheus), health (/healthz, /readyz), counters and profiles (/debug/vars, /debug/pprof/) over HTTP; a port alone is one of this machine only; without it there is none")
	f.String("profile", "", cli.ProfileHelp)
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := loadSettings(f, p.Env)
		if err != nil {
			return usageError{err}
		}
		return serve(c.Context(), p, s, func() (settings, error) { return loadSettings(f, p.Env) })
	}
	return c
}

// serve runs a node with these settings; again reads them anew.
func serve(ctx context.Context, p cli.Process, s settings, again func() (settings, error)) (err error) {
	stop, err := cli.Profile(s.Profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	log, err := openLog(p.Stderr, s)
	if err != nil {
		return usageError{err}
	}
	defer func() { err = errors.Join(err, log.close()) }()
	cfg, err := s.nodeConfig()
	if err != nil {
		return usageError{err}
	}
	cfg.Logger, cfg.Stores = log.Logger, stores.New(p.Env, log.Logger)
	cfg.OpenStorage = keystorage.Opener(keystorage.Config{
		UserAgent: "tradewind/" + cli.Version(), Roles: stores.RoleKeys(p.Env), STSEndpoint: stores.TokenService(p.Env), Logger: log.Logger,
	})
	for _, u := range []struct {
		variable, form, address, missing string
		into                             **accesskey.Credential
	}{
		{bootstrapVariable, "ID:SECRET", "always", "", &cfg.AccessKey},
		{userVariable, "NAME:PASSWORD", cfg.API, "there is no REST API; give --api", &cfg.APIUser},
		{accountVariable, "NAME:PASSWORD", cfg.SSH + cfg.WSS, "there is no SSH; give --ssh, or --wss for WebSocket", &cfg.SSHUser},
	} {
		text, ok := p.Env.Lookup(u.variable)
		if !ok {
			continue
		}
		user, err := accesskey.ParseCredential(text)
		if err == nil && u.variable == accountVariable {
			err = accesskey.CheckAccount(user.ID)
		}
		if err != nil {
			return usagef("%s: want %s: %w", u.variable, u.form, err)
		}
		if u.address == "" {
			return usagef("%s is set, but %s", u.variable, u.missing)
		}
		*u.into = &user
	}
	r := &reloader{again: again, now: s, links: cfg.VLinks, log: log, notify: notifier(p.Env)}
	cfg.Reload = r.reload
	n, err := node.New(cfg)
	if err != nil {
		return err
	}
	r.node = n
	if s.Debug != "" {
		d, err := listenDebug(s.Debug, n, log.Logger)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.close()) }()
	}
	signals, stopSignals := cli.HangUps()
	defer stopSignals()
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // while the node drains, too
	var reloading sync.WaitGroup
	reloading.Go(func() { r.run(life, signals) })
	defer reloading.Wait()
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-n.Ready():
	}
	warnStranded(ctx, n, log.Logger)
	if err := announce(p.Stdout, n); err != nil {
		log.Error("the ready line could not be written", "error", err)
	}
	r.ready()
	defer context.AfterFunc(ctx, r.stopping)()
	return <-ended
}

// announce writes the one line that tells a parent process that the node is ready.
func announce(w io.Writer, n *node.Node) error {
	text := func(a net.Addr) string {
		if a == nil {
			return ""
		}
		return a.String()
	}
	return json.NewEncoder(w).Encode(struct {
		Addresses      []string `json:"addresses"`
		Fingerprint    string   `json:"fingerprint"`
		API            string   `json:"api,omitempty"`
		SSH            string   `json:"ssh,omitempty"`
		SSHFingerprint string   `json:"ssh_fingerprint,omitempty"`
		WSS            string   `json:"wss,omitempty"`
		WSSFingerprint string   `json:"wss_fingerprint,omitempty"`
	}{addresses(n.Addr()), n.Fingerprint().String(), text(n.APIAddr()), text(n.SSHAddr()), n.SSHFingerprint(), text(n.WSSAddr()), n.WSSFingerprint()})
}

// addresses returns what clients can dial: those of all interfaces where the node listens on all.
func addresses(addr net.Addr) []string {
	udp, ok := addr.(*net.UDPAddr)
	if !ok || !udp.IP.IsUnspecified() {
		return []string{addr.String()}
	}
	list := []string{}
	all, _ := net.InterfaceAddrs()
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLinkLocalUnicast() {
			continue // a link-local address means nothing without its interface
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok {
			list = append(list, netip.AddrPortFrom(ip.Unmap(), uint16(udp.Port)).String())
		}
	}
	if len(list) == 0 {
		list = append(list, addr.String())
	}
	return list
}
