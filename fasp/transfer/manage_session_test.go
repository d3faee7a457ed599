package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

// endlessPlace is a Manager whose folders have no end and whose removals take for ever.
type endlessPlace struct {
	Manager
	walked   atomic.Int64
	removing chan struct{}
	removed  chan error // why a removal ended
}

func newEndlessPlace() *endlessPlace {
	m := NewBucketStore(objstore.NewBucket(memstore.New(), objstore.Config{}), "", 0, nil)
	return &endlessPlace{Manager: m, removing: make(chan struct{}, 1), removed: make(chan error, 1)}
}

func (p *endlessPlace) Walk(ctx context.Context, _ string, _ WalkOptions, fn func(Info) error) error {
	for ctx.Err() == nil {
		n := p.walked.Add(1)
		if err := fn(Info{Name: fmt.Sprint(n), Mode: 0o644}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (p *endlessPlace) Remove(ctx context.Context, _ string, _ bool) (int64, error) {
	p.removing <- struct{}{}
	<-ctx.Done()
	p.removed <- context.Cause(ctx)
	return 7, ctx.Err()
}

// rawClient is a client that says what it likes; the answer has been read.
func rawClient(t *testing.T, store Store) (c *transfertest.Conn, served chan error) {
	c, s := transfertest.Pair(transfertest.Options{})
	served = make(chan error, 1)
	go func() { served <- Serve(context.Background(), s, ServeConfig{Store: store, Limits: allRights}) }()
	req := &request{Version: wireVersion, Direction: manage, BlockSize: defaultBlockSize}
	require.NoError(t, c.SendMessage(t.Context(), appendRecord(nil, recRequest, req.encode())))
	_, err := c.ReceiveMessage(t.Context())
	require.NoError(t, err)
	return c, served
}

func sendOp(t *testing.T, c fasp.Session, o *op) error {
	return c.SendMessage(t.Context(), appendRecord(nil, recOp, o.encode()))
}

// A loop that is left stops the listing at the server, and the next operation follows.
func TestManageLeftLoop(t *testing.T) {
	p := newEndlessPlace()
	r := manageRemote(t, p, allRights)
	for range 3 {
		n := 0
		for _, err := range r.List(t.Context(), ".", WalkOptions{}) {
			require.NoError(t, err)
			if n++; n == 5 {
				break
			}
		}
	}
	require.NoError(t, r.Mkdir(t.Context(), "x"))
	in, err := r.Stat(t.Context(), "x")
	require.NoError(t, err)
	require.True(t, in.Mode.IsDir())
}

// A context that ends stops the operation at the server; one that has ended sends none.
func TestManageCancelled(t *testing.T) {
	p := newEndlessPlace()
	r := manageRemote(t, p, allRights)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-p.removing
		cancel()
	}()
	_, err := r.Remove(ctx, "a", true)
	require.Equal(t, CodeUserCancel, codeOf(err), "%v", err)
	require.ErrorIs(t, <-p.removed, errStopped)
	_, err = r.Remove(ctx, "a", true)
	require.Equal(t, CodeUserCancel, codeOf(err), "%v", err)
	require.Empty(t, p.removing, "nothing was sent")
	require.NoError(t, r.Mkdir(t.Context(), "x"), "the session lives on")
}

// A client that goes away ends what it had begun.
func TestManageClientGone(t *testing.T) {
	p := newEndlessPlace()
	c, served := rawClient(t, p)
	require.NoError(t, sendOp(t, c, &op{ID: 1, Kind: opRemove, Name: "a"}))
	<-p.removing
	require.NoError(t, c.Close(fasp.CodeDone, ""))
	require.Error(t, <-p.removed)
	require.NoError(t, <-served)
}

// A client that does not read is not read for, and what it has not read stays small.
func TestManageClientDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newEndlessPlace()
		c, served := rawClient(t, p)
		require.NoError(t, sendOp(t, c, &op{ID: 1, Kind: opList}))
		synctest.Wait()
		n := p.walked.Load()
		require.Positive(t, n)
		require.Less(t, n*15, int64(4<<20), "items that wait, in bytes")
		require.NoError(t, c.Close(fasp.CodeDone, ""))
		require.NoError(t, <-served)
	})
	synctest.Test(t, func(t *testing.T) {
		c, served := rawClient(t, newEndlessPlace())
		text := len(failf(CodeUsage, "", "operation %d is not known to this node", 200).Error())
		for id := uint64(1); ; id++ {
			if err := sendOp(t, c, &op{ID: id, Kind: 200}); err != nil {
				break // the server has ended it
			}
			synctest.Wait()
			require.Less(t, int(id)*text, 8<<20, "ends that wait, in bytes")
		}
		require.Equal(t, CodeFaspProto, codeOf(<-served))
	})
}

