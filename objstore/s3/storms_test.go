package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/faultproxy"
	"github.com/tradewind-io/tradewind/internal/testlog"
	"github.com/tradewind-io/tradewind/objstore"
)

// faulty is a Bucket on a MinIO, with a proxy between them that breaks things.
type faulty struct {
	*objstore.Bucket
	t     *testing.T
	proxy *faultproxy.Proxy
	pool  *objstore.Pool
	cfg   Config
	log   testlog.Buffer
}

const faultPart = 5 << 20

// faultSize makes three parts.
const faultSize = 2*faultPart + 12345

func newFaulty(t *testing.T, edit func(*Config, *objstore.Config)) *faulty {
	s := servers.MinIO(t)
	f := &faulty{t: t, proxy: faultproxy.New(t, s.Endpoint, faultproxy.Config{KeepLog: true}), pool: objstore.NewPool(16 * faultPart)}
	f.cfg = place(t, s, MinIO)
	f.cfg.Endpoint = f.proxy.Addr()
	f.cfg.Logger = slog.New(slog.NewTextHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	bucket := objstore.Config{PartSize: faultPart, Pool: f.pool, RetryTimeout: 2 * time.Minute, Logger: f.cfg.Logger}
	if edit != nil {
		edit(&f.cfg, &bucket)
	}
	d, err := New(f.cfg)
	require.NoError(t, err)
	f.Bucket = objstore.NewBucket(d, bucket)
	t.Cleanup(func() {
		require.NoError(t, f.Close())
		require.Zero(t, f.pool.Used(), "memory is given back")
		f.noSecret(f.log.String())
	})
	return f
}

// noSecret fails if a secret stands in text.
func (f *faulty) noSecret(text string) {
	f.t.Helper()
	static, ok := f.cfg.Credentials.(Static)
	if ok && static.SecretKey != static.AccessKey { // the test server's secret is its name
		require.NotContains(f.t, text, static.SecretKey)
	}
}

// oneError fails unless err is one *objstore.Error of the kind that says operation, key and cause.
func (f *faulty) oneError(err error, kind objstore.Kind, key string) {
	f.t.Helper()
	var e *objstore.Error
	require.ErrorAs(f.t, err, &e)
	require.Equal(f.t, kind, e.Kind, "%v", err)
	require.NotEmpty(f.t, e.Op)
	require.Equal(f.t, key, e.Key, "%v", err)
	f.noSecret(fmt.Sprintf("%v %+v %#v", err, err, err))
}

func content() []byte {
	b := make([]byte, faultSize)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(b)
	return b
}

// write uploads content by parts, and read reads it back, through the proxy.
func (f *faulty) write(key string) error {
	_, err := f.Write(f.t.Context(), key, bytes.NewReader(content()), objstore.CreateOptions{Size: faultSize})
	return err
}

func (f *faulty) read(key string) ([]byte, error) {
	r, err := f.Open(f.t.Context(), key, objstore.ReadOptions{})
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// whole fails unless the object is what was written, read past the proxy's faults, and no upload stays open.
func (f *faulty) whole(key string) {
	f.t.Helper()
	f.proxy.Clear()
	got, err := f.read(key)
	require.NoError(f.t, err)
	require.True(f.t, bytes.Equal(content(), got))
	f.nothingOpen(key)
}

func (f *faulty) nothingOpen(key string) {
	f.t.Helper()
	for u, err := range f.Uploads(f.t.Context(), key) {
		require.NoError(f.t, err)
		f.t.Errorf("upload of %s stays open", u.Key)
	}
}

const putPart = "partNumber="

// TestUploadFaults breaks requests of an upload in every way; each ends with the object whole.
func TestUploadFaults(t *testing.T) {
	for name, rules := range map[string][]faultproxy.Rule{
		"reset in mid-part": {
			{Method: http.MethodPut, Contains: putPart, Times: 3, Fault: faultproxy.Fault{Request: faultproxy.Body{Do: faultproxy.Reset, At: 1 << 20}}},
		},
		"answer cut": {
			{Method: http.MethodPut, Contains: putPart, Times: 2, Fault: faultproxy.Fault{Lost: true}},
		},
		"storm of 500": {{Times: 4, Fault: faultproxy.Fault{Answer: faultproxy.InternalError()}}},
		"storm of 503": {{Times: 4, Fault: faultproxy.Fault{Answer: faultproxy.SlowDown(0)}}},
		"storm of 429": {{Times: 3, Fault: faultproxy.Fault{Answer: faultproxy.TooMany(time.Second)}}},
		"wrong bytes on the way up": {
			{Method: http.MethodPut, Contains: putPart, Times: 2, Fault: faultproxy.Fault{Request: faultproxy.Body{Do: faultproxy.Corrupt, At: 4 << 20}}},
		},
		"lost answer to complete": {
			{Method: http.MethodPost, Contains: "uploadId=", Times: 1, Fault: faultproxy.Fault{Lost: true}},
		},
		"slow answers": {
			{Method: http.MethodPut, Contains: putPart, Fault: faultproxy.Fault{Delay: 300 * time.Millisecond}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t, nil)
			var active []*faultproxy.Active
			for _, r := range rules {
				active = append(active, f.proxy.Add(r))
			}
			require.NoError(t, f.write("k"))
			for _, a := range active {
				require.Positive(t, a.Hits(), "the fault was met")
			}
			f.whole("k")
		})
	}
}

// TestDownloadFaults breaks requests of a download; each ends with the right bytes, or an error that says what happened.
func TestDownloadFaults(t *testing.T) {
	for name, fault := range map[string]faultproxy.Fault{
		"reset in mid-body": {Response: faultproxy.Body{Do: faultproxy.Reset, At: 100_000}},
		"truncated body":    {Response: faultproxy.Body{Do: faultproxy.Truncate, At: 100_000}},
		"stalled body":      {Response: faultproxy.Body{Do: faultproxy.Stall, At: 50_000}},
		"slow loris":        {Response: faultproxy.Body{Do: faultproxy.Trickle, At: 1000, Piece: 1, Every: 400 * time.Millisecond}},
		"500":               {Answer: faultproxy.InternalError()},
		"503":               {Answer: faultproxy.SlowDown(0)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t, func(_ *Config, b *objstore.Config) { b.StallTimeout = time.Second })
			require.NoError(t, f.write("k"))
			a := f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "/k", Times: 3, Fault: fault})
			got, err := f.read("k")
			require.NoError(t, err)
			require.True(t, bytes.Equal(content(), got))
			require.Positive(t, a.Hits())
			f.proxy.Clear()
			f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "/k", Times: 3, Fault: fault})
			var all writerAt
			_, err = f.Download(t.Context(), "k", &all, objstore.ReadOptions{})
			require.NoError(t, err)
			require.True(t, bytes.Equal(content(), all.b))
			f.whole("k")
		})
	}
}

