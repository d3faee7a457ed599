package transfer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// earlySession is the server's side of a session that begins unconfirmed.
type earlySession struct {
	fasp.Session
	confirmed chan struct{} // closed when it is confirmed
	failed    chan struct{} // closed when it never will be
}

var errNeverConfirmed = errors.New("the Finished did not come")

func (s *earlySession) Confirmed(ctx context.Context) error {
	select {
	case <-s.confirmed:
		return nil
	case <-s.failed:
		return errNeverConfirmed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// earlyRig serves sessions that are not confirmed.
type earlyRig struct {
	t      *testing.T
	root   string
	dir    *Dir
	jobs   Sessions
	client *transfertest.Conn
	sess   *earlySession
	served chan error
}

func newEarlyRig(t *testing.T) *earlyRig {
	r := &earlyRig{t: t, root: t.TempDir()}
	var err error
	r.dir, err = OpenDir(r.root)
	require.NoError(t, err)
	return r
}

// dial begins a session and serves it.
func (r *earlyRig) dial() fasp.Session {
	c, s := transfertest.Pair(transfertest.Options{Latency: 10 * time.Millisecond})
	sess := &earlySession{s, make(chan struct{}), make(chan struct{})}
	r.client, r.sess, r.served = c, sess, make(chan error, 1)
	served := r.served
	go func() {
		served <- Serve(context.Background(), sess, ServeConfig{
			Store: r.dir, Sessions: &r.jobs, Owner: "o", Limits: Limits{Read: true, Write: true, List: true, Delete: true},
		})
	}()
	return c
}

func (r *earlyRig) config() Config {
	return Config{RetryTimeout: -1, StateDir: r.t.TempDir(), Dial: func(context.Context, *Spec) (fasp.Session, error) { return r.dial(), nil }}
}

// A download reads only, so it is done without the client's Finished.
func TestUnconfirmedDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newEarlyRig(t)
		defer r.dir.Close()
		write(t, filepath.Join(r.root, "f"), 300_000, 1)
		to := filepath.Join(t.TempDir(), "f")
		res, err := Run(t.Context(), r.config(), Spec{Direction: Receive, Paths: []Path{{Source: "f"}}, Destination: to})
		require.NoError(t, err)
		require.EqualValues(t, 1, res.FilesDone)
		require.NoError(t, <-r.served)
	})
}

// An upload is answered at once, and nothing is made before the Finished.
func TestUnconfirmedUploadWaits(t *testing.T) {
	for _, confirm := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newEarlyRig(t)
			defer r.dir.Close()
			src := filepath.Join(t.TempDir(), "f")
			write(t, src, 300_000, 1)
			cfg := r.config()
			begin := time.Now()
			var answered atomic.Int64
			cfg.Events = func(e Event) {
				if e.Kind == EventSessionStarted {
					answered.Store(int64(time.Since(begin)))
				}
			}
			done := make(chan error, 1)
			go func() {
				_, err := Run(t.Context(), cfg, Spec{Direction: Send, Paths: []Path{{Source: src}}, Destination: "in/here", CreateDir: true})
				done <- err
			}()
			time.Sleep(time.Minute)
			require.Equal(t, 20*time.Millisecond, time.Duration(answered.Load()), "one round trip")
			require.Len(t, list(t, r.root), 1, "nothing was made in the root")
			if !confirm {
				close(r.sess.failed)
				require.Error(t, <-done)
				require.ErrorIs(t, <-r.served, errNeverConfirmed)
				require.Len(t, list(t, r.root), 1)
				return
			}
			close(r.sess.confirmed)
			require.NoError(t, <-done)
			require.NoError(t, <-r.served)
			require.FileExists(t, filepath.Join(r.root, "in/here/f"))
		})
	}
}

func TestUnconfirmedManageWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newEarlyRig(t)
		defer r.dir.Close()
		write(t, filepath.Join(r.root, "f"), 10, 1)
		m, err := Manage(t.Context(), r.dial())
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() {
			_, err := m.Remove(t.Context(), "f", false)
			done <- err
		}()
		time.Sleep(time.Minute)
		require.FileExists(t, filepath.Join(r.root, "f"))
		close(r.sess.confirmed)
		require.NoError(t, <-done)
		require.NoFileExists(t, filepath.Join(r.root, "f"))
		require.NoError(t, m.Close())
		require.NoError(t, <-r.served)
	})
}

// A session that may be a recording does not end an older one of the same job; when it is confirmed it does.
func TestUnconfirmedReplacesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newEarlyRig(t)
		defer r.dir.Close()
		write(t, filepath.Join(r.root, "f"), 3_000_000, 1)
		ask := func() (*transfertest.Conn, *earlySession, chan error) {
			sess := r.dial()
			q := &request{Version: wireVersion, Direction: Receive, Job: id16{7}, BlockSize: defaultBlockSize, Sources: 1}
			require.NoError(t, sess.SendMessage(t.Context(), appendRecord(nil, recRequest, q.encode())))
			require.NoError(t, sess.SendMessage(t.Context(), appendRecord(nil, recSources, encodeSources([]source{{"f", ""}}))))
			time.Sleep(time.Second)
			return r.client, r.sess, r.served
		}
		_, _, first := ask()
		second, s, served := ask()
		require.Empty(t, first, "the old session goes on")
		third, _, gone := ask()
		require.NoError(t, third.Close(fasp.CodeCancelled, ""))
		close(r.sess.failed)
		require.Error(t, <-gone)
		require.Empty(t, first, "one that ends unconfirmed leaves it alone, too")
		close(s.confirmed)
		require.ErrorContains(t, <-first, "took over")
		require.NoError(t, second.Close(fasp.CodeDone, ""))
		<-served
	})
}

// A server that did not answer has begun nothing: no marker stays that would make the next run ask first.
func TestUnconfirmedClientLeavesNoMarker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := filepath.Join(t.TempDir(), "f")
		write(t, src, 10, 1)
		c, s := transfertest.Pair(transfertest.Options{})
		sess := &earlySession{c, make(chan struct{}), make(chan struct{})}
		dials := 0
		cfg := Config{StateDir: t.TempDir(), Dial: func(context.Context, *Spec) (fasp.Session, error) {
			dials++
			require.NoError(t, s.Close(fasp.CodeTimeout, ""))
			return sess, nil
		}}
		_, err := Run(t.Context(), cfg, Spec{Direction: Send, Paths: []Path{{Source: src}}, Destination: "f"})
		require.Error(t, err)
		require.Equal(t, 1, dials, "as a Dial that failed, it is not tried again")
		left, err := os.ReadDir(cfg.StateDir)
		require.NoError(t, err)
		require.Empty(t, left)
	})
}
