package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
	"github.com/tradewind-io/tradewind/objstore/pipe"
)

// testPart is the part size of the stores in these tests.
const testPart = 256 << 10

// bucketRig is a rig whose node serves a bucket.
type bucketRig struct {
	*rig
	drv  objstore.Driver
	b    *objstore.Bucket
	pool *objstore.Pool
}

func newBucketRig(t testing.TB, d objstore.Driver, pool int64) *bucketRig {
	r := &bucketRig{rig: newRig(t), drv: d, pool: objstore.NewPool(pool)}
	r.b = objstore.NewBucket(d, objstore.Config{PartSize: testPart, Pool: r.pool, RetryTimeout: -1})
	r.serve.Store = NewBucketStore(r.b, "root", 0, nil)
	return r
}

// defaultPool has room for one session with 8 parts.
const defaultPool = InitialBytes + 8*testPart

// settled fails if the session has left memory taken, uploads open or notes.
func (r *bucketRig) settled() {
	r.t.Helper()
	require.Zero(r.t, r.pool.Used(), "memory for parts is given back")
	list, _, err := r.drv.Uploads(context.Background(), "", "")
	require.NoError(r.t, err)
	require.Empty(r.t, list, "no upload stays open")
	for o, err := range r.b.List(context.Background(), objstore.ListOptions{}) {
		require.NoError(r.t, err)
		require.False(r.t, strings.HasSuffix(o.Key, objstore.UploadSuffix), "left behind: %s", o.Key)
	}
}

// keys describes the objects below root as list does.
func (r *bucketRig) keys() map[string]string {
	out := map[string]string{".": "dir"}
	for o, err := range r.b.List(context.Background(), objstore.ListOptions{Prefix: "root/"}) {
		require.NoError(r.t, err)
		name := strings.TrimPrefix(o.Key, "root/")
		if strings.HasSuffix(name, "/") {
			out[strings.TrimSuffix(name, "/")] = "dir"
			continue
		}
		b, _, err := r.b.Get(context.Background(), o.Key, 1<<30)
		require.NoError(r.t, err)
		out[name] = fmt.Sprintf("%d %x", len(b), hashBlock(b))
	}
	return out
}

func TestTreeIntoBucketAndBack(t *testing.T) {
	for _, reorder := range []int{0, 20} {
		t.Run(fmt.Sprint("reorder ", reorder), func(t *testing.T) {
			r := newBucketRig(t, memstore.New(), defaultPool)
			r.opt = transfertest.Options{Seed: 3, Reorder: reorder}
			tree(t, filepath.Join(r.local, "tree"))
			spec := r.send("tree")
			spec.BlockSize = 32 << 10
			res, err := r.run(spec)
			require.NoError(t, err, "%+v", res.Errors)
			require.Zero(t, res.FilesFailed)
			r.settled()
			want := list(t, filepath.Join(r.local, "tree"))
			got := r.keys()
			delete(got, "in")
			for name, what := range want {
				if name == "." {
					name = "in/tree"
				} else {
					name = "in/tree/" + name
				}
				require.Equal(t, what, got[name], "%q", name)
			}
			require.Len(t, got, len(want)+1)

			// A second run finds all of it there.
			res, err = r.run(spec)
			require.NoError(t, err)
			require.Zero(t, res.FilesDone)
			r.settled()

			back := Spec{
				Direction: Receive, Paths: []Path{{Source: "in/tree"}}, Destination: filepath.Join(r.local, "back"), CreateDir: true,
				PreserveTimes: true,
			}
			_, err = r.run(back)
			require.NoError(t, err)
			require.Equal(t, want, list(t, filepath.Join(r.local, "back/tree")))
			a, err := os.Stat(filepath.Join(r.local, "tree/size-100"))
			require.NoError(t, err)
			b, err := os.Stat(filepath.Join(r.local, "back/tree/size-100"))
			require.NoError(t, err)
			require.Equal(t, a.ModTime(), b.ModTime(), "to the nanosecond")
		})
	}
}

