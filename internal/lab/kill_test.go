package lab

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestKill9 kills the client or the node with SIGKILL at random moments of a transfer, 100 times, and lets the
// transfer go on: the client is run again, the node is started again while the client lives. At every moment what
// has its final name is whole, and in the end everything is there.
func TestKill9(t *testing.T) {
	seeds := 100
	if testing.Short() {
		seeds = 4
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	root := moduleRoot(t)
	bin := t.TempDir()
	t.Chdir(root)
	require.NoError(t, Build(ctx, bin))
	l := &Lab{Bin: bin, Dir: t.TempDir()}
	source := filepath.Join(l.Dir, "source")
	require.NoError(t, WriteSmall(filepath.Join(source, "small"), 300, 3000))
	require.NoError(t, WriteFile(filepath.Join(source, "a.bin"), 4<<20, 1))
	require.NoError(t, WriteFile(filepath.Join(source, "z.bin"), 6<<20, 2))
	docroot := filepath.Join(l.Dir, "docroot")
	require.NoError(t, os.Mkdir(docroot, 0o755))
	node, err := l.StartNode(ctx, docroot)
	require.NoError(t, err)
	defer func() { node.Kill() }()

	first := rand.Uint64()
	t.Logf("seeds from %d", first)
	for i := range uint64(seeds) {
		seed := first + i
		rng := rand.New(rand.NewPCG(seed, 0))
		copyTree := func() *exec.Cmd {
			cmd, err := l.Copy(ctx, node, node.Addr, "-d", "-q", "--policy", "fixed", "-l", "300M", source, "NODE:/in")
			require.NoError(t, err)
			return cmd
		}
		killNode := rng.IntN(3) == 0
		wait := time.Duration(rng.Int64N(int64(350 * time.Millisecond))) // the whole takes about 0.35 s
		cmd := copyTree()
		require.NoError(t, cmd.Start())
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err := <-done:
			require.NoError(t, err, "seed %d", seed)
			done <- nil
		case <-time.After(wait): // the moment of the kill is the random part of the test
			if killNode {
				_, err := node.Kill()
				require.NoError(t, err)
			} else {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		checkFinal(t, source, filepath.Join(docroot, "in", "source"), seed)
		if killNode && len(done) == 0 {
			require.NoError(t, l.Restart(ctx, node))
			require.NoError(t, <-done, "seed %d: the client goes on by itself", seed)
		} else {
			if killNode {
				node.Kill()
				require.NoError(t, l.Restart(ctx, node))
			}
			<-done
			require.NoError(t, copyTree().Run(), "seed %d: the second run", seed)
		}
		n, err := Compare(source, filepath.Join(docroot, "in", "source"))
		require.NoError(t, err, "seed %d", seed)
		require.Equal(t, 302, n)
		require.NoError(t, os.RemoveAll(filepath.Join(docroot, "in")))
	}
}

// checkFinal compares every file that has its final name with its source. The rest may be missing or unfinished.
func checkFinal(t *testing.T, source, dest string, seed uint64) {
	t.Helper()
	err := filepath.WalkDir(dest, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // not begun, or renamed while we looked
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dest, path)
		if err != nil {
			return err
		}
		original := filepath.Join(source, rel)
		if _, err := os.Stat(original); errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary name
		}
		return sameFile(original, path)
	})
	require.NoError(t, err, "seed %d: a file under its final name is not whole", seed)
}

func moduleRoot(t *testing.T) string {
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		require.NotEqual(t, dir, up, "no go.mod above the test")
		dir = up
	}
}
