package node

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/vlink"
)

// tuning is what of a Config can change while the node runs, apart from the vlinks.
type tuning struct {
	maxRate       fasp.Rate
	minFree       int64
	maxSessions   int
	drainTimeout  time.Duration
	noCompression bool
}

func newTuning(c *Config) *tuning {
	return &tuning{c.MaxRate, c.MinFree, c.MaxSessions, c.DrainTimeout, c.NoCompression}
}

// Reconfigure takes over what of cfg can change while the node runs: MaxRate and VLinks, whose caps hold at once, for running sessions, too; MaxSessions, MinFree and NoCompression, for sessions that begin from
// then on; DrainTimeout, until a drain has begun; and the certificate in the state folder. Sessions of a vlink that is no more go on under the one without a name. No session is cut. Other fields
// have no effect before the next start. An error changes nothing.
func (n *Node) Reconfigure(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	select {
	case n.reloads <- struct{}{}:
		defer func() { <-n.reloads }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	cert, err := n.newCertificate()
	if err != nil {
		return err
	}
	if err := n.links.Set(vlink.Config{Host: vlink.Caps{Out: cfg.MaxRate, In: cfg.MaxRate}, Links: cfg.VLinks}); err != nil {
		return err
	}
	n.tuning.Store(newTuning(&cfg))
	n.resize()
	if cert != nil {
		n.certificate.Store(cert)
	}
	return nil
}

// newCertificate reads the certificate of the API again, where it is in use.
func (n *Node) newCertificate() (*tls.Certificate, error) {
	if n.certificate.Load() == nil {
		return nil, nil
	}
	c, err := loadCertificate(n.cfg.StateDir, time.Now())
	return &c, err
}

// resize gives the endpoint room for the sessions that there may be.
func (n *Node) resize() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoint != nil {
		n.endpoint.SetMaxSessions(n.tuning.Load().maxSessions + n.cfg.MaxUnauthenticated)
	}
}
