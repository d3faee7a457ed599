package testservers

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/leaktest"
)

var servers Group

func TestMain(m *testing.M) { leaktest.Main(m, servers.Close) }

func client(t *testing.T, s *Server) *minio.Client {
	c, err := minio.New(s.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region})
	require.NoError(t, err)
	return c
}

func TestServersKeepObjects(t *testing.T) {
	for _, start := range []func(testing.TB) *Server{servers.MinIO, servers.VersityGW, servers.Moto} {
		t.Run("", func(t *testing.T) {
			s := start(t)
			t.Log(s.Name, s.Endpoint)
			s.MakeBucket(t, "bucket")
			c := client(t, s)
			_, err := c.PutObject(t.Context(), "bucket", "key", strings.NewReader("bytes"), 5, minio.PutObjectOptions{})
			require.NoError(t, err)
			info, err := c.StatObject(t.Context(), "bucket", "key", minio.StatObjectOptions{})
			require.NoError(t, err)
			require.EqualValues(t, 5, info.Size)
		})
	}
}

func TestGroupSharesOneServer(t *testing.T) {
	require.Same(t, servers.MinIO(t), servers.MinIO(t))
}

func TestMinIOHasAKeyService(t *testing.T) {
	s := servers.MinIO(t)
	s.MakeBucket(t, "encrypted")
	sse, err := encrypt.NewSSEKMS(s.KMSKey, nil)
	require.NoError(t, err)
	for name, sse := range map[string]encrypt.ServerSide{"s3": encrypt.NewSSE(), "kms": sse} {
		_, err := client(t, s).PutObject(t.Context(), "encrypted", name, strings.NewReader("bytes"), 5, minio.PutObjectOptions{ServerSideEncryption: sse})
		require.NoError(t, err, name)
	}
}

func TestKilledServerComesBackWithItsData(t *testing.T) {
	s := MinIO(t)
	s.MakeBucket(t, "bucket")
	s.Kill()
	s.Kill() // does nothing
	_, err := http.Get(s.URL())
	require.Error(t, err, "nobody listens any more")
	require.NoError(t, s.Restart(t.Context()))
	require.Error(t, s.Restart(t.Context()), "it runs already")
	ok, err := client(t, s).BucketExists(t.Context(), "bucket")
	require.NoError(t, err)
	require.True(t, ok)
	s.Stop()
	_, err = http.Get(s.URL())
	require.Error(t, err)
}

func TestRclone(t *testing.T) {
	for _, bin := range []string{Rclone(t), RcloneDebian(t)} {
		_, err := os.Stat(bin)
		require.NoError(t, err)
	}
}

func TestMissingProgram(t *testing.T) {
	_, err := Start(t.Context(), MinIOName, Options{Cache: t.TempDir(), Dir: t.TempDir()})
	require.ErrorIs(t, err, ErrNotInstalled)
	require.ErrorContains(t, err, "cmd/testservers install minio")
	_, err = Start(t.Context(), "nothing", Options{})
	require.ErrorContains(t, err, "known are")
	_, err = Start(t.Context(), RcloneName, Options{})
	require.ErrorContains(t, err, "not a server")
}

// fakeTB records how missing ends a test.
type fakeTB struct {
	testing.TB
	skipped, failed bool
}

func (f *fakeTB) Helper()      {}
func (f *fakeTB) Fatal(...any) { f.failed = true; panic(f) }
func (f *fakeTB) Skip(...any)  { f.skipped = true; panic(f) }

func TestRequire(t *testing.T) {
	for _, c := range []struct {
		list string
		err  error
		skip bool
	}{
		{"", ErrNotInstalled, true},
		{"swift", ErrNotInstalled, true},
		{"moto,rclone", ErrNotInstalled, true},
		{"s3", ErrNotInstalled, false},
		{"azure s3", ErrNotInstalled, false},
		{"moto,minio", ErrNotInstalled, false},
		{"", errors.New("does not start"), false},
	} {
		t.Setenv("TRADEWIND_REQUIRE", c.list)
		f := &fakeTB{}
		require.Panics(t, func() { missing(f, MinIOName, c.err) })
		require.Equal(t, c.skip, f.skipped, "%+v", c)
		require.Equal(t, !c.skip, f.failed, "%+v", c)
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	if _, err := Path("", VersityGWName); err != nil {
		missing(t, VersityGWName, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, VersityGWName, Options{Dir: t.TempDir()})
	require.ErrorIs(t, err, context.Canceled)
}
