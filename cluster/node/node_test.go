package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/simnet"
	"github.com/tradewind-io/tradewind/internal/testlog"
)

var alice = accesskey.Credential{ID: "alice", Secret: "alice-0123456789-0123456789-abcdef"}

// world is a node in a simulated network, in a synctest bubble.
type world struct {
	t       *testing.T
	net     *simnet.Net
	at      netip.AddrPort
	client  *fasp.Endpoint
	node    *Node
	docroot string
	keys    *accesskey.MemStore
	log     *testlog.Buffer
	stop    context.CancelFunc
	ended   chan error
}

const oneWay = 50 * time.Millisecond

func inWorld(t *testing.T, cfg Config, fn func(w *world)) {
	dir := t.TempDir() // outside the bubble, whose time is not that of files
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, net: simnet.NewNet(1), at: netip.MustParseAddrPort("10.0.0.1:33001"), docroot: filepath.Join(dir, "root"),
			keys: &accesskey.MemStore{}, log: &testlog.Buffer{}, ended: make(chan error, 1),
		}
		path := simnet.Impair{Rate: 100e6, Delay: oneWay}
		w.net.SetPath(netip.MustParseAddr("10.0.0.2"), w.at.Addr(), path, path)
		pc, err := w.net.Listen(w.at)
		require.NoError(t, err)
		require.NoError(t, os.Mkdir(w.docroot, 0o755))
		if cfg.DocRoot == "" {
			cfg.DocRoot = w.docroot
		}
		cfg.StateDir, cfg.PacketConn, cfg.Keys = filepath.Join(dir, "state"), pc, w.keys
		cfg.Logger = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		w.node, err = New(cfg)
		require.NoError(t, err)
		w.addKey(alice, func(*accesskey.Key) {})
		ctx, stop := context.WithCancel(t.Context())
		w.stop = stop
		go func() { w.ended <- w.node.Run(ctx) }()
		<-w.node.Ready()
		cpc, err := w.net.Listen(netip.MustParseAddrPort("10.0.0.2:4000"))
		require.NoError(t, err)
		w.client, err = fasp.NewEndpoint(cpc, fasp.Config{VerifyServer: fasp.PinnedKey(w.node.Fingerprint())})
		require.NoError(t, err)
		defer func() { // also when fn fails, because a bubble whose goroutines remain hides why
			w.client.Close()
			stop()
			err := <-w.ended
			w.net.Close()
			require.NoError(t, err)
			require.NotContains(t, w.log.String(), alice.Secret)
		}()
		fn(w)
	})
}

func (w *world) addKey(c accesskey.Credential, edit func(*accesskey.Key)) {
	k, _, err := accesskey.NewKey(c)
	require.NoError(w.t, err)
	edit(&k)
	require.NoError(w.t, w.keys.Put(w.t.Context(), k))
}

// dial returns a dial function for transfer.Config that authenticates with c.
func (w *world) dial(c accesskey.Credential) func(context.Context, *transfer.Spec) (fasp.Session, error) {
	return func(ctx context.Context, _ *transfer.Spec) (fasp.Session, error) {
		conn, err := w.client.Dial(ctx, w.at)
		if err != nil {
			return nil, err
		}
		return conn, c.Authenticate(ctx, conn)
	}
}

// connect opens a session and does not authenticate.
func (w *world) connect() *fasp.Conn {
	conn, err := w.client.Dial(w.t.Context(), w.at)
	require.NoError(w.t, err)
	return conn
}

// run does one transfer with the key c.
func (w *world) run(c accesskey.Credential, spec transfer.Spec) error {
	if spec.Rates == (fasp.Rates{}) {
		spec.Rates = fasp.Rates{Policy: fasp.Fixed, Target: 50 * fasp.Mbps}
	}
	_, err := transfer.Run(w.t.Context(), transfer.Config{Dial: w.dial(c), RetryTimeout: -1}, spec)
	return err
}

// upload sends a file of the size to name.
func (w *world) upload(c accesskey.Credential, name string, size int) error {
	src := filepath.Join(w.t.TempDir(), "file")
	require.NoError(w.t, os.WriteFile(src, bytes.Repeat([]byte("x"), size), 0o644))
	return w.run(c, transfer.Spec{Paths: []transfer.Path{{Source: src}}, Destination: name, Compression: transfer.CompressionOff})
}

func codeOf(t *testing.T, err error) transfer.Code {
	t.Helper()
	var e *transfer.Error
	require.ErrorAs(t, err, &e)
	return e.Code
}

func TestUploadAndDownload(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		t := w.t
		require.NoError(t, w.upload(alice, "up", 300_000))
		data, err := os.ReadFile(filepath.Join(w.docroot, "up"))
		require.NoError(t, err)
		require.Len(t, data, 300_000)
		back := filepath.Join(t.TempDir(), "back")
		require.NoError(t, w.run(alice, transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: "up"}}, Destination: back}))
		got, err := os.ReadFile(back)
		require.NoError(t, err)
		require.Equal(t, data, got)
		require.Contains(t, w.log.String(), "session done")
		require.Contains(t, w.log.String(), "key=alice")
	})
}

