package transfer

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// rig is a client and a node over links in memory.
type rig struct {
	t      testing.TB
	root   string // the node's
	local  string
	limits Limits
	opt    transfertest.Options
	cfg    Config
	serve  ServeConfig

	mu    sync.Mutex
	conns []*transfertest.Conn // client ends, one for each session
	errs  []error              // of Serve
	wg    sync.WaitGroup
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, root: t.TempDir(), local: t.TempDir(), limits: Limits{Read: true, Write: true, List: true, Delete: true}}
	r.cfg = Config{RetryWait: time.Millisecond, StateDir: t.TempDir()}
	return r
}

// run runs spec against the node.
func (r *rig) run(spec Spec) (*Result, error) { return r.runContext(context.Background(), spec) }

func (r *rig) runContext(ctx context.Context, spec Spec) (*Result, error) {
	if r.serve.Store == nil {
		d, err := OpenDir(r.root)
		require.NoError(r.t, err)
		defer d.Close()
		r.serve.Store = d
		defer func() { r.serve.Store = nil }()
	}
	serve := r.serve
	serve.Limits = r.limits
	if serve.Sessions == nil {
		serve.Sessions = new(Sessions)
	}
	cfg := r.cfg
	cfg.Dial = func(context.Context, *Spec) (fasp.Session, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		opt := r.opt
		opt.Seed += uint64(len(r.conns))
		c, s := transfertest.Pair(opt)
		r.conns = append(r.conns, c)
		r.wg.Go(func() {
			err := Serve(context.Background(), s, serve)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.errs = append(r.errs, err)
		})
		return c, nil
	}
	res, err := Run(ctx, cfg, spec)
	r.wg.Wait()
	for _, c := range r.conns {
		require.Zero(r.t, c.Held(), "blocks not released")
	}
	return res, err
}

func (r *rig) send(paths ...string) Spec {
	s := Spec{Direction: Send, Destination: "in", CreateDir: true}
	for _, p := range paths {
		s.Paths = append(s.Paths, Path{Source: filepath.Join(r.local, p)})
	}
	return s
}

// write makes a file of n seeded bytes.
func write(t testing.TB, name string, n int, seed uint64) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = rng.Read(b)
	require.NoError(t, os.WriteFile(name, b, 0o644))
}

// list describes a tree: names with content, mode type and link targets.
func list(t testing.TB, root string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		switch {
		case d.IsDir():
			out[rel] = "dir"
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			out[rel] = "link " + to
		default:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			h := hashBlock(b)
			out[rel] = fmt.Sprintf("%d %x", len(b), h)
		}
		return nil
	}))
	return out
}

// noPartials fails if a temporary name is left.
func noPartials(t testing.TB, root string) {
	t.Helper()
	for name := range list(t, root) {
		require.False(t, isPartial(filepath.Base(name)), "left behind: %s", name)
	}
}

// tree makes a tree with all kinds of legal names and sizes.
func tree(t testing.TB, root string) {
	t.Helper()
	sizes := []int{0, 1, 100, 4096, smallFile - 1, smallFile, smallFile + 1, 128 << 10, 128<<10 + 1, 1 << 20, 3<<20 + 17}
	for i, n := range sizes {
		write(t, filepath.Join(root, fmt.Sprintf("size-%d", n)), n, uint64(i))
	}
	for i, name := range oddNames {
		write(t, filepath.Join(root, "odd", name), 100*i, uint64(i))
	}
	for i := range 300 {
		write(t, filepath.Join(root, fmt.Sprintf("d%d/e%d/f%d", i%7, i%3, i)), i*31, uint64(i))
	}
	write(t, filepath.Join(root, "odd", strings.Repeat("long", 63)+"abc"), 300_000, 99)
	require.NoError(t, os.MkdirAll(filepath.Join(root, "empty/inner"), 0o755))
}

var oddNames = []string{
	"new\nline", "tab\tname", "space name ", " lead", "ünïcode-日本語-🚢", "quote\"'", "back\\slash", "-dash", "*star?", "...", "..x", "x..",
	"\x01ctl", "\xff\xfe not utf-8", strings.Repeat("n", 255), strings.Repeat("é", 127), ".hidden", "~", "$HOME", "a:b", "CON",
}

func TestTreeUp(t *testing.T) {
	r := newRig(t)
	tree(t, filepath.Join(r.local, "tree"))
	res, err := r.run(r.send("tree"))
	require.NoError(t, err, "sessions %d, node %v, result %+v", len(r.conns), r.errs, res)
	require.Equal(t, list(t, filepath.Join(r.local, "tree")), list(t, filepath.Join(r.root, "in/tree")))
	noPartials(t, r.root)
	require.Zero(t, res.FilesFailed)
	require.Equal(t, 1, res.Attempts)
	require.NoError(t, r.errs[0])
}

func TestTreeDown(t *testing.T) {
	r := newRig(t)
	tree(t, filepath.Join(r.root, "tree"))
	spec := Spec{Direction: Receive, Paths: []Path{{Source: "tree"}}, Destination: filepath.Join(r.local, "got"), CreateDir: true}
	res, err := r.run(spec)
	require.NoError(t, err)
	require.Equal(t, list(t, filepath.Join(r.root, "tree")), list(t, filepath.Join(r.local, "got/tree")))
	noPartials(t, r.local)
	require.Zero(t, res.FilesFailed)
	require.NoError(t, r.errs[0])
}
