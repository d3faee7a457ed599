package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Config is how a Proxy treats all requests.
type Config struct {
	Latency time.Duration // before each request is passed on
	Rate    int64         // bytes of bodies a second, in each direction; 0 = no limit
	Seed    uint64        // of Rule.Chance
	KeepLog bool          // Log returns headers and the beginnings of bodies, which takes memory
}

// keepBody is how much of a body the log keeps.
const keepBody = 4 << 10

// Proxy is a running proxy. Methods may be called by several goroutines at once.
type Proxy struct {
	upstream  string
	cfg       Config
	listener  net.Listener
	server    *http.Server
	transport *http.Transport
	up, down  bucket
	ctx       context.Context // ends what stalls; the proxy's own life, not that of a call
	cancel    context.CancelCauseFunc
	running   sync.WaitGroup

	mu     sync.Mutex // protects the rest
	closed bool
	rules  []*Active
	rng    *rand.Rand
	stats  Stats
	log    []*Exchange
}

// Stats counts what passed.
type Stats struct {
	Requests int64
	Faults   int64 // requests that met one
	Sent     int64 // bytes of request bodies
	Received int64 // bytes of response bodies
}

// Exchange is a request and its answer, as the client sent and the server answered them.
type Exchange struct {
	Method, URI    string
	Host           string
	Header         http.Header
	Body           []byte // its beginning
	Status         int    // 0 = there was no answer
	ResponseHeader http.Header
	ResponseBody   []byte // its beginning
}

// New starts a proxy before the server at upstream, a host:port. It closes at the end of the test.
func New(t testing.TB, upstream string, cfg Config) *Proxy {
	t.Helper()
	p, err := Start(upstream, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Start is New without a test. The caller closes the Proxy.
func Start(upstream string, cfg Config) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the fault proxy: %w", err)
	}
	p := &Proxy{
		upstream: upstream, cfg: cfg, listener: l,
		// Answers must arrive as they are, and none of the requests be tried again by the proxy.
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256, ExpectContinueTimeout: time.Second},
		up:        bucket{rate: cfg.Rate}, down: bucket{rate: cfg.Rate},
		rng: rand.New(rand.NewPCG(cfg.Seed, 0)),
	}
	p.ctx, p.cancel = context.WithCancelCause(context.Background())
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve)}
	p.running.Go(func() { _ = p.server.Serve(l) }) // it always ends with an error, that of Close
	return p, nil
}

// Addr returns the host:port that clients use.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Add puts a rule behind those that are there. A request meets the fault of the first rule that fires.
func (p *Proxy) Add(r Rule) *Active {
	a := &Active{rule: r}
	p.mu.Lock()
	p.rules = append(p.rules, a)
	p.mu.Unlock()
	return a
}

// Clear removes all rules. Requests that already meet a fault still do.
func (p *Proxy) Clear() {
	p.mu.Lock()
	p.rules = nil
	p.mu.Unlock()
}

// Stats returns what has passed so far.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Log returns what has passed so far, if Config.KeepLog.
func (p *Proxy) Log() []Exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Exchange, len(p.log))
	for i, x := range p.log {
		all[i] = *x
		all[i].Body, all[i].ResponseBody = append([]byte(nil), x.Body...), append([]byte(nil), x.ResponseBody...)
	}
	return all
}

// Contains returns the exchanges of the log in which text occurs, for tests that look for secrets.
func (p *Proxy) Contains(text string) (found []Exchange) {
	for _, x := range p.Log() {
		if strings.Contains(fmt.Sprintf("%s %s %v %s %v %s", x.Method, x.URI, x.Header, x.Body, x.ResponseHeader, x.ResponseBody), text) {
			found = append(found, x)
		}
	}
	return found
}

// Close closes all connections and returns when everything has ended.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel(net.ErrClosed)
	p.server.Close()
	p.running.Wait()
	p.transport.CloseIdleConnections()
}

// begin counts a request and returns the fault that it meets.
func (p *Proxy) begin(r *http.Request) (x *Exchange, f Fault, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, Fault{}, false
	}
	p.running.Add(1)
	p.stats.Requests++
	x = &Exchange{Method: r.Method, URI: r.RequestURI, Host: r.Host}
	if p.cfg.KeepLog {
		x.Header = r.Header.Clone()
		p.log = append(p.log, x)
	}
	for _, a := range p.rules {
		if a.fires(r.Method, r.RequestURI, p.rng) {
			p.stats.Faults++
			return x, a.rule.Fault, true
		}
	}
	return x, Fault{}, true
}

