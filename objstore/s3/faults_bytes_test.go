package s3

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/faultproxy"
	"github.com/tradewind-io/tradewind/objstore"
)

// TestWrongChecksum changes bytes on the way. What goes up is protected by Config.Checksum. What comes down is protected by
// TLS, or by WithEncryption; over plain HTTP without that nobody notices, which the last but one of the cases shows.
func TestWrongChecksum(t *testing.T) {
	corrupt := faultproxy.Body{Do: faultproxy.Corrupt, At: 1000}
	for _, sum := range []Checksum{CRC32C, MD5, SHA256} {
		t.Run("up "+sum.String(), func(t *testing.T) {
			f := newFaulty(t, func(c *Config, _ *objstore.Config) { c.Checksum = sum })
			part := f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: putPart + "2", Times: 2, Fault: faultproxy.Fault{Request: corrupt}})
			put := f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: "/small", Times: 1, Fault: faultproxy.Fault{Request: faultproxy.Body{Do: faultproxy.Corrupt, At: 2}}})
			require.NoError(t, f.stream("k"))
			_, err := f.Put(t.Context(), "small", strings.NewReader("text"), 4, objstore.PutOptions{})
			require.NoError(t, err)
			require.Equal(t, 2, part.Hits())
			require.Equal(t, 1, put.Hits())
			b, _, err := f.Get(t.Context(), "small", 100)
			require.NoError(t, err)
			require.Equal(t, "text", string(b))
			f.whole("k")
		})
		t.Run("up for ever "+sum.String(), func(t *testing.T) {
			f := newFaulty(t, func(c *Config, b *objstore.Config) { c.Checksum, b.RetryTimeout = sum, time.Second })
			f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: putPart, Fault: faultproxy.Fault{Request: corrupt}})
			f.oneError(f.stream("k"), objstore.Corrupt, "k")
			f.nothingOpen("k")
		})
		t.Run("answer about it "+sum.String(), func(t *testing.T) {
			// The ETag of a part that the answer names wrongly is not what the store wants to see at the end.
			f := newFaulty(t, func(c *Config, _ *objstore.Config) { c.Checksum = sum })
			a := f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: putPart + "2", Times: 1, Fault: faultproxy.Fault{WrongChecksum: true}})
			require.NoError(t, f.stream("k"))
			require.Equal(t, 1, a.Hits())
			f.whole("k")
		})
	}
	down := faultproxy.Rule{Method: http.MethodGet, Contains: "/k", Skip: 1, Times: 1, Fault: faultproxy.Fault{Response: corrupt}}
	t.Run("down over plain HTTP", func(t *testing.T) {
		f := newFaulty(t, nil)
		require.NoError(t, f.write("k"))
		f.proxy.Add(down)
		got, err := f.read("k")
		require.NoError(t, err, "nothing in S3's answer to a range says what its bytes should be")
		require.False(t, bytes.Equal(content(), got))
	})
	t.Run("down with encryption", func(t *testing.T) {
		f := newFaulty(t, nil)
		d, err := objstore.WithEncryption(open(t, f.cfg), objstore.Encryption{Passphrase: "a passphrase", Time: 1, Memory: 64 << 10, Threads: 1})
		require.NoError(t, err)
		require.NoError(t, f.Close())
		f.Bucket = objstore.NewBucket(d, objstore.Config{PartSize: faultPart, Pool: f.pool, RetryTimeout: time.Second})
		require.NoError(t, f.write("k"))
		f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "/k", Fault: faultproxy.Fault{Response: faultproxy.Body{Do: faultproxy.Corrupt, At: 200_000}}})
		got, err := f.read("k")
		require.ErrorIs(t, err, objstore.ErrTampered)
		var e *objstore.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "k", e.Key)
		require.True(t, bytes.HasPrefix(content(), got), "nothing that is wrong is handed out")
	})
	t.Run("down over TLS", func(t *testing.T) {
		cfg := tlsMinIO(t)
		f := &faulty{t: t, pool: objstore.NewPool(16 * faultPart), cfg: cfg}
		var flips atomic.Int32
		cfg.Endpoint = flipping(t, cfg.Endpoint, 300_000, &flips)
		d, err := New(cfg)
		require.NoError(t, err)
		f.Bucket = objstore.NewBucket(d, objstore.Config{PartSize: faultPart, Pool: f.pool})
		require.NoError(t, f.write("k"))
		got, err := f.read("k")
		require.NoError(t, err, "the range is asked for again")
		require.True(t, bytes.Equal(content(), got))
		require.Positive(t, flips.Load())
		require.NoError(t, f.Close())
		require.Zero(t, f.pool.Used())
	})
	// A change in the header of a TLS record does not mean that the endpoint speaks no TLS.
	var e objstore.Error
	networkFailed(&e, tls.RecordHeaderError{Msg: "oversized record received with length 40000"})
	require.Equal(t, objstore.Temporary, e.Kind, "%v", &e)
	networkFailed(&e, tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"})
	require.Equal(t, objstore.Other, e.Kind, "%v", &e)
}

