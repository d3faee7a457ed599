package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	dialTimeout  = 15 * time.Second
	keepAlive    = 30 * time.Second
	stallTimeout = 2 * time.Minute // without a byte in either direction; a store may take this long to join parts
	idleTimeout  = 30 * time.Second
	// answerTimeout bounds the time for an answer, but the bytes of an object, once its header is there. A store that joins
	// parts may send a space now and then for some minutes, so that the connection is not taken for a dead one.
	answerTimeout = 15 * time.Minute
	idleConns     = 256 // per host; fewer than requests at a time would dial for every request
)

// transport stands between minio-go and the network. It keeps what minio-go drops: the error of the network, the header of
// the answer, and which credentials were used.
type transport struct {
	base   http.RoundTripper
	own    *http.Transport // base, if it is ours to close
	bearer bearer          // nil unless requests carry a token instead of a signature
	seen   *atomic.Bool    // set when a request succeeds
	log    *slog.Logger

	answerTimeout time.Duration // of answers that are read as a whole
}

func newTransport(cfg Config, seen *atomic.Bool) *transport {
	t := &transport{base: cfg.Transport, seen: seen, log: cfg.Logger, answerTimeout: answerTimeout}
	if t.base == nil {
		t.own = ownTransport(cfg)
		t.base = t.own
	}
	return t
}

// RoundTrip sends a request of minio-go.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	c, _ := req.Context().Value(callKey{}).(*call)
	if c == nil {
		return t.base.RoundTrip(req)
	}
	changed := *req
	req = &changed
	if c.body != nil && req.Body != nil {
		// With it net/http may send the request again when it finds that the server has closed an idle connection.
		req.GetBody = func() (io.ReadCloser, error) { return c.body.again(), nil }
	}
	if t.bearer != nil {
		token, err := t.bearer.token(req.Context())
		if err != nil {
			c.credErr = err
			return nil, err
		}
		req.Header = req.Header.Clone()
		req.Header.Set("Authorization", "Bearer "+token)
	}
	c.sent = req.Header
	start := time.Now()
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		c.netErr, c.status, c.answer = err, 0, nil
		t.note(req, 0, start)
		return nil, err
	}
	c.netErr, c.status, c.answer = nil, resp.StatusCode, resp.Header
	t.note(req, resp.StatusCode, start)
	if resp.StatusCode/100 == 2 {
		t.seen.Store(true)
		if !c.object && resp.Body != http.NoBody {
			resp.Body = newAnswerBody(c, resp.Body, t.answerTimeout)
		}
		if c.mayFailLate {
			err = failLate(resp)
		}
	}
	if err != nil {
		c.netErr = err
		return nil, err
	}
	return resp, nil
}

func (t *transport) note(req *http.Request, status int, start time.Time) {
	if t.log != nil && t.log.Enabled(req.Context(), slog.LevelDebug) {
		t.log.LogAttrs(req.Context(), slog.LevelDebug, "store request", slog.String("method", req.Method), slog.String("host", req.URL.Host),
			slog.Int("status", status), slog.Int64("length", req.ContentLength), slog.Duration("took", time.Since(start)))
	}
}

// answerBody is the body of an answer that is read as a whole. The error that ends it is one of the network, which minio-go
// does not say, and it has to be there in time, however slowly its bytes come.
type answerBody struct {
	io.ReadCloser
	c     *call
	after time.Duration
	late  atomic.Bool
	timer *time.Timer
}

func newAnswerBody(c *call, body io.ReadCloser, after time.Duration) *answerBody {
	b := &answerBody{ReadCloser: body, c: c, after: after}
	b.timer = time.AfterFunc(after, func() {
		b.late.Store(true)
		_ = body.Close() // makes Read return
	})
	return b
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	if b.late.Load() {
		err = fmt.Errorf("the answer is not whole after %s", b.after)
	}
	b.c.netErr = fmt.Errorf("read the answer: %w", err)
	return n, b.c.netErr
}

func (b *answerBody) Close() error {
	b.timer.Stop()
	return b.ReadCloser.Close()
}

// maxAnswer bounds the answers that are read as a whole.
const maxAnswer = 1 << 20

// failLate makes an error status out of an error document that came with status 200. Stores answer so when they have begun
// to answer before a copy was done, and minio-go looks for it only in some calls.
func failLate(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	resp.Body.Close()
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	var root struct{ XMLName xml.Name }
	if xml.Unmarshal(text, &root) != nil || root.XMLName.Local == "Error" {
		resp.StatusCode = http.StatusInternalServerError
		resp.Status = "500 error in the answer"
	}
	return nil
}

// stallingDial returns a dialer whose connections fail when neither direction has moved a byte for so long. net/http bounds
// the wait for an answer only, not that for the bytes of a body.
func stallingDial(d *net.Dialer, timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &stallingConn{Conn: c, timeout: timeout, begun: time.Now()}, nil
	}
}

type stallingConn struct {
	net.Conn
	timeout time.Duration
	begun   time.Time
	set     atomic.Int64 // when the deadline was set, since begun
}

func (c *stallingConn) Read(p []byte) (int, error) {
	if err := c.extend(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *stallingConn) Write(p []byte) (int, error) {
	if err := c.extend(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// extend moves the deadline of both directions: while a body is sent nothing is received, and the other way round.
func (c *stallingConn) extend() error {
	now := time.Since(c.begun)
	last := c.set.Load()
	if last != 0 && int64(now)-last < int64(c.timeout/16) {
		return nil
	}
	c.set.Store(int64(now) | 1) // never 0, which means not set yet
	return c.Conn.SetDeadline(time.Now().Add(c.timeout))
}