// writerAt keeps what is written to it.
type writerAt struct {
	mu sync.Mutex // protects b
	b  []byte
}

func (w *writerAt) WriteAt(p []byte, off int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if need := int(off) + len(p); need > len(w.b) {
		w.b = append(w.b, make([]byte, need-len(w.b))...)
	}
	return copy(w.b[off:], p), nil
}

// TestDownloadOfParts fetches a stretch, in small ranges, and notices that an object was replaced and that the disk is full.
func TestDownloadOfParts(t *testing.T) {
	f := newFaulty(t, nil)
	require.NoError(t, f.write("k"))
	var all writerAt
	o, err := f.Download(t.Context(), "k", &all, objstore.ReadOptions{Offset: 1000, Length: 3_000_000, PartSize: 700_000})
	require.NoError(t, err)
	require.EqualValues(t, faultSize, o.Size)
	require.True(t, bytes.Equal(content()[1000:3_001_000], all.b))
	var rest writerAt
	_, err = f.Download(t.Context(), "k", &rest, objstore.ReadOptions{Offset: 10, Length: math.MaxInt64, PartSize: math.MaxInt64})
	require.NoError(t, err)
	require.True(t, bytes.Equal(content()[10:], rest.b))
	_, err = f.Download(t.Context(), "k", &rest, objstore.ReadOptions{Offset: -1})
	f.oneError(err, objstore.Invalid, "k")
	_, err = f.Download(t.Context(), "k", &rest, objstore.ReadOptions{Offset: faultSize + 1})
	f.oneError(err, objstore.Range, "k")
	_, err = f.Download(t.Context(), "k", &all, objstore.ReadOptions{ETag: "another"})
	f.oneError(err, objstore.Changed, "k")
	_, err = f.Download(t.Context(), "k", fullDisk{}, objstore.ReadOptions{})
	f.oneError(err, objstore.Other, "k")
	require.ErrorIs(t, err, errFullDisk)
	_, err = f.Download(t.Context(), "nothing", &all, objstore.ReadOptions{})
	f.oneError(err, objstore.NotFound, "nothing")
}

