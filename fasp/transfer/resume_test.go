package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
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

// covered lists the blocks that the checkpoints below root cover, by the final name of the file.
func covered(t testing.TB, root string) map[string]map[int64]bool {
	out := make(map[string]map[int64]bool)
	require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(p) != stateSuffix {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		c, err := decodeCheckpoint(b)
		require.NoError(t, err, "a checkpoint on disk is always whole")
		rel, _ := filepath.Rel(root, p)
		dir, base := filepath.Split(rel)
		name := dir + base[1:len(base)-len(stateSuffix)]
		out[name] = make(map[int64]bool)
		for s := range c.Blocks.runs() {
			for i := s.First; i < s.end(); i++ {
				out[name][int64(i)*int64(c.BlockSize)] = true
			}
		}
		return nil
	}))
	return out
}

// resumeTree makes a few files of some megabytes and some small ones.
func resumeTree(t testing.TB, root string) int64 {
	total := int64(0)
	add := func(name string, n int, seed uint64) {
		write(t, filepath.Join(root, name), n, seed)
		total += int64(n)
	}
	for i := range 3 {
		add(fmt.Sprintf("big%d", i), 3<<20+i*12345, uint64(i))
	}
	holed(t, filepath.Join(root, "big1"), 3<<20)
	for i := range 40 {
		add(fmt.Sprintf("d/small%d", i), 1000*i, uint64(100+i))
	}
	return total
}

// wholeOrAbsent fails if a file at its final name differs from the source.
func wholeOrAbsent(t testing.TB, src, dst string) {
	t.Helper()
	if _, err := os.Stat(dst); errors.Is(err, fs.ErrNotExist) {
		return
	}
	want := list(t, src)
	for name, what := range list(t, dst) {
		if !isPartial(filepath.Base(name)) {
			require.Equal(t, want[name], what, "under its final name: %s", name)
		}
	}
}

// TestCut cuts the link at random points, several times in one job, in both directions. The job goes on by
// itself, the result is the source, nothing partial ever stands under a final name, and no byte that
// a checkpoint covers is sent again.
func TestCut(t *testing.T) {
	src := t.TempDir()
	total := resumeTree(t, src)
	resumed := int64(0)
	for seed := range seeds(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { resumed += cutOnce(t, seed, src, total) })
		})
	}
	require.NotZero(t, resumed, "no job resumed anything: the test shows nothing")
}

// seeds is n, or a few under -short.
func seeds(n uint64) uint64 {
	if testing.Short() {
		return min(n, 15)
	}
	return n
}

