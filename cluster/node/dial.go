package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/jobs"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/fasp/vlink"
)

// dial opens a session with another node for a job. It belongs to the vlink of the job's key, as sessions of clients do.
func (n *Node) dial(ctx context.Context, g accesskey.Grant, to jobs.Remote) (fasp.Session, error) {
	addr := net.JoinHostPort(to.Host, strconv.Itoa(to.Port))
	known := &knownNode{state: n.desk.state, key: g.KeyID, addr: addr}
	if err := known.load(ctx, to.Fingerprint); err != nil {
		return nil, err
	}
	cfg := fasp.Config{
		VerifyServer: known.verify, Opening: func(x fasp.Exporter) ([]byte, error) { return to.Opener.Opening(x) },
		Window: n.cfg.InitialWindow, Logger: n.cfg.Logger, Paths: &n.paths,
	}
	if to.Spec.Direction == transfer.Send {
		cfg.Rates = to.Spec.Rates
	}
	conn, err := fasp.Dial(ctx, addr, cfg)
	if err != nil {
		if known.other != nil {
			return nil, &transfer.Error{Code: transfer.CodeInsecureConnection, Op: "connect to " + addr, Err: known.other}
		}
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	if err := known.save(ctx); err != nil {
		conn.Close(fasp.CodeInternal, "")
		return nil, err
	}
	// Its caps bind jobs of a key and sessions of its clients together.
	sess, err := n.links.Join(conn, memberOf(g))
	if err != nil {
		conn.Close(fasp.CodeCancelled, "")
		return nil, &transfer.Error{Code: transfer.CodeAuth, Op: "vlink", Err: fmt.Errorf("the access key belongs to a vlink that this node does not have: %s", g.VLink)}
	}
	return &jobSession{Session: sess}, nil
}

// jobSession leaves its vlink when it is closed.
type jobSession struct {
	*vlink.Session
	leave sync.Once
}

// Close implements fasp.Session.
func (s *jobSession) Close(code fasp.Code, reason string) error {
	s.leave.Do(s.Session.Leave)
	return s.Session.Close(code, reason)
}

// knownNode is what is known of another node's key: what the job says, or else what it showed when it was met first.
type knownNode struct {
	state *state.Store
	key   string // whose job it is: what one tenant has met first says nothing to another
	addr  string
	want  *fasp.Fingerprint // nil if it was not met before

	mu    sync.Mutex // guards what follows
	shown fasp.Fingerprint
	other error // it shows another key
}

func (k *knownNode) name() string {
	sum := sha256.Sum256([]byte(k.key + "\x00" + k.addr)) // a name has its bounds
	return fmt.Sprintf("known node %x", sum[:16])
}

func (k *knownNode) load(ctx context.Context, pinned string) error {
	if pinned == "" {
		var err error
		if pinned, err = k.state.Meta(ctx, k.name()); errors.Is(err, state.ErrNotFound) {
			return nil
		} else if err != nil {
			return err
		}
	}
	fp, err := fasp.ParseFingerprint(pinned)
	if err != nil {
		return &transfer.Error{Code: transfer.CodeUsage, Op: "fingerprint", Err: err}
	}
	k.want = &fp
	return nil
}

// verify is for fasp.Config.VerifyServer.
func (k *knownNode) verify(fp fasp.Fingerprint) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shown = fp
	if k.want == nil || *k.want == fp {
		return nil
	}
	k.other = fmt.Errorf("the node shows the key %s, and not %s as before or as the job says: somebody may be in between, or it was set up anew", fp, *k.want)
	return k.other
}

// save notes the key of a node that was met for the first time, and has proved it.
func (k *knownNode) save(ctx context.Context) error {
	if k.want != nil {
		return nil
	}
	k.mu.Lock()
	fp := k.shown
	k.mu.Unlock()
	return k.state.SetMeta(ctx, k.name(), fp.String())
}