// What breaks the protocol ends the session.
func TestManageHostileClient(t *testing.T) {
	for name, send := range map[string]func(t *testing.T, c *transfertest.Conn){
		"two at once": func(t *testing.T, c *transfertest.Conn) {
			require.NoError(t, sendOp(t, c, &op{ID: 1, Kind: opRemove, Name: "a"}))
			require.NoError(t, sendOp(t, c, &op{ID: 2, Kind: opStat, Name: "a"}))
		},
		"without an id": func(t *testing.T, c *transfertest.Conn) {
			require.NoError(t, sendOp(t, c, &op{Kind: opStat, Name: "a"}))
		},
		"name too long": func(t *testing.T, c *transfertest.Conn) {
			require.NoError(t, sendOp(t, c, &op{ID: 1, Kind: opStat, Name: strings.Repeat("a", maxName+1)}))
		},
		"cut operation": func(t *testing.T, c *transfertest.Conn) {
			require.NoError(t, c.SendMessage(t.Context(), appendRecord(nil, recOp, []byte{1, 1, 9})))
		},
		"cut stop": func(t *testing.T, c *transfertest.Conn) {
			require.NoError(t, c.SendMessage(t.Context(), appendRecord(nil, recOpStop, []byte{0x80})))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, served := rawClient(t, newEndlessPlace())
			send(t, c)
			require.Equal(t, CodeFaspProto, codeOf(<-served))
		})
	}
}

// hostileServer answers the request and every operation with what script returns for its id.
func hostileServer(t *testing.T, script func(id uint64) []byte) (*Remote, chan error) {
	c, s := transfertest.Pair(transfertest.Options{})
	served := make(chan error, 1)
	go func() {
		in := &inbox{sess: s}
		for {
			typ, body, err := in.next(context.Background())
			if err != nil {
				served <- err
				return
			}
			msg := appendRecord(nil, recAnswer, (&answer{Version: wireVersion}).encode())
			if typ == recOp {
				o, err := decodeOp(body)
				if err != nil {
					served <- err
					return
				}
				msg = script(o.ID)
			}
			if err := s.SendMessage(context.Background(), msg); err != nil {
				served <- err
				return
			}
		}
	}()
	r, err := Manage(t.Context(), c)
	require.NoError(t, err)
	return r, served
}

func TestManageHostileServer(t *testing.T) {
	for name, script := range map[string]func(id uint64) []byte{
		"item of another operation": func(id uint64) []byte { return appendRecord(nil, recOpItem, (&opItem{ID: id + 1, Name: "a"}).encode()) },
		"end of another operation":  func(id uint64) []byte { return appendRecord(nil, recOpEnded, (&opEnded{ID: id + 1}).encode()) },
		"cut item":                  func(uint64) []byte { return appendRecord(nil, recOpItem, []byte{1, 200}) },
		"cut end":                   func(uint64) []byte { return appendRecord(nil, recOpEnded, []byte{1}) },
		"no record":                 func(uint64) []byte { return []byte{0x80} },
	} {
		t.Run(name, func(t *testing.T) {
			r, served := hostileServer(t, script)
			_, err := r.Stat(t.Context(), "a")
			require.Equal(t, CodeFaspProto, codeOf(err), "%v", err)
			var pe *fasp.PeerError
			require.ErrorAs(t, <-served, &pe, "the session is over")
			require.Equal(t, fasp.CodeProtocol, pe.Code)
			require.Error(t, r.Mkdir(t.Context(), "x"))
			require.NoError(t, r.Close())
		})
	}
	t.Run("text", func(t *testing.T) {
		r, served := hostileServer(t, func(id uint64) []byte {
			return appendRecord(nil, recOpEnded, (&opEnded{ID: id, Code: CodeNoPerms, Text: "no\x1b[2J\nway"}).encode())
		})
		_, err := r.Stat(t.Context(), "a")
		require.EqualError(t, err, `"a": no.[2J.way (code 5)`)
		require.NoError(t, r.Close())
		<-served
	})
}

