package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/leaktest"
	"github.com/tradewind-io/tradewind/internal/testservers"
	"github.com/tradewind-io/tradewind/objstore"
)

// servers are shared by the tests; each makes buckets of its own.
var servers testservers.Group

var bucketNumber atomic.Int64

func TestMain(m *testing.M) { leaktest.Main(m, servers.Close) }

// place makes a bucket and returns how it is reached.
func place(t testing.TB, s *testservers.Server, profile Profile) Config {
	t.Helper()
	bucket := fmt.Sprintf("bucket-%d", bucketNumber.Add(1))
	s.MakeBucket(t, bucket)
	return Config{
		Endpoint: s.Endpoint, Insecure: true, Bucket: bucket, Region: s.Region, Profile: profile,
		Credentials: Static{AccessKey: s.AccessKey, SecretKey: s.SecretKey},
	}
}

func open(t testing.TB, cfg Config) *driver {
	t.Helper()
	d, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d.(*driver)
}

func section(s string) *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(s), 0, int64(len(s)))
}

func put(t testing.TB, d objstore.Driver, key, data string, o objstore.PutOptions) objstore.Object {
	t.Helper()
	obj, err := d.Put(t.Context(), key, section(data), o)
	require.NoError(t, err)
	return obj
}

func get(t testing.TB, d objstore.Driver, key string) string {
	t.Helper()
	r, _, err := d.Read(t.Context(), key, 0, -1, "")
	require.NoError(t, err)
	defer r.Close()
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(text)
}

// upload stores data by parts of size bytes.
func upload(t testing.TB, d objstore.Driver, key string, data []byte, size int64, o objstore.PutOptions) objstore.Object {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	u, err := d.Begin(ctx, objstore.Upload{Key: key, Size: int64(len(data)), Plan: objstore.Plan{First: size}}, o)
	require.NoError(t, err)
	var parts []objstore.Part
	for n := range u.Plan.Count(u.Size) {
		spec, size := u.Spec(n)
		p, err := d.PutPart(ctx, u, spec, io.NewSectionReader(bytes.NewReader(data), spec.Off, size))
		require.NoError(t, err)
		parts = append(parts, p)
	}
	obj, err := d.Complete(ctx, u, parts, o)
	require.NoError(t, err)
	return obj
}