var errFullDisk = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) WriteAt([]byte, int64) (int, error) { return 0, errFullDisk }

// TestObjectChangedWhileRead replaces an object in the middle of a download.
func TestObjectChangedWhileRead(t *testing.T) {
	f := newFaulty(t, nil)
	require.NoError(t, f.write("k"))
	f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "/k", Skip: 1, Fault: faultproxy.Fault{Response: faultproxy.Body{Do: faultproxy.Reset, At: 1000}}})
	r, err := f.Open(t.Context(), "k", objstore.ReadOptions{})
	require.NoError(t, err)
	_, err = f.Put(t.Context(), "k", strings.NewReader("another"), 7, objstore.PutOptions{})
	require.NoError(t, err)
	f.proxy.Clear()
	_, err = io.ReadAll(r)
	f.oneError(err, objstore.Changed, "k")
	require.NoError(t, r.Close())
}

// TestFinalErrors: what no retry helps against is one error that says what to do, at once, and leaves nothing behind.
func TestFinalErrors(t *testing.T) {
	for name, c := range map[string]struct {
		fault faultproxy.Fault
		kind  objstore.Kind
		hint  string
	}{
		"expired credentials": {faultproxy.Fault{Answer: faultproxy.Expired()}, objstore.Auth, "expired"},
		"clock skew":          {faultproxy.Fault{Answer: faultproxy.Skewed()}, objstore.Clock, "clock"},
		"denied":              {faultproxy.Fault{Answer: faultproxy.Denied()}, objstore.Denied, "right"},
		"quota":               {faultproxy.Fault{Answer: faultproxy.S3Error(507, "QuotaExceeded", "full")}, objstore.Full, "full"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t, nil)
			f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: putPart, Skip: 1, Fault: c.fault})
			err := f.write("k")
			f.oneError(err, c.kind, "k")
			require.Contains(t, err.Error(), c.hint)
			f.proxy.Clear()
			f.nothingOpen("k")
			_, err = f.Stat(t.Context(), "k")
			require.ErrorIs(t, err, objstore.ErrNotFound)
		})
	}
}

// TestStoreThatStaysDown gives up when the time for retries is over, says so, and leaves nothing open.
func TestStoreThatStaysDown(t *testing.T) {
	f := newFaulty(t, func(_ *Config, b *objstore.Config) { b.RetryTimeout = 2 * time.Second })
	f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: putPart, Fault: faultproxy.Fault{Answer: faultproxy.SlowDown(0)}})
	f.oneError(f.write("k"), objstore.Busy, "k")
	f.proxy.Clear()
	f.nothingOpen("k")
}

// TestBucketMissingIsNamed names the bucket.
func TestBucketMissingIsNamed(t *testing.T) {
	f := newFaulty(t, func(c *Config, _ *objstore.Config) { c.Bucket = "not-there" })
	err := f.write("k")
	require.ErrorIs(t, err, objstore.ErrNotFound)
	require.Contains(t, err.Error(), `"not-there"`)
	_, err = f.Stat(t.Context(), "k")
	require.ErrorIs(t, err, objstore.ErrNotFound)
}

