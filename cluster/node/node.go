package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/jobs"
	"github.com/tradewind-io/tradewind/cluster/node/logins"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/fasp/vlink"
	"github.com/tradewind-io/tradewind/objstore"
)

// Node serves transfers; see the package. Methods may be called by several goroutines at once.
type Node struct {
	cfg      Config
	identity *fasp.Identity
	checker  *accesskey.Checker // set by Run
	ready    chan struct{}
	reloads  chan struct{} // whoever reconfigures holds the one token
	tuning   atomic.Pointer[tuning]
	// certificate is that of the API and of WebSocket, nil where it is not in use.
	certificate atomic.Pointer[tls.Certificate]

	places *places
	live   transfer.Sessions
	totals totals
	paths  fasp.Paths  // to other nodes
	desk   *desk       // nil where Config.Keys are enough
	api    *apiService // nil without Config.API
	ssh    *sshService // nil without Config.SSH
	wss    *wssService // nil without Config.WSS
	links  *vlink.Links
	guests *guests
	idle   chan struct{} // closed when the node drains and serves nobody

	mu       sync.Mutex // guards what follows
	ran      bool
	endpoint *fasp.Endpoint // nil until it listens
	served   *desk          // nil until its API is there
	draining bool
	waiting  []*waiter // sessions whose proof has not been checked, oldest first
	serving  int
}

// New checks cfg, and loads or makes the identity. It starts nothing.
func New(cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, identity: cfg.Identity, reloads: make(chan struct{}, 1), ready: make(chan struct{}), idle: make(chan struct{}), guests: newGuests()}
	if n.identity == nil {
		if n.identity, err = LoadIdentity(cfg.StateDir); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil { // with an identity from elsewhere nobody has made it yet
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if n.links, err = vlink.New(vlink.Config{Host: vlink.Caps{Out: cfg.MaxRate, In: cfg.MaxRate}, Links: cfg.VLinks}); err != nil {
		return nil, err
	}
	n.tuning.Store(newTuning(&cfg))
	return n, nil
}

// Fingerprint returns the identity that clients pin.
func (n *Node) Fingerprint() fasp.Fingerprint { return n.identity.Fingerprint() }

// Ready is closed when Run accepts sessions.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Addr returns the address of the UDP socket, nil before Ready.
func (n *Node) Addr() net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoint == nil {
		return nil
	}
	return n.endpoint.LocalAddr()
}

// Sessions returns how many authenticated sessions are running.
func (n *Node) Sessions() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.serving
}

// Stats is what a node does now, and what its socket did since Run.
type Stats struct {
	Sessions        int // authenticated
	Unauthenticated int // whose proof has not been checked yet
	MaxSessions     int
	Draining        bool
	Totals          Totals
	API             nodeapi.Stats // of requests over the network and by the socket
	SSH, WSS        logins.Stats
	Logins          logins.Counts      // of all ways together
	Endpoint        fasp.EndpointStats // zero before Ready
}

// Stats returns a copy of the counters.
func (n *Node) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := Stats{Sessions: n.serving, Unauthenticated: len(n.waiting), MaxSessions: n.tuning.Load().maxSessions, Draining: n.draining, Totals: n.totals.get()}
	if n.endpoint != nil {
		s.Endpoint = n.endpoint.Stats()
	}
	if n.ssh != nil {
		s.SSH = n.ssh.server.Stats()
	}
	if n.wss != nil {
		s.WSS = n.wss.server.Stats()
	}
	if n.served != nil {
		s.API, s.Logins = n.served.api.Stats(), n.served.logins.Counts()
	}
	return s
}

// Jobs counts the jobs that are not over; none before Ready, and where Config.Keys leave nothing to keep them in. Errors are those of the state store.
func (n *Node) Jobs(ctx context.Context) (jobs.Counts, error) {
	n.mu.Lock()
	d := n.served
	n.mu.Unlock()
	if d == nil {
		return jobs.Counts{}, nil
	}
	return d.jobs.Counts(ctx)
}

// Stranded returns the ids of access keys that name a virtual link that is not there, and are refused for that. Before Ready they are known only if Config.Keys has them. Errors are those of the store.
func (n *Node) Stranded(ctx context.Context) (ids []string, err error) {
	store := n.cfg.Keys
	if store == nil {
		select {
		case <-n.ready:
			store = n.checker.Keys
		default:
			return nil, nil
		}
	}
	keys, err := store.Keys(ctx)
	for _, k := range keys {
		if !n.links.Has(k.VLink) {
			ids = append(ids, k.ID)
		}
	}
	return ids, err
}

