package transfer

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// slowRig is a rig whose links take long enough for sessions to join while there is something to carry.
func slowRig(t testing.TB, sessions int) *rig {
	r := newRig(t)
	r.opt = transfertest.Options{Latency: 2 * time.Millisecond, Window: 1 << 20, SendBuffer: 1 << 20, Lag: time.Millisecond}
	r.cfg.Sessions = sessions
	return r
}

// TestSessionsShareAJob: several sessions carry one job, both ways, and each has its part of the blocks.
func TestSessionsShareAJob(t *testing.T) {
	for _, dir := range []Direction{Send, Receive} {
		t.Run(dir.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := slowRig(t, 4)
				from, to := r.local, r.root
				if dir == Receive {
					from, to = to, from
				}
				write(t, filepath.Join(from, "tree", "big"), 40<<20, 1)
				for i := range 300 {
					write(t, filepath.Join(from, "tree", fmt.Sprint("s", i)), i*37, uint64(i))
				}
				most := 0
				r.cfg.Events = func(e Event) { most = max(most, e.Session.Sessions) }
				spec := r.send("tree")
				if dir == Receive {
					spec = Spec{Direction: Receive, Paths: []Path{{Source: "tree"}}, Destination: filepath.Join(to, "in"), CreateDir: true}
				}
				spec.Rates = fasp.Rates{Policy: fasp.Fixed, Target: 400 * fasp.Mbps}
				res, err := r.run(spec)
				require.NoError(t, err)
				require.EqualValues(t, 301, res.FilesDone)
				require.Equal(t, list(t, filepath.Join(from, "tree")), list(t, filepath.Join(to, "in", "tree")))
				noPartials(t, to)
				require.Equal(t, 4, most, "sessions told in events")
				require.Len(t, r.conns, 4)
				for i, c := range r.conns {
					st := c.Stats()
					n := st.BlockBytesSent + st.BlockBytesReceived
					require.Greater(t, n, uint64(4<<20), "session %d", i)
				}
				for _, err := range r.errs {
					require.NoError(t, err)
				}
			})
		})
	}
}

// TestJoinRefused: a join with another id, or of other credentials, is refused, and the client goes on without.
func TestJoinRefused(t *testing.T) {
	join := func(cfg ServeConfig, id id16) error {
		c, s := transfertest.Pair(transfertest.Options{})
		served := make(chan error, 1)
		go func() { served <- Serve(context.Background(), s, cfg) }()
		require.NoError(t, c.SendMessage(t.Context(), appendRecord(nil, recJoin, (&join{wireVersion, id}).encode())))
		_, err := c.ReceiveMessage(t.Context())
		require.Error(t, err)
		return <-served
	}
	var sessions Sessions
	a, _ := fasp.Pipe()
	b := fasp.NewBond(a)
	defer b.Close(fasp.CodeDone, "")
	id := id16{1, 2, 3}
	withdraw := sessions.publish(bondKey{"key", id}, b)
	require.ErrorContains(t, join(ServeConfig{Owner: "key", Sessions: &sessions}, id16{9}), "no such transfer")
	require.ErrorContains(t, join(ServeConfig{Owner: "other", Sessions: &sessions}, id), "no such transfer")
	require.ErrorContains(t, join(ServeConfig{Owner: "key"}, id), "no such transfer")
	withdraw()
	require.ErrorContains(t, join(ServeConfig{Owner: "key", Sessions: &sessions}, id), "no such transfer")
	require.Equal(t, 1, b.Sessions())
}

// TestSessionLostResumes: when one of the sessions is lost the job goes on in new ones, and what was there is not sent again.
func TestSessionLostResumes(t *testing.T) {
	for lost := range 3 {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := slowRig(t, 3)
				write(t, filepath.Join(r.local, "big"), 40<<20, 1)
				cut := make(chan bool, 1)
				go func() {
					for range 10_000 { // virtual milliseconds
						time.Sleep(time.Millisecond)
						r.mu.Lock()
						conns := r.conns
						r.mu.Unlock()
						if len(conns) == 3 && conns[2].Stats().BlocksSent > 5 && conns[lost].Stats().BlocksSent > 5 {
							conns[lost].Cut()
							cut <- true
							return
						}
					}
					cut <- false
				}()
				spec := r.send("big")
				res, err := r.run(spec)
				require.NoError(t, err)
				require.True(t, <-cut)
				require.Equal(t, 2, res.Attempts)
				require.Equal(t, list(t, r.local), list(t, filepath.Join(r.root, "in")))
				require.NotZero(t, res.BytesResumed)
			})
		})
	}
}