// flipping passes connections on to a server and changes, twice, a bit of the byte at that offset of what comes back. It
// returns its address.
func flipping(t *testing.T, server string, at int, flips *atomic.Int32) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	pass := func(client net.Conn) {
		defer client.Close()
		upstream, err := net.Dial("tcp", server)
		if err != nil {
			return // the client sees that it is closed
		}
		defer upstream.Close()
		defer context.AfterFunc(ctx, func() { client.Close(); upstream.Close() })()
		running.Go(func() {
			_, _ = io.Copy(upstream, client) // how it ends shows on the other side
			upstream.Close()
		})
		buf := make([]byte, 32<<10)
		for off := 0; ; {
			n, err := upstream.Read(buf)
			if i := at - off; i >= 0 && i < n && flips.Add(1) <= 2 {
				buf[i] ^= 0x10
			}
			off += n
			if _, werr := client.Write(buf[:n]); err != nil || werr != nil {
				return
			}
		}
	}
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { pass(c) })
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); running.Wait() })
	return l.Addr().String()
}

// TestKeysOfEveryByte has a name with every byte, alone between letters and all in one, go through everything.
func TestKeysOfEveryByte(t *testing.T) {
	f := newFaulty(t, nil)
	tree := objstore.NewTree(f.Bucket, "top é")
	var names []string
	var all strings.Builder
	for b := range 0x80 {
		if b != 0 && b != '/' {
			names = append(names, "a"+string(rune(b))+"z")
			all.WriteByte(byte(b))
		}
	}
	for _, r := range []rune{0x80, 0xa0, 0xe9, 0x7ff, 0x800, 0x2028, 0xfeff, 0xfffd, 0xffff, 0x10000, 0x1f600, 0x10ffff} {
		names = append(names, "a"+string(r)+"z")
	}
	// Every byte that UTF-8 has at all, once as the last and once as the first of a rune.
	for r := rune(0x80); r < 0x800; r += 0x41 {
		names = append(names, string(r))
	}
	names = append(names, all.String())
	slices.Sort(names)
	names = slices.Compact(names)

	run := func(what string, f func(name string) error) {
		t.Helper()
		var wg sync.WaitGroup
		next := make(chan string)
		errs := make(chan error, len(names))
		for range 16 {
			wg.Go(func() {
				for n := range next {
					if err := f(n); err != nil {
						errs <- fmt.Errorf("%s %q: %w", what, n, err)
					}
				}
			})
		}
		for _, n := range names {
			next <- n
		}
		close(next)
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
	}
	holds := func(key, text string) error {
		b, o, err := f.Get(t.Context(), key, 1000)
		if err == nil && (string(b) != text || o.Key != key) {
			err = fmt.Errorf("%q holds %q", o.Key, b)
		}
		return err
	}
	run("put", func(n string) error {
		_, err := f.Put(t.Context(), tree.Key("d/"+n), strings.NewReader(n), int64(len(n)), objstore.PutOptions{})
		return err
	})
	run("read", func(n string) error { return holds(tree.Key("d/"+n), n) })
	run("stat", func(n string) error {
		o, err := tree.Stat(t.Context(), "d/"+n)
		if err == nil && o.Size != int64(len(n)) {
			err = fmt.Errorf("%d bytes", o.Size)
		}
		return err
	})
	folder := func(name string) (got []string) {
		for token := ""; ; {
			p, err := tree.ReadDir(t.Context(), name, token, 50)
			if errors.Is(err, objstore.ErrNotFound) {
				return nil
			}
			require.NoError(t, err)
			for _, o := range p.Objects {
				got = append(got, strings.TrimPrefix(o.Key, name+"/"))
			}
			if token = p.Next; token == "" {
				slices.Sort(got)
				return got
			}
		}
	}
	require.Equal(t, names, folder("d"), "in pages whose tokens hold such keys")
	moved, err := tree.Rename(t.Context(), "d", "e", false)
	require.NoError(t, err)
	require.EqualValues(t, len(names), moved)
	require.Empty(t, folder("d"))
	require.Equal(t, names, folder("e"))
	run("read what was renamed", func(n string) error { return holds(tree.Key("e/"+n), n) })
	var walked []string
	require.NoError(t, tree.Walk(t.Context(), "e", func(o objstore.Object) error {
		walked = append(walked, strings.TrimPrefix(o.Key, "e/"))
		return nil
	}))
	slices.Sort(walked)
	require.Equal(t, names, walked)

	// As uploads in parts, whose keys go through other requests and into XML.
	for _, n := range []string{all.String(), "a&<>\"'\r\n\t]]>z", "a\u2028\U0001f600z"} {
		require.NoError(t, f.write(n), "%q", n)
		f.whole(n)
		w, err := f.Create(t.Context(), n, objstore.CreateOptions{Size: faultSize})
		require.NoError(t, err)
		var open []string
		for u, err := range f.Uploads(t.Context(), n) {
			require.NoError(t, err)
			open = append(open, u.Key)
		}
		require.Equal(t, []string{n}, open)
		require.NoError(t, w.Abort(t.Context()))
		f.nothingOpen(n)
	}
	removed, err := tree.RemoveAll(t.Context(), "e")
	require.NoError(t, err)
	require.EqualValues(t, len(names), removed)
	require.Empty(t, folder("e"))

	// What cannot be a key is refused before anything is sent, and quoted.
	before := f.proxy.Stats().Requests
	for b := 0x80; b < 0x100; b++ {
		key := "a" + string([]byte{byte(b)}) + "z"
		_, err := f.Put(t.Context(), key, strings.NewReader("x"), 1, objstore.PutOptions{})
		f.oneError(err, objstore.Invalid, key)
		require.Contains(t, err.Error(), fmt.Sprintf(`"a\x%02xz"`, b))
		f.oneError(f.write(key), objstore.Invalid, key)
	}
	for _, key := range []string{"", strings.Repeat("k", maxKey+1), "a/../b", "./a"} {
		_, err := f.Put(t.Context(), key, strings.NewReader("x"), 1, objstore.PutOptions{})
		f.oneError(err, objstore.Invalid, key)
	}
	require.Equal(t, before, f.proxy.Stats().Requests)
	for _, key := range []string{"a\x00z", "a//b"} { // by the store
		_, err = f.Put(t.Context(), key, strings.NewReader("x"), 1, objstore.PutOptions{})
		f.oneError(err, objstore.Invalid, key)
	}
}

