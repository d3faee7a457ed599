package testservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// MinIO starts a MinIO for the test, with a key service, so that SSE-S3 and SSE-KMS work.
func MinIO(t testing.TB) *Server { t.Helper(); return startFor(t, MinIOName) }

// VersityGW starts a versitygw for the test. It keeps objects as plain files, and ignores storage classes and SSE.
func VersityGW(t testing.TB) *Server { t.Helper(); return startFor(t, VersityGWName) }

// Moto starts a moto for the test. It keeps data in memory, takes any credentials, and knows all storage classes.
func Moto(t testing.TB) *Server { t.Helper(); return startFor(t, MotoName) }

// Rclone returns the path of the pinned rclone.
func Rclone(t testing.TB) string {
	t.Helper()
	bin, err := Path("", RcloneName)
	if err != nil {
		missing(t, RcloneName, err)
	}
	return bin
}

// RcloneDebian returns the path of the rclone that the system has, an older one.
func RcloneDebian(t testing.TB) string {
	t.Helper()
	bin, err := exec.LookPath(RcloneName)
	if err != nil {
		missing(t, RcloneName, fmt.Errorf("the system's rclone is %w; run: apt-get install rclone", ErrNotInstalled))
	}
	return bin
}

func startFor(t testing.TB, name string) *Server {
	t.Helper()
	s, err := Start(t.Context(), name, Options{Dir: t.TempDir()})
	if err != nil {
		missing(t, name, err)
	}
	t.Cleanup(s.Stop)
	return s
}

// missing skips the test if err says that the program is not installed and it need not be; else the test fails.
func missing(t testing.TB, name string, err error) {
	t.Helper()
	if !errors.Is(err, ErrNotInstalled) || required(os.Getenv("TRADEWIND_REQUIRE"), name) {
		t.Fatal(err)
	}
	t.Skip(err)
}

// required says whether a list of names and groups, separated by commas or spaces, has the program.
func required(list, name string) bool {
	p, err := find(name)
	if err != nil {
		return true
	}
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		if word == name || slices.Contains(p.groups, word) {
			return true
		}
	}
	return false
}

// MakeBucket makes a bucket, which must not be there.
func (s *Server) MakeBucket(t testing.TB, name string) {
	t.Helper()
	if err := s.NewBucket(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// NewBucket makes a bucket, which must not be there.
func (s *Server) NewBucket(ctx context.Context, name string) error {
	c, err := minio.New(s.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err == nil {
		err = c.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: s.Region})
	}
	if err != nil {
		return fmt.Errorf("make bucket %s: %w", name, err)
	}
	return nil
}

// Group has servers that the tests of a package share. Each is started by the first test that asks for it, and runs
// until Close, which TestMain calls. The zero value is ready; tests may use it in parallel.
type Group struct {
	mu      sync.Mutex // protects servers
	servers map[string]*shared
}

// shared is a server of a Group, or why there is none.
type shared struct {
	once sync.Once
	s    *Server
	err  error
	dir  string
}

// MinIO returns the MinIO of the group.
func (g *Group) MinIO(t testing.TB) *Server { t.Helper(); return g.get(t, MinIOName) }

// VersityGW returns the versitygw of the group.
func (g *Group) VersityGW(t testing.TB) *Server { t.Helper(); return g.get(t, VersityGWName) }

// Moto returns the moto of the group.
func (g *Group) Moto(t testing.TB) *Server { t.Helper(); return g.get(t, MotoName) }

func (g *Group) get(t testing.TB, name string) *Server {
	t.Helper()
	g.mu.Lock()
	if g.servers == nil {
		g.servers = make(map[string]*shared)
	}
	sh := g.servers[name]
	if sh == nil {
		sh = new(shared)
		g.servers[name] = sh
	}
	g.mu.Unlock()
	sh.once.Do(func() {
		if sh.dir, sh.err = os.MkdirTemp("", "testservers-"+name+"-"); sh.err != nil {
			return
		}
		// Not the test's context: the server outlives it.
		sh.s, sh.err = Start(context.Background(), name, Options{Dir: sh.dir})
	})
	if sh.err != nil {
		missing(t, name, sh.err)
	}
	return sh.s
}

// Close stops the servers and removes their data.
func (g *Group) Close() {
	g.mu.Lock()
	servers := g.servers
	g.servers = nil
	g.mu.Unlock()
	for _, sh := range servers {
		sh.once.Do(func() {})
		if sh.s != nil {
			sh.s.Stop()
		}
		if sh.dir != "" {
			os.RemoveAll(sh.dir)
		}
	}
}