// A node that knows only transfers refuses the request as malformed, which the client puts into words.
func TestManageOldNode(t *testing.T) {
	c, s := transfertest.Pair(transfertest.Options{})
	go func() {
		if _, err := s.ReceiveMessage(context.Background()); err == nil {
			_ = s.Close(fasp.CodeProtocol, "request: malformed record")
		}
	}()
	_, err := Manage(t.Context(), c)
	require.Equal(t, CodeUsage, codeOf(err))
	require.ErrorContains(t, err, "older version")
	require.NoError(t, s.Close(fasp.CodeDone, ""))
}

func TestManageNewerNode(t *testing.T) {
	c, s := transfertest.Pair(transfertest.Options{})
	go func() {
		_, _ = s.ReceiveMessage(context.Background())
		_ = s.SendMessage(context.Background(), appendRecord(nil, recAnswer, (&answer{Version: 9}).encode()))
	}()
	_, err := Manage(t.Context(), c)
	require.Equal(t, CodeFaspProto, codeOf(err))
	require.NoError(t, s.Close(fasp.CodeDone, ""))
}

// Names come through letter by letter, so that what is listed can be removed; one that no record can hold makes the listing
// fail at its end.
func TestManageNames(t *testing.T) {
	for place, m := range managePlaces(t) {
		t.Run(place, func(t *testing.T) {
			r := manageRemote(t, m, allRights)
			odd := "bell\a \x1b[31m\n\"ü"
			p, err := m.Put(t.Context(), "odd/"+odd, "t", []byte("x"), Attr{Size: 1, Mode: 0o644}, SyncNone)
			require.NoError(t, err)
			require.NoError(t, p.Publish(t.Context(), SyncNone, true))
			require.Equal(t, []string{odd}, listed(t, r, "odd", WalkOptions{}))
			n, err := r.Remove(t.Context(), "odd/"+odd, false)
			require.NoError(t, err)
			require.EqualValues(t, 1, n)
			_, err = r.Stat(t.Context(), "odd/"+odd)
			require.Equal(t, CodeNoSuchFile, codeOf(err))
		})
	}
	r := manageRemote(t, &longPlace{Manager: newEndlessPlace().Manager}, allRights)
	var names []string
	var last error
	for in, err := range r.List(t.Context(), ".", WalkOptions{}) {
		if last = err; err == nil {
			names = append(names, in.Name)
		}
	}
	require.Equal(t, []string{"a", "b"}, names)
	require.Equal(t, CodePathTooLong, codeOf(last))
}

// longPlace lists a name that is too long between two others.
type longPlace struct{ Manager }

func (longPlace) Walk(_ context.Context, _ string, _ WalkOptions, fn func(Info) error) error {
	return errors.Join(fn(Info{Name: "a"}), fn(Info{Name: strings.Repeat("x", maxName+1)}), fn(Info{Name: "b", Mode: fs.ModeDir}))
}

func FuzzManageStop(f *testing.F) {
	f.Add(encodeStop(77))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := decodeStop(b); err == nil {
			again, err := decodeStop(encodeStop(id))
			require.NoError(t, err)
			require.Equal(t, id, again)
		}
	})
}
