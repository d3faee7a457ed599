package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/faultproxy"
	"github.com/tradewind-io/tradewind/objstore"
)

// onlyReader hides that its reader can do more, so that parts are gathered in memory of the pool.
type onlyReader struct{ io.Reader }

// stream uploads content without telling its size or letting it be read anywhere else.
func (f *faulty) stream(key string) error {
	_, err := f.Write(f.t.Context(), key, onlyReader{bytes.NewReader(content())}, objstore.CreateOptions{Size: -1})
	return err
}

// ranges returns the first bytes of all ranges of key that were asked for, in order.
func (f *faulty) ranges(key string) (from []int64) {
	f.t.Helper()
	for _, x := range f.proxy.Log() {
		if x.Method != http.MethodGet || !strings.HasSuffix(x.URI, "/"+key) {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(x.Header.Get("Range"), "bytes="), "-")
		n, err := strconv.ParseInt(first, 10, 64)
		require.NoError(f.t, err, "range %q", x.Header.Get("Range"))
		from = append(from, n)
	}
	return from
}

// requests counts what the proxy saw.
func (f *faulty) requests(method, contains string) (n int) {
	for _, x := range f.proxy.Log() {
		if x.Method == method && strings.Contains(x.URI, contains) {
			n++
		}
	}
	return n
}

func TestResetMidPart(t *testing.T) {
	reset := func(at int64) faultproxy.Body { return faultproxy.Body{Do: faultproxy.Reset, At: at} }
	t.Run("part gathered in memory", func(t *testing.T) {
		f := newFaulty(t, nil)
		a := f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: putPart + "2", Times: 2, Fault: faultproxy.Fault{Request: reset(1 << 20)}})
		require.NoError(t, f.stream("k"))
		require.Equal(t, 2, a.Hits())
		require.Equal(t, 1, f.requests(http.MethodPut, putPart+"1&"), "other parts are not sent again")
		f.whole("k")
	})
	t.Run("every part, for ever", func(t *testing.T) {
		f := newFaulty(t, func(_ *Config, b *objstore.Config) { b.RetryTimeout = time.Second })
		f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: putPart, Fault: faultproxy.Fault{Request: reset(1 << 20)}})
		f.oneError(f.stream("k"), objstore.Temporary, "k")
		f.proxy.Clear()
		f.nothingOpen("k")
	})
	t.Run("upload left open on purpose", func(t *testing.T) {
		f := newFaulty(t, func(_ *Config, b *objstore.Config) { b.RetryTimeout = -1 })
		rule := faultproxy.Rule{Method: http.MethodPut, Contains: putPart + "2", Fault: faultproxy.Fault{Request: reset(1 << 20)}}
		f.proxy.Add(rule)
		w, err := f.Create(t.Context(), "k", objstore.CreateOptions{Size: faultSize})
		require.NoError(t, err)
		puts := func(w *objstore.Writer, n int) error {
			u := w.Upload()
			spec, size := u.Spec(n)
			return w.PutPart(t.Context(), n, spec.Last, io.NewSectionReader(bytes.NewReader(content()), spec.Off, size), size)
		}
		require.NoError(t, puts(w, 0))
		f.oneError(puts(w, 1), objstore.Temporary, "k")
		f.proxy.Clear()
		w, err = f.Resume(t.Context(), w.Upload(), objstore.PutOptions{})
		require.NoError(t, err)
		require.True(t, w.Has(0))
		require.False(t, w.Has(1))
		require.NoError(t, puts(w, 1))
		require.NoError(t, puts(w, 2))
		_, err = w.Complete(t.Context(), faultSize)
		require.NoError(t, err)
		f.whole("k")
	})
	t.Run("answer", func(t *testing.T) {
		f := newFaulty(t, nil)
		require.NoError(t, f.write("k"))
		a := f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "/k", Skip: 1, Times: 2, Fault: faultproxy.Fault{Response: reset(2 << 20)}})
		got, err := f.read("k")
		require.NoError(t, err)
		require.True(t, bytes.Equal(content(), got))
		require.Equal(t, 2, a.Hits())
	})
}

// counting counts the requests that are under way. The first of them wait for each other.
type counting struct {
	http.RoundTripper
	first int

	mu    sync.Mutex // protects the rest
	begun int
	now   int
	most  int // since the first
	all   chan struct{}
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.begun++
	c.now++
	mine := c.begun
	switch {
	case mine == c.first:
		close(c.all)
	case mine > c.first:
		c.most = max(c.most, c.now)
	}
	c.mu.Unlock()
	if mine <= c.first {
		select {
		case <-c.all:
		case <-r.Context().Done():
		}
	}
	resp, err := c.RoundTripper.RoundTrip(r)
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	return resp, err
}