// serve passes one request on, and its answer back.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	x, f, ok := p.begin(r)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	defer p.running.Done()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(p.ctx, func() { cancel(net.ErrClosed) })()
	if wait(ctx, p.cfg.Latency+f.Delay) != nil {
		panic(http.ErrAbortHandler)
	}
	if f.Answer != nil {
		p.answer(w, r, x, f.Answer)
		return
	}

	request := &body{ctx: ctx, r: r.Body, fault: f.Request, bucket: &p.up, seen: p.counter(&p.stats.Sent, &x.Body)}
	resp, err := p.transport.RoundTrip(p.outgoing(ctx, r, request))
	if err != nil {
		p.drop(w, request.ended())
		return
	}
	defer resp.Body.Close()
	p.mu.Lock()
	x.Status = resp.StatusCode
	if p.cfg.KeepLog {
		x.ResponseHeader = resp.Header.Clone()
	}
	p.mu.Unlock()
	if cut := request.ended(); cut != nil || f.Lost {
		p.drop(w, errors.Join(cut, lost(f.Lost)))
		return
	}
	p.respond(ctx, w, resp, x, f)
}

func lost(l bool) error {
	if l {
		return errReset
	}
	return nil
}

// outgoing is the request to the server.
func (p *Proxy) outgoing(ctx context.Context, r *http.Request, b *body) *http.Request {
	out := r.Clone(ctx)
	out.URL.Scheme, out.URL.Host = "http", p.upstream
	out.Host = r.Host // signatures cover it
	out.RequestURI = ""
	out.Header.Del("Connection")
	if _, has := out.Header["User-Agent"]; !has {
		out.Header["User-Agent"] = nil // else the transport adds its own
	}
	out.Body = b
	if r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	return out
}

// respond passes the server's answer to the client.
func (p *Proxy) respond(ctx context.Context, w http.ResponseWriter, resp *http.Response, x *Exchange, f Fault) {
	h := w.Header()
	for name, values := range resp.Header {
		h[name] = values
	}
	h.Del("Connection")
	if f.WrongChecksum {
		spoil(h)
	}
	w.WriteHeader(resp.StatusCode)
	response := &body{ctx: ctx, r: resp.Body, fault: f.Response, bucket: &p.down, seen: p.counter(&p.stats.Received, &x.ResponseBody)}
	buf := make([]byte, 64<<10)
	for {
		n, err := response.Read(buf)
		if n > 0 {
			_, werr := w.Write(buf[:n])
			if f.Response.Do != Pass {
				werr = errors.Join(werr, http.NewResponseController(w).Flush()) // what comes before the fault must arrive
			}
			if werr != nil {
				panic(http.ErrAbortHandler) // the client is gone
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.drop(w, response.ended())
			return
		}
	}
}

// spoil changes every header that names content.
func spoil(h http.Header) {
	for name, values := range h {
		if name != "Etag" && name != "Content-Md5" && !strings.HasPrefix(name, "X-Amz-Checksum-") || name == "X-Amz-Checksum-Type" {
			continue
		}
		for i, v := range values {
			// The second byte is behind a quote, and stays a digit of hexadecimal and of base64.
			if b := []byte(v); len(b) > 1 {
				if b[1] == 'a' {
					b[1] = 'b'
				} else {
					b[1] = 'a'
				}
				values[i] = string(b)
			}
		}
	}
}

// answer sends an answer of the proxy's own. The request's body is read first, as a server would that wants to keep the
// connection.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request, x *Exchange, a *Answer) {
	count := p.counter(&p.stats.Sent, &x.Body)
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		count(buf[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	p.mu.Lock()
	x.Status = a.Status
	p.mu.Unlock()
	if a.write(w, r) != nil {
		panic(http.ErrAbortHandler)
	}
}

// drop ends the client's connection: in good order after errTruncate, else by a reset.
func (p *Proxy) drop(w http.ResponseWriter, why error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && !errors.Is(why, errTruncate) {
		_ = tcp.SetLinger(0) // a connection for which it fails is gone already
	}
	conn.Close()
}

// counter returns a function that counts bytes into n and keeps the first in head.
func (p *Proxy) counter(n *int64, head *[]byte) func([]byte) {
	return func(b []byte) {
		p.mu.Lock()
		defer p.mu.Unlock()
		*n += int64(len(b))
		if room := keepBody - len(*head); p.cfg.KeepLog && room > 0 {
			*head = append(*head, b[:min(len(b), room)]...)
		}
	}
}