func TestBucketToBucket(t *testing.T) {
	from := newBucketRig(t, memstore.New(), defaultPool)
	tree(t, filepath.Join(from.local, "tree"))
	_, err := from.run(from.send("tree"))
	require.NoError(t, err)

	to := newBucketRig(t, memstore.New(), defaultPool)
	to.cfg.Open = func(_ context.Context, paths []string) (Store, []string, error) {
		return NewBucketStore(from.b, "root", 0, nil), paths, nil
	}
	_, err = to.run(Spec{Direction: Send, Paths: []Path{{Source: "in/tree"}}, Destination: "in", CreateDir: true})
	require.NoError(t, err)
	to.settled()
	require.Equal(t, from.keys(), to.keys())
}

// countedDriver counts what is held and fails what a test wants to fail.
type countedDriver struct {
	objstore.Driver
	put  func(ctx context.Context, key string, part int) error // part -1: a whole object
	puts atomic.Int64
}

func (d *countedDriver) PutPart(ctx context.Context, u objstore.Upload, p objstore.PartSpec, body *io.SectionReader) (objstore.Part, error) {
	if d.put != nil {
		if err := d.put(ctx, u.Key, p.N); err != nil {
			return objstore.Part{}, err
		}
	}
	d.puts.Add(1)
	return d.Driver.PutPart(ctx, u, p, body)
}

func (d *countedDriver) Put(ctx context.Context, key string, body *io.SectionReader, o objstore.PutOptions) (objstore.Object, error) {
	if d.put != nil && !strings.HasSuffix(key, objstore.UploadSuffix) {
		if err := d.put(ctx, key, -1); err != nil {
			return objstore.Object{}, err
		}
	}
	return d.Driver.Put(ctx, key, body, o)
}

// TestPartMemoryIsBounded holds the store back until the sender cannot go on, and sees what is in memory then.
func TestPartMemoryIsBounded(t *testing.T) {
	release := make(chan struct{})
	d := &countedDriver{Driver: memstore.New(), put: func(ctx context.Context, _ string, part int) error {
		if part < 0 {
			return nil
		}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}}
	r := newBucketRig(t, d, 1<<30)
	for i := range 3 {
		write(t, filepath.Join(r.local, fmt.Sprint("t/big", i)), 40<<20, uint64(i))
	}
	stuck := make(chan int64, 1)
	var held, sent int64
	r.cfg.Events = func(e Event) {
		if e.Kind != EventProgress {
			return
		}
		// Progress comes twice a second; when nothing has moved between two of them the sender waits.
		select {
		case last := <-stuck:
			if last == e.Session.BytesSent && last > 0 {
				stuck = nil
				held, sent = r.pool.Used(), last
				close(release)
				return
			}
		default:
		}
		if stuck != nil {
			stuck <- e.Session.BytesSent
		}
	}
	res, err := r.run(r.send("t"))
	require.NoError(t, err)
	require.EqualValues(t, 3, res.FilesDone)
	require.Positive(t, sent)
	limits := PartLimits{Want: testPart, Pool: r.pool, Ahead: InitialBytes}
	_, most := limits.room()
	require.LessOrEqual(t, held, most, "taken from the pool")
	require.LessOrEqual(t, sent, held+3<<20, "what was sent stands there, but for a block of each worker that waits")
	r.settled()
}

func TestRefusedPartFailsItsFileOnly(t *testing.T) {
	d := &countedDriver{Driver: memstore.New()}
	d.put = func(_ context.Context, key string, part int) error {
		if strings.HasSuffix(key, "bad") && part == 2 || strings.HasSuffix(key, "bad-small") {
			return &objstore.Error{Op: "put", Key: key, Kind: objstore.Denied}
		}
		return nil
	}
	r := newBucketRig(t, d, defaultPool)
	write(t, filepath.Join(r.local, "t/bad"), 20<<20, 1)
	write(t, filepath.Join(r.local, "t/bad-small"), 20_000, 1)
	write(t, filepath.Join(r.local, "t/good"), 5<<20, 2)
	write(t, filepath.Join(r.local, "t/good-small"), 20_000, 2)
	res, err := r.run(r.send("t"))
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, CodeSomeFileErrors, e.Code)
	require.EqualValues(t, 2, res.FilesDone)
	require.Len(t, res.Errors, 2)
	for _, f := range res.Errors {
		require.Equal(t, CodeNoPerms, f.Code, f.Text)
		require.Contains(t, f.Text, "access denied")
	}
	r.settled()
}