// storm has a store refuse the first requests, which were as many as may be under way, and returns how many were under
// way afterwards at most, and the pauses.
func storm(t *testing.T, answer *faultproxy.Answer) (most int, pauses []time.Duration) {
	const parallel, objects = 8, 12
	c := &counting{first: parallel, all: make(chan struct{})}
	f := newFaulty(t, func(s *Config, b *objstore.Config) {
		own := ownTransport(*s)
		t.Cleanup(own.CloseIdleConnections)
		c.RoundTripper = own
		s.Transport, b.Parallel = c, parallel
	})
	f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Times: parallel, Fault: faultproxy.Fault{Answer: answer}})
	var wg sync.WaitGroup
	errs := make([]error, objects)
	for i := range objects {
		text := fmt.Sprint("object ", i)
		wg.Go(func() {
			_, errs[i] = f.Put(t.Context(), fmt.Sprint(i), strings.NewReader(text), int64(len(text)), objstore.PutOptions{})
		})
	}
	wg.Wait()
	for i, err := range errs {
		require.NoError(t, err)
		b, _, err := f.Get(t.Context(), fmt.Sprint(i), 100)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("object ", i), string(b))
	}
	for _, m := range regexp.MustCompile(`msg="store request is tried again".* pause=(\S+)`).FindAllStringSubmatch(f.log.String(), -1) {
		d, err := time.ParseDuration(m[1])
		require.NoError(t, err)
		pauses = append(pauses, d)
	}
	require.Len(t, pauses, parallel)
	return c.most, pauses
}

func TestStorm500(t *testing.T) {
	most, _ := storm(t, faultproxy.InternalError())
	require.LessOrEqual(t, most, 8)
}

func TestStorm503(t *testing.T) {
	most, _ := storm(t, faultproxy.SlowDown(0))
	require.LessOrEqual(t, most, 6, "half as many, and one more for each round that went well")
}

func TestStorm429(t *testing.T) {
	most, pauses := storm(t, faultproxy.TooMany(time.Second))
	require.LessOrEqual(t, most, 6)
	for _, p := range pauses {
		require.GreaterOrEqual(t, p, time.Second, "Retry-After")
	}
	// A store that asks for more than there is time for is an error at once.
	f := newFaulty(t, func(_ *Config, b *objstore.Config) { b.RetryTimeout = time.Minute })
	a := f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Fault: faultproxy.Fault{Answer: faultproxy.TooMany(2 * time.Minute)}})
	_, err := f.Put(t.Context(), "k", strings.NewReader("x"), 1, objstore.PutOptions{})
	f.oneError(err, objstore.Busy, "k")
	require.Equal(t, 1, a.Hits())
}

func TestTruncatedBody(t *testing.T) {
	const at = 300_000
	cut := faultproxy.Fault{Response: faultproxy.Body{Do: faultproxy.Truncate, At: at}}
	t.Run("download goes on where it stopped", func(t *testing.T) {
		f := newFaulty(t, nil)
		require.NoError(t, f.write("k"))
		f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "/k", Times: 2, Fault: cut})
		p := make([]byte, 1<<20)
		_, err := f.ReadAt(t.Context(), "k", p, 1000, "")
		require.NoError(t, err)
		require.True(t, bytes.Equal(content()[1000:1000+1<<20], p))
		require.Equal(t, []int64{1000, 1000 + at, 1000 + 2*at}, f.ranges("k"))
		for _, x := range f.proxy.Log() {
			if x.Method == http.MethodGet && strings.HasPrefix(x.Header.Get("Range"), fmt.Sprintf("bytes=%d-", 1000+at)) {
				require.NotEmpty(t, x.Header.Get("If-Match"), "it must be of the same object")
			}
		}
	})
	// Answers that are documents: each is asked for again.
	for _, do := range []faultproxy.Action{faultproxy.Truncate, faultproxy.Reset} {
		t.Run(fmt.Sprint("documents, action ", do), func(t *testing.T) {
			f := newFaulty(t, nil)
			cut := func(method, contains string) *faultproxy.Active {
				return f.proxy.Add(faultproxy.Rule{Method: method, Contains: contains, Times: 1, Fault: faultproxy.Fault{Response: faultproxy.Body{Do: do, At: 120}}})
			}
			met := []*faultproxy.Active{cut(http.MethodPost, "uploads="), cut(http.MethodPost, "uploadId="), cut(http.MethodGet, "list-type=2"), cut(http.MethodPost, "delete=")}
			require.NoError(t, f.write("k"), "begun twice, and completed at the first time")
			_, err := f.Put(t.Context(), "l", strings.NewReader("x"), 1, objstore.PutOptions{})
			require.NoError(t, err)
			p, err := f.ListPage(t.Context(), objstore.ListOptions{})
			require.NoError(t, err)
			require.Len(t, p.Objects, 2)
			got, err := f.read("k")
			require.NoError(t, err)
			require.True(t, bytes.Equal(content(), got))
			require.NoError(t, f.Delete(t.Context(), "k", "l"))
			for i, a := range met {
				require.Equal(t, 1, a.Hits(), "fault %d", i)
			}
			_, err = f.Stat(t.Context(), "k")
			require.ErrorIs(t, err, objstore.ErrNotFound)
		})
	}
	t.Run("documents without retries", func(t *testing.T) {
		f := newFaulty(t, func(_ *Config, b *objstore.Config) { b.RetryTimeout = -1 })
		for _, do := range []faultproxy.Action{faultproxy.Truncate, faultproxy.Reset} {
			f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Times: 1, Fault: faultproxy.Fault{Response: faultproxy.Body{Do: do, At: 100}}})
			_, err := f.ListPage(t.Context(), objstore.ListOptions{Prefix: "p"})
			f.oneError(err, objstore.Temporary, "p")
		}
	})
}