// TestZeroByteObjects has objects without bytes go every way, and meet faults.
func TestZeroByteObjects(t *testing.T) {
	f := newFaulty(t, nil)
	attr := objstore.Attr{Mtime: time.Unix(1, 2).UTC(), Metadata: map[string]string{"a": "b"}}
	o := objstore.PutOptions{Attr: attr}
	ways := map[string]func(key string) error{
		"put": func(key string) error { _, err := f.Put(t.Context(), key, strings.NewReader(""), 0, o); return err },
		"write": func(key string) error {
			_, err := f.Write(t.Context(), key, strings.NewReader(""), objstore.CreateOptions{PutOptions: o})
			return err
		},
		"stream": func(key string) error {
			_, err := f.Write(t.Context(), key, onlyReader{strings.NewReader("")}, objstore.CreateOptions{PutOptions: o, Size: -1})
			return err
		},
		"upload":                 func(key string) error { return f.emptyUpload(key, 0, o) },
		"upload of unknown size": func(key string) error { return f.emptyUpload(key, -1, o) },
	}
	faults := map[string]faultproxy.Fault{
		"none": {}, "busy": {Answer: faultproxy.SlowDown(0)}, "lost": {Lost: true},
	}
	for way, write := range ways {
		for name, fault := range faults {
			if name != "none" && way != "stream" && way != "upload" {
				continue
			}
			key := way + "/" + name
			var hits []*faultproxy.Active
			if name != "none" {
				for _, m := range []string{http.MethodPut, http.MethodPost, http.MethodGet} {
					rule := faultproxy.Rule{Method: m, Times: 1, Fault: fault}
					if m == http.MethodPost {
						rule.Contains = "uploadId="
					}
					hits = append(hits, f.proxy.Add(rule))
				}
			}
			require.NoError(t, write(key), key)
			b, obj, err := f.Get(t.Context(), key, 10)
			require.NoError(t, err, key)
			require.Empty(t, b)
			require.Zero(t, obj.Size)
			require.Equal(t, attr, obj.Attr, key)
			n, err := f.ReadAt(t.Context(), key, make([]byte, 1), 0, obj.ETag)
			require.Zero(t, n)
			require.Equal(t, io.EOF, err)
			var all writerAt
			_, err = f.Download(t.Context(), key, &all, objstore.ReadOptions{})
			require.NoError(t, err)
			require.Empty(t, all.b)
			_, err = f.Open(t.Context(), key, objstore.ReadOptions{Offset: 1})
			f.oneError(err, objstore.Range, key)
			copied, err := f.Copy(t.Context(), key, key+" copy")
			require.NoError(t, err)
			require.Zero(t, copied.Size)
			for i, a := range hits {
				if i != 1 || strings.HasPrefix(way, "upload") {
					require.Equal(t, 1, a.Hits(), "%s, fault %d", key, i)
				}
			}
			f.proxy.Clear()
			f.nothingOpen(key)
		}
	}
	usage, err := objstore.NewTree(f.Bucket, "").Usage(t.Context(), ".")
	require.NoError(t, err)
	require.Equal(t, objstore.Usage{Files: int64(2 * (len(ways) + 2*2))}, usage)
}