func cutOnce(t *testing.T, seed uint64, src string, total int64) (resumed int64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	up := rng.IntN(2) == 0
	dst := t.TempDir()
	var spec Spec
	root := src
	target := filepath.Join(dst, filepath.Base(src))
	if up {
		spec = Spec{Direction: Send, Paths: []Path{{Source: src}}, Destination: "/", CreateDir: true}
		root = dst
	} else {
		spec = Spec{Direction: Receive, Paths: []Path{{Source: "."}}, Destination: target, CreateDir: true}
	}
	spec.BlockSize = 64 << 10
	spec.Overwrite = Overwrite(rng.IntN(len(overwriteNames)))
	if spec.Overwrite == OverwriteNever || spec.Overwrite == OverwriteOlder || spec.Overwrite == OverwriteDiffOlder {
		spec.Overwrite = OverwriteAlways
	}
	spec.Resume = ResumeLevel(rng.IntN(4))
	store, err := OpenDir(root)
	require.NoError(t, err)
	defer store.Close()

	cuts := 1 + rng.IntN(4)
	var ended chan struct{} // of the last session at the node
	var last *spy
	known := make(map[string]map[int64]bool)
	confirmed := make(map[string]bool)
	cfg := Config{RetryWait: 10 * time.Millisecond, StateDir: t.TempDir()}
	cfg.Events = func(e Event) {
		if e.Kind == EventFileDone {
			require.False(t, confirmed[e.File.Name], "confirmed twice: %s", e.File.Name)
			confirmed[e.File.Name] = true
		}
	}
	done := map[string]bool{} // confirmed before the session began
	check := func() {
		if last == nil {
			return
		}
		for name, offs := range last.blocks {
			require.False(t, done[name], "seed %d: asked again for %s, which was confirmed", seed, name)
			for _, off := range offs {
				require.False(t, known[filepath.Join(filepath.Base(target), name)][off] || known[name][off],
					"seed %d: sent again, and in a checkpoint: %s at %d", seed, name, off)
			}
		}
		for name := range last.packed {
			require.False(t, done[name], "seed %d: sent again, and confirmed: %s", seed, name)
		}
	}
	cfg.Dial = func(context.Context, *Spec) (fasp.Session, error) {
		if ended != nil {
			<-ended
		}
		check()
		wholeOrAbsent(t, src, target)
		base := dst
		if !up {
			base = target
		}
		known = covered(t, base)
		done = make(map[string]bool)
		for name := range confirmed {
			done[name] = true
		}
		opt := transfertest.Options{
			Seed: rng.Uint64(), Window: 64<<10 + rng.IntN(1<<20), Reorder: rng.IntN(8), Lag: time.Duration(rng.IntN(50)) * time.Millisecond,
			Latency: time.Duration(1+rng.IntN(80)) * time.Millisecond,
		}
		if cuts > 0 {
			cuts--
			opt.CutAfter = 1 + rng.Int64N(total)
		}
		c, s := transfertest.Pair(opt)
		ch := make(chan struct{})
		ended = ch
		var cs, ss fasp.Session = c, s
		if up {
			last = newSpy(t, c)
			cs = last
		} else {
			last = newSpy(t, s)
			ss = last
		}
		go func() {
			defer close(ch)
			_ = Serve(context.Background(), ss, ServeConfig{
				Store: store, Limits: Limits{Read: true, Write: true, List: true, Delete: true},
				Sessions: new(Sessions),
			})
		}()
		return cs, nil
	}
	res, err := Run(context.Background(), cfg, spec)
	<-ended
	require.NoError(t, err, "seed %d", seed)
	check()
	require.Equal(t, list(t, src), list(t, target), "seed %d", seed)
	require.Zero(t, res.FilesFailed)
	require.EqualValues(t, 43, res.FilesDone+res.FilesSkipped, "seed %d", seed)
	return res.BytesResumed
}

// killStore is a Store whose process can be killed: from then on nothing reaches the disk.
type killStore struct {
	Store
	dead atomic.Bool
}

var errKilled = errors.New("killed")

func (k *killStore) err() error {
	if k.dead.Load() {
		return errKilled
	}
	return nil
}

func (k *killStore) Put(ctx context.Context, name, tag string, data []byte, a Attr, s Sync) (Sealed, error) {
	if k.dead.Load() {
		return nil, errKilled
	}
	p, err := k.Store.Put(ctx, name, tag, data, a, s)
	return killSealed{p, k}, err
}

func (k *killStore) Create(ctx context.Context, name string, a Attr) (Target, error) {
	if k.dead.Load() {
		return nil, errKilled
	}
	t, err := k.Store.Create(ctx, name, a)
	if err != nil {
		return nil, err
	}
	return killTarget{t, k}, nil
}

func (k *killStore) Flush(ctx context.Context) error { return errors.Join(k.err(), k.Store.Flush(ctx)) }

func (k *killStore) SetAttr(ctx context.Context, name string, a Attr) error {
	if k.dead.Load() {
		return errKilled
	}
	return k.Store.SetAttr(ctx, name, a)
}

type killSealed struct {
	Sealed
	k *killStore
}

func (p killSealed) Publish(ctx context.Context, s Sync, replace bool) error {
	if p.k.dead.Load() {
		p.close()
		return errKilled
	}
	return p.Sealed.Publish(ctx, s, replace)
}

// close does what the system does for a killed process.
func (p killSealed) close() {
	if d, ok := p.Sealed.(*dirSealed); ok && d.t != nil {
		_ = d.t.f.Close()
	}
}

func (p killSealed) Discard(ctx context.Context) error {
	if p.k.dead.Load() {
		p.close()
		return errKilled
	}
	return p.Sealed.Discard(ctx)
}