// manage opens the desk, where there is one, and what is served beside transfers. stop ends all that.
func (n *Node) manage(ctx context.Context) (_ func(), err error) {
	var undo []func()
	stop := func() {
		for _, fn := range slices.Backward(undo) {
			fn()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	if !n.cfg.keepsState() {
		master, err := accesskey.LoadMaster(n.cfg.StateDir)
		n.checker = &accesskey.Checker{Keys: n.cfg.Keys, Tokens: accesskey.NewKeyring(master), Node: n.Fingerprint().String()}
		return stop, err
	}
	if err := unlocked(ctx, startPatience, func(ctx context.Context) (err error) {
		n.desk, err = openDesk(ctx, deskConfig{
			dir: n.cfg.StateDir, keys: n.cfg.Keys, node: n.Fingerprint().String(), version: n.cfg.Version, open: n.places.open, dial: n.dial,
			stats: func() any { return n.Stats() }, reload: n.cfg.Reload, changed: n.guests.changed, logger: n.cfg.Logger,
		})
		return err
	}); err != nil {
		return nil, err
	}
	undo = append(undo, n.desk.close)
	n.checker = n.desk.checker
	if err := n.bootstrap(ctx); err != nil {
		return nil, err
	}
	for _, service := range []struct {
		wanted bool
		start  func(context.Context) (func(), error)
	}{
		{n.cfg.SSH != "", n.startSSH},
		{n.cfg.WSS != "", n.startWSS},
		{true, n.startDesk}, // whose API says where those are
		{n.cfg.API != "", n.startAPI},
	} {
		if !service.wanted {
			continue
		}
		end, err := service.start(ctx)
		if err != nil {
			return nil, err
		}
		undo = append(undo, end)
	}
	return stop, nil
}

// Run serves until ctx ends; then it takes no new sessions, waits for the running ones up to Config.DrainTimeout, ends the rest, and returns nil
// when all is over. Other errors are those of the socket and the docroot. Run can be called once.
func (n *Node) Run(ctx context.Context) error {
	n.mu.Lock()
	ran := n.ran
	n.ran = true
	n.mu.Unlock()
	if ran {
		return errors.New("node: Run was called before")
	}
	var err error
	n.places, err = openPlaces(ctx, n.cfg.DocRoot, n.cfg.StateDir, n.cfg.Stores, n.cfg.OpenStorage, objstore.Config{
		PartSize: n.cfg.PartSize, Pool: objstore.NewPool(n.cfg.PartMemory), Logger: n.cfg.Logger,
	}, n.cfg.ahead())
	if err != nil {
		return err
	}
	defer func() {
		if err := n.places.close(); err != nil {
			n.cfg.Logger.Warn("docroot not closed", "error", err)
		}
	}()
	ep, err := n.listen()
	if err != nil {
		return fmt.Errorf("open the UDP port: %w", err)
	}
	defer ep.Close()
	n.mu.Lock()
	n.endpoint = ep
	n.mu.Unlock()
	n.resize() // it may have been reconfigured meanwhile
	stop, err := n.manage(ctx)
	if err != nil {
		return err
	}
	defer stop()
	n.cfg.Logger.Info("node ready", "addr", ep.LocalAddr().String(), "fingerprint", n.Fingerprint().String(), "docroot", n.cfg.DocRoot)
	close(n.ready)

	// Sessions live on when ctx ends, until the drain is over.
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	failed := make(chan error, 1)
	var accepting sync.WaitGroup
	accepting.Go(func() { failed <- n.accept(life, ep) })
	sharing, stop := context.WithCancel(context.WithoutCancel(ctx)) // until the last session is over
	var shared sync.WaitGroup
	shared.Go(func() { n.links.Run(sharing) })
	shared.Go(func() { n.review(sharing) })
	defer shared.Wait()
	defer stop()
	select {
	case <-ctx.Done():
		n.drain()
	case err = <-failed:
	}
	end(errShutdown)
	accepting.Wait()
	n.cfg.Logger.Info("node stopped")
	return err
}

var errShutdown = errors.New("the node shuts down")

func (n *Node) listen() (*fasp.Endpoint, error) {
	cfg := fasp.Config{
		Identity: n.identity, Datagram: n.cfg.Datagram, MaxDatagram: n.cfg.Datagram, Grant: n.cfg.MaxRate, MaxSessions: n.cfg.MaxSessions + n.cfg.MaxUnauthenticated,
		// Before the proof, the window must not grow; afterwards it is raised with SetWindow.
		Window: n.cfg.InitialWindow, WindowMax: n.cfg.InitialWindow, Unproven: n.cfg.UnprovenMemory,
		Extents: uint64(n.cfg.ahead() / transfer.PageSize),
		// What a session that begins early may do before it is confirmed is for package transfer to say, and for transfer in session.go.
		EarlyData: !n.cfg.NoEarlyData,
		Logger:    n.cfg.Logger,
	}
	if n.cfg.PacketConn != nil {
		return fasp.NewEndpoint(n.cfg.PacketConn, cfg)
	}
	return fasp.Listen(n.cfg.Listen, cfg)
}

// accept serves sessions until life or the endpoint ends, and returns when all of them have ended.
func (n *Node) accept(life context.Context, ep *fasp.Endpoint) error {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		conn, err := ep.Accept(life)
		if err != nil {
			if life.Err() != nil {
				return nil
			}
			return err
		}
		// New sessions during the drain are accepted only to tell the client at once that it must go elsewhere.
		ctx, w := n.admit(life, conn)
		sessions.Go(func() { n.serve(life, ctx, w) })
	}
}

// drain waits until all sessions have ended, for as long as they may.
func (n *Node) drain() {
	n.mu.Lock()
	n.draining = true
	waiting := append([]*waiter(nil), n.waiting...)
	serving := n.serving
	if serving == 0 {
		close(n.idle)
	}
	n.mu.Unlock()
	for _, w := range waiting {
		w.giveUp(errShutdown)
	}
	timeout := n.tuning.Load().drainTimeout
	if timeout < 0 {
		return
	}
	n.cfg.Logger.Info("draining", "sessions", serving, "timeout", timeout)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-n.idle:
	case <-timer.C:
		n.cfg.Logger.Warn("sessions did not end in time and are cut; their clients resume by themselves")
	}
}