// TestCutIntoBucket cuts the link at random points until the job is done, and sees that parts which the store had are not
// sent again.
func TestCutIntoBucket(t *testing.T) {
	src := t.TempDir()
	total := resumeTree(t, src)
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			d := &countedDriver{Driver: memstore.New()}
			r := newBucketRig(t, d, defaultPool)
			r.local = src
			spec := r.send(".")
			spec.BlockSize = 32 << 10
			spec.Resume = []ResumeLevel{ResumeSparse, ResumeAttrs, ResumeFull}[seed%3]
			var sent int64
			for cut := range 4 {
				r.opt = transfertest.Options{Seed: seed, Reorder: 5}
				if cut < 3 {
					r.opt.CutAfter = 1 + rng.Int64N(total)
				}
				r.cfg.RetryTimeout = -1
				res, err := r.run(spec)
				sent += res.BytesSent
				require.Zero(t, r.pool.Used())
				if err == nil {
					break
				}
				require.Less(t, cut, 3, "%v", err)
			}
			// Whatever happens, a part goes to the store once, and once more if its answer was lost with the session.
			require.LessOrEqual(t, d.puts.Load(), int64(3*(3<<20/testPart+2)+3*3*sessionParts))
			r.settled()
			got := r.keys()
			for name, what := range list(t, src) {
				if name != "." {
					require.Equal(t, what, got["in/"+filepath.Base(src)+"/"+name], "%q", name)
				}
			}
		})
	}
}

// TestResumeElsewhere goes on at another node, with other settings, with what a first one had put into the store.
func TestResumeElsewhere(t *testing.T) {
	d := &countedDriver{Driver: memstore.New()}
	first := newBucketRig(t, d, defaultPool)
	write(t, filepath.Join(first.local, "big"), 20<<20, 1)
	first.cfg.RetryTimeout = -1
	first.opt = transfertest.Options{CutAfter: 12 << 20}
	_, err := first.run(first.send("big"))
	require.Error(t, err)
	require.Positive(t, d.puts.Load(), "parts have been stored")
	had := d.puts.Load()

	second := newBucketRig(t, d, 1<<30)
	second.b = objstore.NewBucket(d, objstore.Config{PartSize: 4 * testPart, Pool: second.pool})
	second.serve.Store = NewBucketStore(second.b, "root", 0, nil)
	second.local = first.local
	second.cfg.StateDir = first.cfg.StateDir
	res, err := second.run(second.send("big"))
	require.NoError(t, err)
	second.settled()
	require.Positive(t, res.BytesResumed)
	// What was open when the link was cut comes again, and nothing else.
	require.LessOrEqual(t, res.BytesSent, int64(20<<20)-had*testPart+1<<20)
	got, _, err := second.b.Get(t.Context(), "root/in/big", 1<<30)
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join(first.local, "big"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
}

// TestChangedSourceBeginsAgain: what stands in the store is of another version, and not a byte of it is used.
func TestChangedSourceBeginsAgain(t *testing.T) {
	r := newBucketRig(t, memstore.New(), defaultPool)
	write(t, filepath.Join(r.local, "big"), 20<<20, 1)
	r.cfg.RetryTimeout = -1
	r.opt = transfertest.Options{CutAfter: 12 << 20}
	_, err := r.run(r.send("big"))
	require.Error(t, err)
	write(t, filepath.Join(r.local, "big"), 20<<20, 2)
	r.opt = transfertest.Options{}
	res, err := r.run(r.send("big"))
	require.NoError(t, err)
	require.Zero(t, res.BytesResumed)
	r.settled()
	got, _, err := r.b.Get(t.Context(), "root/in/big", 1<<30)
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join(r.local, "big"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
}

func TestBucketRights(t *testing.T) {
	r := newBucketRig(t, memstore.New(), defaultPool)
	r.limits.Delete = false
	for _, n := range []int{1000, 2 << 20} {
		name := fmt.Sprint("f", n)
		write(t, filepath.Join(r.local, name), n, 1)
		_, err := r.run(r.send(name))
		require.NoError(t, err)
		_, err = r.run(r.send(name))
		require.NoError(t, err, "the same again is no replacement")
		write(t, filepath.Join(r.local, name), n, 2)
		_, err = r.run(r.send(name))
		require.Error(t, err)
		got, _, err := r.b.Get(t.Context(), "root/in/"+name, 1<<30)
		require.NoError(t, err)
		write(t, filepath.Join(r.local, name), n, 1)
		want, err := os.ReadFile(filepath.Join(r.local, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "what was there is there")
		r.settled()
	}
}

func TestStreams(t *testing.T) {
	for _, size := range []int{0, 1, 100, streamBlock, streamBlock + 1, 2 * streamBlock, 7<<20 + 5, 8 << 20} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			content := make([]byte, size)
			_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
			for _, place := range []string{"folder", "bucket"} {
				var r *rig
				var b *bucketRig
				if place == "folder" {
					r = newRig(t)
				} else {
					b = newBucketRig(t, memstore.New(), defaultPool)
					r = b.rig
				}
				r.opt = transfertest.Options{Reorder: 3}
				r.cfg.Open = func(context.Context, []string) (Store, []string, error) {
					return NewStreamStore(bytes.NewReader(content), "stdin"), []string{"stdin"}, nil
				}
				spec := Spec{Direction: Send, Paths: []Path{{Source: "stdio://"}}, Destination: "out", Checksum: ChecksumSHA256}
				res, err := r.run(spec)
				require.NoError(t, err, place)
				require.EqualValues(t, size, res.BytesSent)
				var got []byte
				if b == nil {
					got, err = os.ReadFile(filepath.Join(r.root, "out"))
					noPartials(t, r.root)
				} else {
					got, _, err = b.b.Get(t.Context(), "root/out", 1<<30)
					b.settled()
				}
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, got), place)
			}
		})
	}
}

