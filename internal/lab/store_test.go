package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/testservers"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/s3"
)

// storeLab is a MinIO with a bucket, and what nodes before it need.
type storeLab struct {
	*Lab
	t      *testing.T
	uri    string // of the bucket
	bucket *objstore.Bucket
}

func newStoreLab(t *testing.T) *storeLab {
	s := testservers.MinIO(t)
	s.MakeBucket(t, "lab-bucket")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	bin := t.TempDir()
	t.Chdir(moduleRoot(t))
	require.NoError(t, Build(ctx, bin))
	d, err := s3.New(s3.Config{
		Endpoint: s.Endpoint, Insecure: true, Bucket: "lab-bucket", Profile: s3.MinIO,
		Credentials: s3.Static{AccessKey: s.AccessKey, SecretKey: s.SecretKey},
	})
	require.NoError(t, err)
	l := &storeLab{
		Lab: &Lab{Bin: bin, Dir: t.TempDir(), Env: []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey}}, t: t, bucket: objstore.NewBucket(d, objstore.Config{}),
		uri: fmt.Sprintf("s3://%s/lab-bucket/%%s?insecure=true&profile=minio&part-size=%d", s.Endpoint, labPart),
	}
	t.Cleanup(func() { _ = l.bucket.Close() })
	return l
}

const labPart = 8 << 20

// stored returns how many bytes of whole parts the store has of uploads below prefix.
func (l *storeLab) stored(ctx context.Context, key string) (n int64) {
	for u, err := range l.bucket.Uploads(ctx, key) {
		require.NoError(l.t, err)
		parts, err := l.bucket.Driver().Parts(ctx, objstore.Upload{Key: u.Key, ID: u.ID, Size: -1, Plan: objstore.Plan{First: labPart}})
		if objstore.KindOf(err) == objstore.NoUpload {
			continue // completed meanwhile
		}
		require.NoError(l.t, err)
		for _, p := range parts {
			n += p.Size
		}
	}
	return n
}

// TestKillNodeInUploadGoesOnElsewhere kills a node with SIGKILL in the middle of an upload into a bucket, and lets a second
// node, which has never heard of it, go on. Sent again is what stood in memory, at most 8 parts, and nothing else.
func TestKillNodeInUploadGoesOnElsewhere(t *testing.T) {
	const size = 192<<20 + 12345
	l := newStoreLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	source := filepath.Join(l.Dir, "big.bin")
	require.NoError(t, WriteFile(source, size, 1))
	docroot := fmt.Sprintf(l.uri, "root")
	first, err := l.StartNode(ctx, docroot)
	require.NoError(t, err)
	cmd, err := l.Copy(ctx, first, first.Addr, "-q", "--policy", "fixed", "-l", "600M", source, "NODE:/in/big.bin")
	require.NoError(t, err)
	cmd.Stderr = io.Discard // it is killed
	require.NoError(t, cmd.Start())
	for l.stored(ctx, "root/in/big.bin") < size/3 {
		require.NoError(t, ctx.Err())
	}
	_, err = first.Kill()
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	had := l.stored(ctx, "root/in/big.bin")
	require.Positive(t, had)
	require.Less(t, had, int64(size))
	_, err = l.bucket.Stat(ctx, "root/in/big.bin")
	require.ErrorIs(t, err, objstore.ErrNotFound, "nothing shows before it is whole")

	second, err := l.StartNode(ctx, docroot)
	require.NoError(t, err)
	defer second.Stop()
	cmd, err = l.Copy(ctx, second, second.Addr, "--json", "--policy", "fixed", "-l", "600M", source, "NODE:/in/big.bin")
	require.NoError(t, err)
	out, err := cmd.Output()
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var res struct {
		Sent    int64 `json:"bytes_sent"`
		Resumed int64 `json:"bytes_resumed"`
	}
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &res))
	again := res.Sent - (size - had)
	t.Logf("of %d bytes the store had %d; %d were resumed, %d sent again", int64(size), had, res.Resumed, again)
	require.LessOrEqual(t, again, int64(8*labPart))
	require.Positive(t, res.Resumed)

	want, err := os.ReadFile(source)
	require.NoError(t, err)
	got, _, err := l.bucket.Get(ctx, "root/in/big.bin", size)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Zero(t, l.stored(ctx, "root/in/big.bin"), "no upload stays open")
	_, err = l.bucket.Stat(ctx, "root/in/big.bin"+objstore.UploadSuffix)
	require.ErrorIs(t, err, objstore.ErrNotFound)
}