// TestListDenied: a place that lets us write and not list is written to.
func TestListDenied(t *testing.T) {
	f := newFaulty(t, nil)
	f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "list-type=2", Fault: faultproxy.Fault{Answer: faultproxy.Denied()}})
	f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "uploads", Fault: faultproxy.Fault{Answer: faultproxy.Denied()}})
	require.NoError(t, f.write("k"))
	_, err := f.ListPage(t.Context(), objstore.ListOptions{Prefix: "p/"})
	f.oneError(err, objstore.Denied, "p/")
	f.whole("k")
}

// TestEmptyAndTinyObjects go through parts and puts alike.
func TestEmptyAndTinyObjects(t *testing.T) {
	f := newFaulty(t, nil)
	for _, size := range []int64{0, 1, faultPart - 1, faultPart, faultPart + 1} {
		for _, known := range []bool{true, false} {
			key := fmt.Sprint(size, known)
			o := objstore.CreateOptions{Size: size}
			if !known {
				o.Size = -1
			}
			obj, err := f.Write(t.Context(), key, io.LimitReader(rand.NewChaCha8([32]byte{1}), size), o)
			require.NoError(t, err, key)
			require.Equal(t, size, obj.Size, key)
			got, err := f.read(key)
			require.NoError(t, err)
			require.Len(t, got, int(size))
		}
	}
}

// TestMorePartsThanAllowed is refused before anything is sent.
func TestMorePartsThanAllowed(t *testing.T) {
	f := newFaulty(t, nil)
	before := f.proxy.Stats().Requests
	_, err := f.Create(t.Context(), "k", objstore.CreateOptions{Size: 6 << 40})
	f.oneError(err, objstore.Invalid, "k")
	_, err = f.Create(t.Context(), "k", objstore.CreateOptions{Size: 1 << 40, MaxPart: 64 << 20})
	f.oneError(err, objstore.Invalid, "k")
	require.Equal(t, before, f.proxy.Stats().Requests)
}

// TestTreeOfOddKeys shows, renames and removes keys of every byte that they can have.
func TestTreeOfOddKeys(t *testing.T) {
	f := newFaulty(t, nil)
	tree := objstore.NewTree(f.Bucket, "odd")
	names := []string{"sp ace", "plus+", "per%cent", "per%2Fcent", "quest?ion", "ha#sh", "am&p=eq", "quo\"te'", "ünï", "日本", "tab\tbed", "star*", "back\\slash", "~", "a:b", "<x>"}
	for _, n := range names {
		_, err := f.Put(t.Context(), tree.Key("d/"+n), strings.NewReader(n), int64(len(n)), objstore.PutOptions{})
		require.NoError(t, err, "%q", n)
	}
	seen := func(folder string) map[string]bool {
		out := map[string]bool{}
		require.NoError(t, tree.Walk(t.Context(), folder, func(o objstore.Object) error { out[strings.TrimPrefix(o.Key, folder+"/")] = true; return nil }))
		return out
	}
	for _, n := range names {
		require.True(t, seen("d")[n], "%q", n)
		o, err := tree.Stat(t.Context(), "d/"+n)
		require.NoError(t, err, "%q", n)
		require.EqualValues(t, len(n), o.Size)
	}
	moved, err := tree.Rename(t.Context(), "d", "e", false)
	require.NoError(t, err)
	require.EqualValues(t, len(names), moved)
	require.Empty(t, seen("d"))
	for _, n := range names {
		require.True(t, seen("e")[n], "%q", n)
		b, _, err := f.Get(t.Context(), tree.Key("e/"+n), 100)
		require.NoError(t, err)
		require.Equal(t, n, string(b))
	}
	n, err := tree.RemoveAll(t.Context(), "e")
	require.NoError(t, err)
	require.EqualValues(t, len(names), n)
}