func TestLostStreamSaysSo(t *testing.T) {
	r := newBucketRig(t, memstore.New(), defaultPool)
	r.opt = transfertest.Options{CutAfter: 5 << 20}
	var sessions int
	r.cfg.Events = func(e Event) {
		if e.Kind == EventRetry {
			sessions++
			r.mu.Lock()
			r.opt.CutAfter = 0
			r.mu.Unlock()
		}
	}
	s := NewStreamStore(bytes.NewReader(make([]byte, 20<<20)), "stdin")
	r.cfg.Open = func(context.Context, []string) (Store, []string, error) { return s, []string{"stdin"}, nil }
	res, err := r.run(Spec{Direction: Send, Paths: []Path{{Source: "stdio://"}}, Destination: "out"})
	require.Error(t, err)
	require.Equal(t, 1, sessions)
	require.Len(t, res.Errors, 1)
	require.Contains(t, res.Errors[0].Text, "cannot be read again")
	r.settled()
}

func TestToStandardOutput(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.root, "big"), 20<<20+77, 1)
	r.opt = transfertest.Options{Reorder: 10}
	var out bytes.Buffer
	pool := objstore.NewPool(InitialBytes + 8<<20)
	r.cfg.Open = func(context.Context, []string) (Store, []string, error) {
		b := objstore.NewBucket(pipe.New(&out, 1), objstore.Config{PartSize: 1 << 20, Pool: pool})
		return NewBucketStore(b, "", 0, b.Close), []string{"stdout"}, nil
	}
	_, err := r.run(Spec{Direction: Receive, Paths: []Path{{Source: "big"}}, Destination: "stdio://"})
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join(r.root, "big"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, out.Bytes()))
	require.Zero(t, pool.Used())
}

// TestSlowStoreIsReported sees the receiver tell the sender how fast the store is.
func TestSlowStoreIsReported(t *testing.T) {
	var full drainMeter
	now := time.Unix(1000, 0)
	const room = 100 << 20
	full.came(90 << 20)
	require.Zero(t, full.limit(now, room), "full from the first moment on, and nothing is known yet")

	var d drainMeter
	require.Zero(t, d.limit(now, room))
	d.came(50 << 20)
	require.Zero(t, d.limit(now, room), "parts are being gathered")
	d.came(35 << 20)
	require.Zero(t, d.limit(now.Add(100*time.Millisecond), room), "nothing is known of the store yet")
	for range 5 {
		now = now.Add(time.Second)
		d.went(now, 10<<20)
		d.came(10 << 20)
		d.limit(now, room)
	}
	got := d.limit(now, room)
	require.InDelta(t, 8*float64(10<<20)*0.8, float64(got), 1e6, "10 MiB/s, and a little less, since the memory is fuller than it should be")
	d.went(now, 60<<20)
	require.Zero(t, d.limit(now, room), "the store has caught up")
}

