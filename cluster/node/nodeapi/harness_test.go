package nodeapi

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

// noon is what the clock of every test says.
var noon = apibed.Noon

// bed is a Server that makes transfer tokens.
type bed struct {
	*apibed.Bed
	srv  *Server
	ring *accesskey.Keyring
	log  *bytes.Buffer
}

func newBed(t testing.TB, change ...func(*Config)) *bed {
	t.Helper()
	b := &bed{Bed: apibed.New(t, t.TempDir()), ring: accesskey.NewKeyring(accesskey.NewMaster()), log: &bytes.Buffer{}}
	now := func() time.Time { return noon }
	cfg := Config{
		Auth: &accesskey.Checker{Keys: b.Keys, Users: apibed.Admins{}, Tokens: b.ring, Now: now}, Keys: b.Keys, Places: apibed.Folders{Base: b.Base},
		TokenSecret: bytes.Repeat([]byte("x"), 32), Now: now, Logger: slog.New(slog.NewTextHandler(&locked{w: b.log}, nil)),
		Info: Info{Version: "1.2.3", NodeID: "node-1", ClusterID: "cluster-1", Docroot: "file:////data", Host: "node.example", Fingerprint: "sha256:abc", SSHPort: 33002, WSSPort: 9093},
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	b.srv, err = New(cfg)
	require.NoError(t, err)
	stop := b.Serve(b.srv)
	t.Cleanup(func() {
		stop()
		require.NoError(t, b.srv.Close(context.Background()))
	})
	return b
}

// locked is a writer for several goroutines.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