func TestWrongKeyWithinTwoRoundTrips(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		t := w.t
		w.addKey(accesskey.Credential{ID: "off", Secret: "x"}, func(k *accesskey.Key) { k.Disabled = true })
		for _, c := range []struct {
			cred accesskey.Credential
			text string
		}{
			{accesskey.Credential{ID: "alice", Secret: "guess"}, "failed to authenticate"},
			{accesskey.Credential{ID: "nobody", Secret: alice.Secret}, "failed to authenticate"},
			{accesskey.Credential{ID: "off", Secret: "x"}, "this access key is disabled"},
		} {
			start := time.Now()
			err := w.upload(c.cred, "up", 100_000)
			require.Equal(t, transfer.CodeAuth, codeOf(t, err))
			require.ErrorContains(t, err, c.text)
			// Two round trips, and what the packets and Close's three copies take.
			require.LessOrEqual(t, time.Since(start), 4*oneWay+50*time.Millisecond, c.cred.ID)
			require.Regexp(t, `msg="session refused" .*key=`+c.cred.ID+` `, w.log.String())
		}
		entries, err := os.ReadDir(w.docroot)
		require.NoError(t, err)
		require.Empty(t, entries)
	})
}

func TestSilentAndSenselessClients(t *testing.T) {
	inWorld(t, Config{AuthTimeout: 3 * time.Second}, func(w *world) {
		t := w.t
		closedWith := func(c *fasp.Conn) *fasp.PeerError {
			_, err := c.ReceiveMessage(t.Context())
			var pe *fasp.PeerError
			require.ErrorAs(t, err, &pe)
			return pe
		}
		start := time.Now()
		require.Equal(t, fasp.CodeTimeout, closedWith(w.connect()).Code)
		require.InDelta(t, 3, time.Since(start).Seconds(), 0.5)
		c := w.connect()
		require.NoError(t, c.SendMessage(t.Context(), []byte("let me in")))
		require.Equal(t, fasp.CodeAuth, closedWith(c).Code)
	})
}

func TestUnauthenticatedSessionsAreBounded(t *testing.T) {
	inWorld(t, Config{MaxUnauthenticated: 4, InitialWindow: 1 << 20}, func(w *world) {
		t := w.t
		var first *fasp.Conn
		for i := range 10 {
			c := w.connect()
			if i == 0 {
				first = c
			}
			// Each sends as much as it may before the proof; more waits for credit that does not come.
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			sent := 0
			for {
				b, err := c.NewBlock(ctx, 128<<10)
				if err == nil {
					err = c.SendBlock(ctx, b)
				}
				if err != nil {
					break
				}
				if sent += 128 << 10; sent > 8<<20 {
					break
				}
			}
			cancel()
			require.LessOrEqual(t, int(c.Stats().BlockBytesSent), 1<<20)
		}
		_, err := first.ReceiveMessage(t.Context())
		var pe *fasp.PeerError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, fasp.CodeBusy, pe.Code, "the oldest gave way")
		require.NoError(t, w.upload(alice, "up", 100_000), "an honest client gets in all the same")
		w.node.mu.Lock()
		defer w.node.mu.Unlock()
		require.LessOrEqual(t, len(w.node.waiting), 4)
	})
}

func TestFullNodeSaysSo(t *testing.T) {
	inWorld(t, Config{MaxSessions: 1}, func(w *world) {
		t := w.t
		c := w.connect()
		require.NoError(t, alice.Authenticate(t.Context(), c))
		synctest.Wait()
		time.Sleep(4 * oneWay) // virtual
		require.Equal(t, 1, w.node.Sessions())
		err := w.upload(alice, "up", 1000)
		require.ErrorContains(t, err, "too many sessions")
		require.Regexp(t, `msg="session refused" .*key=alice .*error="too many sessions"`, w.log.String())
		c.Close(fasp.CodeDone, "")
	})
}

func TestRightsAndRoots(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		t := w.t
		reader := accesskey.Credential{ID: "reader", Secret: "r"}
		w.addKey(reader, func(k *accesskey.Key) { k.Rights = accesskey.Rights{Read: true, List: true} })
		bob := accesskey.Credential{ID: "bob", Secret: "b"}
		w.addKey(bob, func(k *accesskey.Key) { k.Root = "tenants/bob" })
		mallory := accesskey.Credential{ID: "mallory", Secret: "m"}
		w.addKey(mallory, func(k *accesskey.Key) { k.Root = "../state" })
		linked := accesskey.Credential{ID: "linked", Secret: "l"}
		w.addKey(linked, func(k *accesskey.Key) { k.Root = "out" })
		require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(w.docroot, "out")))

		require.Equal(t, transfer.CodeNoPerms, codeOf(t, w.upload(reader, "up", 10)))
		require.NoError(t, w.upload(bob, "mine", 10))
		require.FileExists(t, filepath.Join(w.docroot, "tenants", "bob", "mine"))
		for _, c := range []accesskey.Credential{mallory, linked} {
			require.Equal(t, transfer.CodeBadPath, codeOf(t, w.upload(c, "up", 10)), c.ID)
		}
		down := func(c accesskey.Credential, name string) error {
			return w.run(c, transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: name}}, Destination: t.TempDir(), Compression: transfer.CompressionOff})
		}
		require.NoError(t, w.upload(alice, "hers", 10))
		require.Error(t, down(bob, "../../hers"))
		require.Error(t, down(bob, "hers"))
		require.NoError(t, down(reader, "hers"))
		time.Sleep(time.Second) // until the node has heard the last client's goodbye
		w.node.places.mu.Lock()
		defer w.node.places.mu.Unlock()
		require.Empty(t, w.node.places.used, "folders are closed with their last session")
	})
}