type killTarget struct {
	Target
	k *killStore
}

func (t killTarget) WriteAt(p []byte, off int64) (int, error) {
	if t.k.dead.Load() {
		return 0, errKilled
	}
	return t.Target.WriteAt(p, off)
}

func (t killTarget) Sync(ctx context.Context) error {
	return errors.Join(t.k.err(), t.Target.Sync(ctx))
}

func (t killTarget) SaveState(ctx context.Context, b []byte) error {
	if t.k.dead.Load() {
		return errKilled
	}
	return t.Target.SaveState(ctx, b)
}

func (t killTarget) Seal(ctx context.Context, a Attr, s Sync) (Sealed, error) {
	if t.k.dead.Load() {
		_ = t.Target.Close()
		return nil, errKilled
	}
	p, err := t.Target.Seal(ctx, a, s)
	return killSealed{p, t.k}, err
}

func (t killTarget) Discard(ctx context.Context) error {
	if t.k.dead.Load() {
		return t.Target.Close()
	}
	return t.Target.Discard(ctx)
}

func (t killTarget) Reset(ctx context.Context) error {
	if t.k.dead.Load() {
		return errKilled
	}
	return t.Target.Reset(ctx)
}

// TestKillReceiver kills the receiver at random points, without any clean-up, and starts it again on what
// the disk holds.
func TestKillReceiver(t *testing.T) {
	src := t.TempDir()
	total := resumeTree(t, src)
	blocks := 0
	for seed := range seeds(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { blocks += killOnce(t, seed, src, total) })
		})
	}
	require.NotZero(t, blocks, "no checkpoint survived a kill: the test shows nothing")
}

func killOnce(t *testing.T, seed uint64, src string, total int64) (blocks int) {
	rng := rand.New(rand.NewPCG(seed, 2))
	dst := t.TempDir()
	target := filepath.Join(dst, filepath.Base(src))
	state := t.TempDir()
	for round := 0; ; round++ {
		require.Less(t, round, 10)
		store, err := OpenDir(dst)
		require.NoError(t, err)
		kill := &killStore{Store: store}
		known := covered(t, dst)
		for _, m := range known {
			blocks += len(m)
		}
		opt := transfertest.Options{
			Seed: rng.Uint64(), Window: 64<<10 + rng.IntN(1<<20), Reorder: rng.IntN(8), Lag: time.Duration(rng.IntN(50)) * time.Millisecond,
			Latency: time.Duration(1+rng.IntN(150)) * time.Millisecond,
		}
		c, s := transfertest.Pair(opt)
		watch := newSpy(t, c)
		stop, over := make(chan struct{}), make(chan struct{})
		if round < 3 {
			at := rng.Int64N(total)
			go func() {
				defer close(stop)
				t := time.NewTicker(time.Millisecond) // of the bubble's clock
				defer t.Stop()
				for int64(s.Stats().BlockBytesReceived) < at {
					select {
					case <-t.C:
					case <-over:
						return
					}
				}
				kill.dead.Store(true)
				c.Cut()
			}()
		} else {
			close(stop)
		}
		served := make(chan error, 1)
		go func() {
			served <- Serve(context.Background(), s, ServeConfig{Store: kill, Limits: Limits{Write: true, Delete: true}})
		}()
		cfg := Config{RetryTimeout: -1, StateDir: state, Dial: func(context.Context, *Spec) (fasp.Session, error) { return watch, nil }}
		spec := Spec{Direction: Send, Paths: []Path{{Source: src}}, Destination: ".", CreateDir: true, BlockSize: 64 << 10}
		_, err = Run(context.Background(), cfg, spec)
		<-served
		close(over)
		<-stop
		_ = store.Close()
		for name, offs := range watch.blocks {
			for _, off := range offs {
				require.False(t, known[filepath.Join(filepath.Base(target), name)][off], "seed %d: sent again, and in a checkpoint: %s at %d", seed, name, off)
			}
		}
		wholeOrAbsent(t, src, target)
		if err == nil {
			break
		}
	}
	require.Equal(t, list(t, src), list(t, target), "seed %d", seed)
	return blocks
}