// impatient makes the time-outs of the network short.
func impatient(t *testing.T, after time.Duration) func(*Config, *objstore.Config) {
	return func(c *Config, b *objstore.Config) {
		own := ownTransport(*c)
		own.DialContext = stallingDial(&net.Dialer{}, after)
		own.ResponseHeaderTimeout = after
		t.Cleanup(own.CloseIdleConnections)
		c.Transport = own
		b.StallTimeout = after
	}
}

func TestStalledBody(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for time-outs")
	}
	const at = 200_000
	f := newFaulty(t, impatient(t, time.Second))
	stall := faultproxy.Body{Do: faultproxy.Stall, At: at}
	up := f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: putPart + "1", Times: 1, Fault: faultproxy.Fault{Request: stall}})
	require.NoError(t, f.stream("k"), "a part that the store stops to take is sent again")
	require.Equal(t, 1, up.Hits())
	f.whole("k")
	asked := len(f.ranges("k"))

	f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "/k", Times: 1, Fault: faultproxy.Fault{Response: stall}})
	p := make([]byte, 1<<20)
	_, err := f.ReadAt(t.Context(), "k", p, 1000, "")
	require.NoError(t, err)
	require.True(t, bytes.Equal(content()[1000:1000+1<<20], p))
	require.Contains(t, f.ranges("k")[asked:], int64(1000+at), "it goes on where it stopped")

	// A list whose answer stops, and a store that never answers.
	f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "list-type=2", Times: 1, Fault: faultproxy.Fault{Response: faultproxy.Body{Do: faultproxy.Stall, At: 100}}})
	f.proxy.Add(faultproxy.Rule{Method: http.MethodHead, Times: 1, Fault: faultproxy.Fault{Delay: time.Hour}})
	_, err = f.ListPage(t.Context(), objstore.ListOptions{})
	require.NoError(t, err)
	_, err = f.Stat(t.Context(), "k")
	require.NoError(t, err)
}

// TestSlowLoris has bytes come one by one: the header of an answer, a document, and the bytes of an object.
func TestSlowLoris(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for time-outs")
	}
	trickle := faultproxy.Fault{Response: faultproxy.Body{Do: faultproxy.Trickle, At: 100, Every: 10 * time.Millisecond}}
	f := newFaulty(t, impatient(t, time.Second))
	f.Driver().(*driver).transport.answerTimeout = time.Second
	require.NoError(t, f.write("k"))
	get := f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "/k", Times: 1, Fault: trickle})
	got, err := f.read("k")
	require.NoError(t, err)
	require.True(t, bytes.Equal(content(), got))
	require.Equal(t, 1, get.Hits())
	list := f.proxy.Add(faultproxy.Rule{Method: http.MethodGet, Contains: "list-type=2", Times: 1, Fault: trickle})
	p, err := f.ListPage(t.Context(), objstore.ListOptions{})
	require.NoError(t, err)
	require.Len(t, p.Objects, 1)
	require.GreaterOrEqual(t, f.requests(http.MethodGet, "list-type=2"), 2, "the first was given up")
	require.Equal(t, 1, list.Hits())

	// A header that never ends. MaxResponseHeaderBytes of net/http bounds its size, and the time-out its time.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { drip(ctx, c) })
		}
	})
	defer func() { cancel(); l.Close(); serving.Wait() }()
	h := newFaulty(t, func(c *Config, b *objstore.Config) {
		impatient(t, time.Second)(c, b)
		c.Endpoint, b.RetryTimeout = l.Addr().String(), -1
	})
	_, err = h.Stat(t.Context(), "k")
	h.oneError(err, objstore.Temporary, "k")
	_, err = h.Put(t.Context(), "k", strings.NewReader("x"), 1, objstore.PutOptions{})
	h.oneError(err, objstore.Temporary, "k")
}