// What a sender may use before it knows the rule takes nothing from the parts: what could be sent to a store can be sent to it behind a folder, too.
func TestAheadDoesNotMakePartsSmaller(t *testing.T) {
	for _, want := range []int64{1 << 20, 8 << 20, 16 << 20, 64 << 20} {
		usual := PartLimits{Want: want, Pool: objstore.NewPool(max(32*want, 512<<20)), Ahead: InitialBytes}
		ahead := usual
		ahead.Ahead = 4 * InitialBytes
		require.Equal(t, usual.maxPart(), ahead.maxPart(), "parts of %d", want)
	}
}

func TestExtentsAreKept(t *testing.T) {
	_, sess := transfertest.Pair(transfertest.Options{})
	pool := objstore.NewPool(InitialBytes + 4*testPart)
	store := NewBucketStore(objstore.NewBucket(memstore.New(), objstore.Config{PartSize: testPart, Pool: pool}), "", 0, nil)
	x, err := newExtents(t.Context(), sess, store)
	require.NoError(t, err)
	granted := uint64((InitialBytes + 4*testPart) / pageSize)
	require.Equal(t, granted, x.granted)

	open, err := x.take(1, 0, extent{9, 10})
	require.True(t, open)
	require.NoError(t, err)
	for name, bad := range map[string]struct {
		file uint64
		extent
	}{
		"overlaps": {1, extent{12, 5}}, "not granted": {1, extent{granted, 1}}, "of another file": {2, extent{9, 10}},
		"of another size": {1, extent{9, 9}}, "no pages": {1, extent{20, 0}},
	} {
		_, err := x.take(bad.file, 0, bad.extent)
		require.Error(t, err, name)
	}
	x.close(9)
	require.Equal(t, granted+10, x.granted, "what was closed is granted again")
	open, err = x.take(1, 0, extent{9, 10})
	require.False(t, open, "a late block of a part that is stored")
	require.NoError(t, err)
	x.leave()
	require.Zero(t, pool.Used())
}