// emptyUpload makes an object without bytes by parts.
func (f *faulty) emptyUpload(key string, size int64, o objstore.PutOptions) error {
	w, err := f.Create(f.t.Context(), key, objstore.CreateOptions{PutOptions: o, Size: size})
	if err != nil {
		return err
	}
	if err := w.PutPart(f.t.Context(), 0, true, strings.NewReader(""), 0); err != nil {
		return errors.Join(err, w.Abort(f.t.Context()))
	}
	_, err = w.Complete(f.t.Context(), 0)
	return err
}

// TestMorePartsThanThereAre asks for parts that the store does not have numbers for.
func TestMorePartsThanThereAre(t *testing.T) {
	f := newFaulty(t, nil)
	_, err := f.Write(t.Context(), "k", io.NewSectionReader(&changing{}, 0, 10001*faultPart), objstore.CreateOptions{Size: 10001 * faultPart, MaxPart: faultPart})
	f.oneError(err, objstore.Invalid, "k")
	require.ErrorContains(t, err, "10000 parts")
	require.Zero(t, f.proxy.Stats().Requests, "before anything is sent")

	w, err := f.Create(t.Context(), "k", objstore.CreateOptions{Size: 10001 * faultPart})
	require.NoError(t, err, "with larger parts there are enough")
	require.LessOrEqual(t, w.Upload().Plan.Count(10001*faultPart), maxParts)
	unknown, err := f.Create(t.Context(), "k", objstore.CreateOptions{Size: -1})
	require.NoError(t, err)
	before := f.proxy.Stats().Requests
	for _, w := range []*objstore.Writer{w, unknown} {
		f.oneError(w.PutPart(t.Context(), maxParts, false, strings.NewReader(""), w.Upload().Plan.PartSize(maxParts)), objstore.Invalid, "k")
	}
	require.Equal(t, before, f.proxy.Stats().Requests)
	require.NoError(t, w.Abort(t.Context()))
	require.NoError(t, unknown.Abort(t.Context()))
	f.nothingOpen("k")
}