// drip sends the header of an answer by the byte until the client goes away.
func drip(ctx context.Context, c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Slow: "); err != nil {
		return
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := io.WriteString(c, "s"); err != nil {
			return
		}
	}
}

// TestLostAnswers has the store do what it is asked, and nobody hear of it.
func TestLostAnswers(t *testing.T) {
	lost := func(f *faulty, method, contains string) func() {
		a := f.proxy.Add(faultproxy.Rule{Method: method, Contains: contains, Times: 1, Fault: faultproxy.Fault{Lost: true}})
		return func() { require.Equal(f.t, 1, a.Hits(), "%s %s", method, contains) }
	}
	put := func(f *faulty, text string, o objstore.PutOptions) error {
		_, err := f.Put(f.t.Context(), "k", strings.NewReader(text), int64(len(text)), o)
		return err
	}
	t.Run("put", func(t *testing.T) {
		f := newFaulty(t, nil)
		met := lost(f, http.MethodPut, "/k")
		require.NoError(t, put(f, "text", objstore.PutOptions{}))
		met()
		require.Equal(t, 2, f.requests(http.MethodPut, "/k"))
	})
	t.Run("put if absent", func(t *testing.T) {
		f := newFaulty(t, nil)
		met := lost(f, http.MethodPut, "/k")
		require.NoError(t, put(f, "text", objstore.PutOptions{IfAbsent: true}), "the object that is there is this one")
		met()
		f.oneError(put(f, "text", objstore.PutOptions{IfAbsent: true}), objstore.Exists, "k")
		f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Times: 1, Fault: faultproxy.Fault{Answer: faultproxy.InternalError()}})
		f.oneError(put(f, "tex2", objstore.PutOptions{IfAbsent: true}), objstore.Exists, "k")
		b, _, err := f.Get(t.Context(), "k", 100)
		require.NoError(t, err)
		require.Equal(t, "text", string(b))
	})
	for name, rule := range map[string][2]string{
		"part": {http.MethodPut, putPart + "1"}, "complete": {http.MethodPost, "uploadId="},
	} {
		for _, o := range []objstore.PutOptions{{}, {IfAbsent: true}} {
			t.Run(fmt.Sprint(name, o.IfAbsent), func(t *testing.T) {
				f := newFaulty(t, nil)
				met := lost(f, rule[0], rule[1])
				_, err := f.Write(t.Context(), "k", onlyReader{bytes.NewReader(content())}, objstore.CreateOptions{Size: -1, PutOptions: o})
				require.NoError(t, err)
				met()
				f.whole("k")
			})
		}
	}
	t.Run("begin", func(t *testing.T) {
		// Nobody knows the upload whose answer was lost. It stays until it is looked for.
		f := newFaulty(t, nil)
		met := lost(f, http.MethodPost, "uploads=")
		require.NoError(t, f.write("k"))
		met()
		var open []objstore.UploadInfo
		for u, err := range f.Uploads(t.Context(), "k") {
			require.NoError(t, err)
			open = append(open, u)
		}
		require.Len(t, open, 1)
		require.NoError(t, f.Abort(t.Context(), objstore.Upload{Key: open[0].Key, ID: open[0].ID}))
		f.whole("k")
	})
	t.Run("abort and delete", func(t *testing.T) {
		f := newFaulty(t, nil)
		require.NoError(t, put(f, "text", objstore.PutOptions{}))
		w, err := f.Create(t.Context(), "u", objstore.CreateOptions{Size: faultSize})
		require.NoError(t, err)
		met := lost(f, http.MethodDelete, "uploadId=")
		require.NoError(t, w.Abort(t.Context()))
		met()
		f.nothingOpen("u")
		met = lost(f, http.MethodDelete, "/k")
		require.NoError(t, f.Delete(t.Context(), "k"))
		met()
		_, err = f.Stat(t.Context(), "k")
		require.ErrorIs(t, err, objstore.ErrNotFound)
	})
}