func TestRateCapIsShared(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		t := w.t
		capped := accesskey.Credential{ID: "capped", Secret: "c"}
		w.addKey(capped, func(k *accesskey.Key) { k.RateCap = int64(8 * fasp.Mbps) })
		elapsed := func(n int) time.Duration {
			start := time.Now()
			errs := make(chan error, n)
			for i := range n {
				go func() { errs <- w.upload(capped, fmt.Sprint("f", n, i), 2_000_000) }()
			}
			for range n {
				require.NoError(t, <-errs)
			}
			return time.Since(start)
		}
		one, two := elapsed(1), elapsed(2)
		t.Log(one, two)
		// 16 Mbit of content need 2 s at the cap, 32 Mbit 4 s; what is over is handshake, headers and the end.
		require.GreaterOrEqual(t, one, 2*time.Second)
		require.GreaterOrEqual(t, two, 4*time.Second)
		require.LessOrEqual(t, two, 6*time.Second)
	})
}

func TestDrain(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		t := w.t
		done := make(chan error, 1)
		go func() { done <- w.upload(alice, "slow", 12_500_000) }() // 2 s at 50 Mbit/s
		time.Sleep(time.Second)
		require.Equal(t, 1, w.node.Sessions())
		idle := w.connect()
		time.Sleep(time.Second / 10)
		w.stop()
		_, err := idle.ReceiveMessage(t.Context())
		var pe *fasp.PeerError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, fasp.CodeShutdown, pe.Code, "a session without proof has to go")
		err = w.upload(alice, "late", 10)
		require.ErrorAs(t, err, &pe)
		require.Equal(t, fasp.CodeShutdown, pe.Code, "a new one is turned away")
		require.NoError(t, <-done, "a running one finishes")
		require.NoFileExists(t, filepath.Join(w.docroot, "late"))
		require.Error(t, w.node.Run(t.Context()), "Run is called once")
	})
}

func TestDrainTimeout(t *testing.T) {
	inWorld(t, Config{DrainTimeout: time.Second}, func(w *world) {
		t := w.t
		done := make(chan error, 1)
		go func() { done <- w.upload(alice, "slow", 30_000_000) }()
		time.Sleep(time.Second)
		start := time.Now()
		w.stop()
		err := <-done
		var pe *fasp.PeerError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, fasp.CodeShutdown, pe.Code)
		require.InDelta(t, 1, time.Since(start).Seconds(), 0.5)
		require.NoFileExists(t, filepath.Join(w.docroot, "slow"), "nothing partial under the final name")
	})
}

func TestConfigErrors(t *testing.T) {
	_, err := New(Config{})
	require.Error(t, err)
	dir := t.TempDir()
	_, err = New(Config{DocRoot: filepath.Join(dir, "none"), StateDir: dir})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	_, err = New(Config{DocRoot: filepath.Join(dir, "file"), StateDir: dir})
	require.ErrorContains(t, err, "not a folder")
	n, err := New(Config{DocRoot: dir, StateDir: t.TempDir(), Listen: "127.0.0.1:nonsense"})
	require.NoError(t, err)
	require.Error(t, n.Run(t.Context()))
}

func TestIdentityIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	var wg sync.WaitGroup
	seen := make([]fasp.Fingerprint, 8)
	for i := range seen {
		wg.Go(func() {
			id, err := LoadIdentity(dir)
			if err != nil {
				t.Error(err)
				return
			}
			seen[i] = id.Fingerprint()
		})
	}
	wg.Wait()
	for _, fp := range seen {
		require.Equal(t, seen[0], fp, "all see the one that was made first")
	}
	path := filepath.Join(dir, identityName)
	fi, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing else is left behind")
	require.NoError(t, os.WriteFile(path, []byte("nonsense"), 0o600))
	_, err = LoadIdentity(dir)
	require.ErrorContains(t, err, path)
}

func TestRefusal(t *testing.T) {
	code, reason := refusal(errors.New("open " + strings.Repeat("x", 10)))
	require.Equal(t, fasp.CodeInternal, code)
	require.Equal(t, "internal error", reason, "what is wrong inside is not the client's business")
}

func TestLower(t *testing.T) {
	require.Equal(t, fasp.Rate(5), lower(0, 5))
	require.Equal(t, fasp.Rate(5), lower(5, 0))
	require.Equal(t, fasp.Rate(5), lower(7, 5))
}
