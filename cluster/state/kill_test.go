package state

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// killEnv names the database that TestKillHelper works in.
const killEnv = "TRADEWIND_STATE_KILL"

// TestKillHelper is the process that TestKill kills: it commits sessions, and says the number and Iter of each when that is done.
func TestKillHelper(t *testing.T) {
	path := os.Getenv(killEnv)
	if path == "" {
		t.Skip("it is run by TestKill")
	}
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	first := must(s.Iter(t.Context()))(t)
	for n := first + 1; ; n++ {
		r, err := s.CreateSession(t.Context(), Session{ID: strconv.FormatInt(n, 10), Tenant: "t"})
		if err == nil {
			err = s.AddFiles(t.Context(), []File{{Session: r.ID, Path: r.ID}})
		}
		if err == nil {
			_, err = s.AppendAudit(t.Context(), Audit{Actor: "helper", Action: "create", Object: r.ID})
		}
		if err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("done", r.ID, r.Iter)
	}
}

// TestKill kills a process in the middle of its writing, several times over the same database. All that it said was done is there
// afterwards, and numbers go on behind the highest.
func TestKill(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	seed := rand.Uint64()
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "state.db")
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	said := map[string]int64{}
	for range rounds {
		for id, iter := range killAfter(t, exe, path, 1+rng.IntN(60)) {
			require.NotContains(t, said, id)
			said[id] = iter
		}
		s := openAt(t, path)
		highest := int64(0)
		for id, iter := range said {
			require.Equal(t, iter, must(s.Session(t.Context(), id))(t).Iter)
			fs, _, err := s.Files(t.Context(), FileFilter{Session: id}, Page{})
			require.NoError(t, err)
			require.Len(t, fs, 1)
			highest = max(highest, iter)
		}
		require.GreaterOrEqual(t, must(s.Iter(t.Context()))(t), highest)
		require.GreaterOrEqual(t, must(s.VerifyAudit(t.Context()))(t).Last, int64(len(said)))
		require.NoError(t, s.Close())
	}
	t.Logf("%d records were confirmed, and are there", len(said))
}

// killAfter runs the helper until it has said so often that it has done something, kills it, and returns all that it said.
func killAfter(t *testing.T, exe, path string, steps int) map[string]int64 {
	cmd := exec.Command(exe, "-test.run=^TestKillHelper$")
	cmd.Env = append(cmd.Environ(), killEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said := map[string]int64{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 3 || words[0] != "done" {
			if strings.HasPrefix(lines.Text(), "error") {
				t.Error(lines.Text())
			}
			continue // half a line, at the end
		}
		iter, err := strconv.ParseInt(words[2], 10, 64)
		require.NoError(t, err)
		if said[words[1]] = iter; len(said) == steps {
			require.NoError(t, cmd.Process.Kill()) // and read on: what it said before it died counts too
		}
	}
	_ = cmd.Wait() // it was killed
	require.GreaterOrEqual(t, len(said), steps, "it ended by itself")
	return said
}
