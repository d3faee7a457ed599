package filestore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// crashEnv makes TestCrashHelper the process that is killed.
const crashEnv = "FILESTORE_CRASH_DIR"

const crashPart = 8 << 10

// crashBytes are those of the object at key: they depend on it, so that every object can be checked by itself.
func crashBytes(key string) []byte {
	rng := rand.New(rand.NewPCG(uint64(len(key)), uint64(castagnoli([]byte(key)))))
	b := make([]byte, 3*crashPart+rng.IntN(crashPart))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// TestCrashHelper puts objects, whole and in parts, until it is killed.
func TestCrashHelper(t *testing.T) {
	dir := os.Getenv(crashEnv)
	if dir == "" {
		t.Skip("only as a process of TestKill")
	}
	s := open(t, dir)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("w%d/%d/object", w, i%7)
				if err := crashStep(s, key, i); err != nil {
					fmt.Println("error", err)
					return
				}
				fmt.Println("\ndone")
			}
		})
	}
	wg.Wait()
}

// crashStep does one thing with the object at key.
func crashStep(s *Store, key string, i int) error {
	ctx, data := context.Background(), crashBytes(key)
	switch i % 4 {
	case 0:
		_, err := s.Put(ctx, key, io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), objstore.PutOptions{})
		return err
	case 1:
		return s.Delete(ctx, key)
	}
	u, err := s.Begin(ctx, objstore.Upload{Key: key, Size: int64(len(data)), Plan: objstore.Plan{First: crashPart}}, objstore.PutOptions{})
	if err != nil {
		return err
	}
	parts, err := putRest(ctx, s, u, data, nil)
	if err != nil {
		return err
	}
	_, err = s.Complete(ctx, u, parts, objstore.PutOptions{IfAbsent: i%4 == 3})
	if objstore.KindOf(err) == objstore.Exists {
		return s.Abort(ctx, u)
	}
	return err
}

// putRest puts the parts that are not there yet, the last first.
func putRest(ctx context.Context, s *Store, u objstore.Upload, data []byte, have []objstore.Part) ([]objstore.Part, error) {
	parts := make([]objstore.Part, u.Plan.Count(int64(len(data))))
	for _, p := range have {
		parts[p.N] = p
	}
	for n := len(parts) - 1; n >= 0; n-- {
		if parts[n].ETag != "" {
			continue
		}
		spec, size := u.Spec(n)
		p, err := s.PutPart(ctx, u, spec, io.NewSectionReader(bytes.NewReader(data), spec.Off, size))
		if err != nil {
			return nil, err
		}
		parts[n] = p
	}
	return parts, nil
}

// TestKill kills a process at any point of its work, several times over the same folder. Whatever is there afterwards is
// whole, and every upload that is known can be gone on with.
func TestKill(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	seed := rand.Uint64()
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	resumed, whole := 0, 0
	for range 8 {
		killAfter(t, exe, dir, 1+rng.IntN(60))
		s := open(t, dir)
		n, m := checkAfterKill(t, s, rng)
		whole, resumed = whole+n, resumed+m
		require.NoError(t, s.Close())
	}
	t.Logf("%d objects were whole, %d uploads went on", whole, resumed)
	require.NotZero(t, whole)
}

// killAfter runs the helper in dir until it has said so often that it has done something.
func killAfter(t *testing.T, exe, dir string, steps int) {
	cmd := exec.Command(exe, "-test.run=^TestCrashHelper$")
	cmd.Env = append(cmd.Environ(), crashEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	buf, said := make([]byte, 64), ""
	for strings.Count(said, "done") < steps {
		n, err := out.Read(buf)
		said += string(buf[:n])
		if err != nil || strings.Contains(said, "error") {
			break
		}
	}
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	require.NotContains(t, said, "error")
	require.GreaterOrEqual(t, strings.Count(said, "done"), steps, "it ended by itself: %s", said)
}

func checkAfterKill(t *testing.T, s *Store, rng *rand.Rand) (whole, resumed int) {
	ctx := t.Context()
	check := func(key string) {
		r, _, err := s.Read(ctx, key, 0, -1, "")
		require.NoError(t, err)
		defer r.Close()
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(crashBytes(key), got), "%s is not whole", key)
	}
	for _, key := range listKeys(t, s) {
		if strings.HasSuffix(key, "/") {
			continue // a folder that was just made or emptied
		}
		check(key)
		whole++
	}
	uploads, _, err := s.Uploads(ctx, "", "")
	require.NoError(t, err)
	for _, info := range uploads {
		data := crashBytes(info.Key)
		u := objstore.Upload{Key: info.Key, ID: info.ID, Size: int64(len(data)), Plan: objstore.Plan{First: crashPart}}
		have, err := s.Parts(ctx, u)
		if objstore.KindOf(err) == objstore.NoUpload || rng.IntN(4) == 0 {
			require.NoError(t, s.Abort(ctx, u))
			continue
		}
		require.NoError(t, err)
		parts, err := putRest(ctx, s, u, data, have)
		require.NoError(t, err)
		_, err = s.Complete(ctx, u, parts, objstore.PutOptions{})
		require.NoError(t, err)
		check(info.Key)
		resumed++
	}
	_, err = s.Sweep(ctx, time.Now().Add(time.Hour))
	require.NoError(t, err)
	err = filepath.WalkDir(s.root.Name(), func(name string, _ os.DirEntry, err error) error {
		if err == nil && hidden(filepath.Base(name)) {
			err = fmt.Errorf("%s is left", name)
		}
		return err
	})
	require.NoError(t, err)
	return whole, resumed
}

func listKeys(t *testing.T, s *Store) (keys []string) {
	o := objstore.ListOptions{}
	for {
		p, err := s.List(t.Context(), o)
		require.NoError(t, err)
		for _, obj := range p.Objects {
			keys = append(keys, obj.Key)
		}
		if o.Token = p.Next; o.Token == "" {
			return keys
		}
	}
}

// Folders come and go under the hands of those who put into them.
func TestPutAndDeleteInOneFolder(t *testing.T) {
	s, err := Open(t.TempDir(), Config{NoSync: true})
	require.NoError(t, err)
	defer s.Close()
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			key := fmt.Sprintf("a/b/%d", w)
			for range 200 {
				_, err := s.Put(t.Context(), key, bodyOf("x"), objstore.PutOptions{})
				if err == nil {
					_, err = s.Stat(t.Context(), key)
				}
				if err == nil {
					err = s.Delete(t.Context(), key)
				}
				if errs[w] = err; err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Empty(t, listKeys(t, s))
}