// TestParts: several jobs, each of a part, copy every file once, in both directions; links and folders are there, too.
func TestParts(t *testing.T) {
	for _, dir := range []Direction{Send, Receive} {
		t.Run(dir.String(), func(t *testing.T) {
			r := newRig(t)
			from, to := r.local, r.root
			if dir == Receive {
				from, to = to, from
			}
			for i := range 200 {
				write(t, filepath.Join(from, "tree", fmt.Sprint("d", i%7), fmt.Sprint("f", i)), i*101, uint64(i))
			}
			write(t, filepath.Join(from, "tree", "large"), 300_000, 3)
			total := int64(0)
			for i := 1; i <= 3; i++ {
				spec := r.send("tree")
				if dir == Receive {
					spec = Spec{Direction: Receive, Paths: []Path{{Source: "tree"}}, Destination: filepath.Join(to, "in"), CreateDir: true}
				}
				spec.Part = Part{Index: i, Count: 3}
				res, err := r.run(spec)
				require.NoError(t, err)
				require.Zero(t, res.FilesSkipped)
				require.InDelta(t, 67, res.FilesDone, 25, "parts are about equal")
				total += res.FilesDone
			}
			require.EqualValues(t, 201, total)
			require.Equal(t, list(t, filepath.Join(from, "tree")), list(t, filepath.Join(to, "in", "tree")))
		})
	}
	for _, p := range []Part{{0, 1}, {1, 0}, {3, 2}, {-1, 2}, {1, MaxParts + 1}} {
		_, err := newRig(t).run(Spec{Paths: []Path{{Source: "x"}}, Destination: "y", Part: p})
		require.ErrorContains(t, err, "part", "%v", p)
	}
}

func FuzzDecodeJoin(f *testing.F) {
	f.Add((&join{wireVersion, id16{1}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := decodeJoin(b)
		if err == nil && j.Version == wireVersion {
			again, err := decodeJoin(j.encode())
			require.NoError(t, err)
			require.Equal(t, j, again)
		}
	})
}

// TestTakeoverInTurn: three sessions of one job, of which the second ends while it waits for the first; the third waits for both.
func TestTakeoverInTurn(t *testing.T) {
	var s Sessions
	sess, _ := fasp.Pipe()
	defer sess.Close(fasp.CodeDone, "")
	key := sessionKey{job: id16{1}}
	enter := func(ctx context.Context, cancel context.CancelCauseFunc) (func(), error) {
		return s.enter(ctx, sess, key, cancel)
	}
	replaced := make(chan struct{})
	first, err := enter(t.Context(), func(error) { close(replaced) })
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	second := make(chan error)
	go func() {
		_, err := enter(ctx, cancel)
		second <- err
	}()
	<-replaced
	third := make(chan error)
	go func() {
		leave, err := enter(t.Context(), func(error) {})
		if err == nil {
			leave()
		}
		third <- err
	}()
	require.ErrorIs(t, <-second, errReplaced)
	select {
	case <-third:
		t.Fatal("it did not wait for the first")
	default:
	}
	first()
	require.NoError(t, <-third)
}

// TestJoinLostHalfWay: a session that is lost before both ends count on it takes nothing with it.
func TestJoinLostHalfWay(t *testing.T) {
	var sessions Sessions
	lead, _ := fasp.Pipe()
	b := fasp.NewBond(lead)
	defer b.Close(fasp.CodeDone, "")
	id := id16{1, 2, 3}
	defer sessions.publish(bondKey{"key", id}, b)()
	c, s := transfertest.Pair(transfertest.Options{})
	served := make(chan error, 1)
	go func() {
		served <- Serve(context.Background(), s, ServeConfig{Owner: "key", Sessions: &sessions})
	}()
	require.NoError(t, c.SendMessage(t.Context(), appendRecord(nil, recJoin, (&join{wireVersion, id}).encode())))
	require.NoError(t, joined(t.Context(), &inbox{sess: c}))
	c.Cut()
	require.Error(t, <-served)
	require.Equal(t, 1, b.Sessions())
	select {
	case <-b.Done():
		t.Fatal("the transfer ended with it")
	default:
	}
}