// TestManySessionsShareThePool runs more sessions than the pool has room for at a time.
func TestManySessionsShareThePool(t *testing.T) {
	d := memstore.New()
	pool := objstore.NewPool(3 * (InitialBytes + testPart))
	b := objstore.NewBucket(d, objstore.Config{PartSize: testPart, Pool: pool})
	store := NewBucketStore(b, "root", 0, nil)
	src := t.TempDir()
	write(t, filepath.Join(src, "f"), 3<<20, 1)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		r := newRig(t)
		r.serve.Store, r.local = store, src
		spec := r.send("f")
		spec.Destination = fmt.Sprint("in", i)
		wg.Go(func() { _, errs[i] = r.run(spec) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Zero(t, pool.Used())
}

// smallStore is a platform that takes few parts of an object.
type smallStore struct{ objstore.Driver }

func (s smallStore) Caps() objstore.Caps {
	c := s.Driver.Caps()
	c.MaxParts, c.MinPart = 20, 0
	return c
}

// TestObjectTooLargeForPartMemory: a part that finds no room in the memory of a session is refused, and not waited for.
func TestObjectTooLargeForPartMemory(t *testing.T) {
	r := newBucketRig(t, smallStore{memstore.New()}, InitialBytes+4*testPart)
	write(t, filepath.Join(r.local, "t/large"), 30<<20, 1) // parts of 1.5 MiB are needed, and there is room for 1 MiB
	write(t, filepath.Join(r.local, "t/fits"), 8<<20, 1)
	res, err := r.run(r.send("t"))
	require.Error(t, err)
	require.Len(t, res.Errors, 1)
	require.Equal(t, "t/large", res.Errors[0].Name)
	require.Contains(t, res.Errors[0].Text, "do not fit into 20 parts")
	require.EqualValues(t, 1, res.FilesDone)
	r.settled()

	r.cfg.Open = func(context.Context, []string) (Store, []string, error) {
		return NewStreamStore(bytes.NewReader(make([]byte, 60<<20)), "stdin"), []string{"stdin"}, nil
	}
	res, err = r.run(Spec{Direction: Send, Paths: []Path{{Source: "stdio://"}}, Destination: "out"})
	require.Error(t, err)
	require.Len(t, res.Errors, 1)
	require.Equal(t, CodeFileTooBig, res.Errors[0].Code)
	r.settled()
}

// TestHostileExtents: a sender that writes more than its extents stand for is cut off, whatever it says of them.
func TestHostileExtents(t *testing.T) {
	const block = 128 << 10
	for name, x := range map[string]func(i int) extent{
		"none at all":             func(int) extent { return extent{} },
		"one page for a part":     func(int) extent { return extent{0, 1} },
		"a block's for two":       func(int) extent { return extent{1, 2} },
		"too many":                func(int) extent { return extent{200, 100} },
		"beyond what was granted": func(int) extent { return extent{1 << 20, 2} },
	} {
		t.Run(name, func(t *testing.T) {
			r := newBucketRig(t, memstore.New(), defaultPool)
			c, s := transfertest.Pair(transfertest.Options{})
			served := make(chan error, 1)
			go func() {
				served <- Serve(context.Background(), s, ServeConfig{Store: r.serve.Store, Limits: Limits{Write: true, Delete: true}})
			}()
			req := &request{Version: wireVersion, BlockSize: block, Dest: "/x", Flags: flagSingle, Roots: []string{"f"}}
			msg := appendRecord(nil, recRequest, req.encode())
			e := &entry{ID: 1, Name: "f", Size: 3 << 20, BlockSize: block}
			msg = appendRecord(msg, recEntry, e.encode(""))
			require.NoError(t, c.SendMessage(t.Context(), msg))
			for i := range 2 {
				b, err := c.NewBlock(t.Context(), blockHeader+block)
				if err != nil {
					break // cut off
				}
				putBlockHead(b.Data, blockRange, 1, int64(i*block), x(i))
				if err := c.SendBlock(t.Context(), b); err != nil {
					break // cut off
				}
			}
			err := <-served
			require.Equal(t, CodeFaspProto, codeOf(err), "%v", err)
			r.settled()
		})
	}
}

// TestChangedPartSize: what a node with other parts left is forgotten where it is of no use, and its parts with it.
func TestChangedPartSize(t *testing.T) {
	d := memstore.New()
	first := newBucketRig(t, d, defaultPool)
	write(t, filepath.Join(first.local, "big"), 20<<20, 1)
	first.cfg.RetryTimeout = -1
	first.opt = transfertest.Options{CutAfter: 12 << 20}
	_, err := first.run(first.send("big"))
	require.Error(t, err)

	second := newBucketRig(t, d, 1<<30)
	second.b = objstore.NewBucket(d, objstore.Config{PartSize: 3 * testPart, Pool: second.pool})
	second.serve.Store = NewBucketStore(second.b, "root", 0, nil)
	second.local = first.local
	for _, level := range []ResumeLevel{ResumeNone, ResumeFull} {
		spec := second.send("big")
		spec.Resume, spec.Overwrite = level, OverwriteAlways
		_, err = second.run(spec)
		require.NoError(t, err)
		second.settled()
		write(t, filepath.Join(first.local, "big"), 20<<20, 2)
	}
}

// A stream that its receiver does not take has no size, and counts for none.
func TestSkippedStream(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.root, "out"), 7, 1)
	var got []Event
	r.serve.Events = func(e Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		got = append(got, e)
	}
	r.cfg.Open = func(context.Context, []string) (Store, []string, error) {
		return NewStreamStore(bytes.NewReader(make([]byte, 3<<20)), "stdin"), []string{"stdin"}, nil
	}
	_, err := r.run(Spec{Direction: Send, Paths: []Path{{Source: "stdio://"}}, Destination: "out", Overwrite: OverwriteNever})
	require.NoError(t, err)
	skipped := 0
	for _, e := range got {
		require.LessOrEqual(t, e.Session.BytesDone, int64(3<<20))
		if e.Kind == EventFileSkipped {
			skipped++
			require.LessOrEqual(t, e.File.Size, int64(3<<20))
		}
	}
	require.Equal(t, 1, skipped)
	old, err := os.ReadFile(filepath.Join(r.root, "out"))
	require.NoError(t, err)
	require.Len(t, old, 7)
}
