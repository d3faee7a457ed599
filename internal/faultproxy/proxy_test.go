package faultproxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/leaktest"
	"github.com/tradewind-io/tradewind/internal/testservers"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// echo answers with the request's own body, and tells its Host and path.
func echo(t *testing.T, served *atomic.Int64) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if served != nil {
			served.Add(1)
		}
		h := w.Header()
		h.Set("Seen-Host", r.Host)
		h.Set("Seen-Uri", r.RequestURI)
		h.Set("ETag", `"0123"`)
		h.Set("X-Amz-Checksum-Crc32c", "AAAA")
		h.Set("Content-Length", fmt.Sprint(len(b)))
		_, _ = w.Write(b)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// send puts data through the proxy and returns the answer.
func send(t *testing.T, p *Proxy, path string, data []byte) (*http.Response, []byte, error) {
	return sendContext(t.Context(), t, p, path, data)
}

func sendContext(ctx context.Context, t *testing.T, p *Proxy, path string, data []byte) (*http.Response, []byte, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+p.Addr()+path, bytes.NewReader(data))
	require.NoError(t, err)
	req.Host = "bucket.example"
	resp, err := c.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, b, err
}

func payload(t *testing.T, n int) []byte {
	seed := rand.Uint64()
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestPassesEverythingUnchanged(t *testing.T) {
	p := New(t, echo(t, nil), Config{KeepLog: true})
	data := payload(t, 300<<10)
	const path = "/a%2Fb//c%20d+e/..%2F?x=%41&y"
	resp, got, err := send(t, p, path, data)
	require.NoError(t, err)
	require.Equal(t, data, got)
	require.Equal(t, "bucket.example", resp.Header.Get("Seen-Host"))
	require.Equal(t, path, resp.Header.Get("Seen-Uri"))
	require.Equal(t, Stats{Requests: 1, Sent: 300 << 10, Received: 300 << 10}, p.Stats())
	log := p.Log()
	require.Len(t, log, 1)
	require.Equal(t, data[:keepBody], log[0].Body)
	require.Equal(t, data[:keepBody], log[0].ResponseBody)
	require.Len(t, p.Contains("x=%41"), 1)
	require.Len(t, p.Contains("Crc32c"), 1)
	require.Empty(t, p.Contains("no such text"))
}

func TestBodyFaults(t *testing.T) {
	const at = 100_000
	data := payload(t, 300_000)
	flipped := bytes.Clone(data)
	flipped[at] ^= 0x10
	for _, c := range []struct {
		name  string
		fault Fault
		check func(t *testing.T, got []byte, err error)
	}{
		{"reset request", Fault{Request: Body{Do: Reset, At: at}}, func(t *testing.T, got []byte, err error) {
			require.Error(t, err)
		}},
		{"reset response", Fault{Response: Body{Do: Reset, At: at}}, func(t *testing.T, got []byte, err error) {
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}},
		{"truncate response", Fault{Response: Body{Do: Truncate, At: at}}, func(t *testing.T, got []byte, err error) {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.Equal(t, data[:at], got, "what comes before arrives")
		}},
		{"corrupt request", Fault{Request: Body{Do: Corrupt, At: at}}, func(t *testing.T, got []byte, err error) {
			require.NoError(t, err)
			require.True(t, bytes.Equal(flipped, got))
		}},
		{"corrupt response", Fault{Response: Body{Do: Corrupt, At: at}}, func(t *testing.T, got []byte, err error) {
			require.NoError(t, err)
			require.True(t, bytes.Equal(flipped, got))
		}},
		{"corrupt first byte", Fault{Response: Body{Do: Corrupt}}, func(t *testing.T, got []byte, err error) {
			require.NoError(t, err)
			require.Equal(t, data[0]^0x10, got[0])
			require.Equal(t, data[1:], got[1:])
		}},
		{"behind the end", Fault{Response: Body{Do: Reset, At: 300_001}}, func(t *testing.T, got []byte, err error) {
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got))
		}},
		{"trickle", Fault{Request: Body{Do: Trickle, At: 299_990, Every: time.Millisecond}, Response: Body{Do: Trickle, At: 299_990, Piece: 3, Every: time.Millisecond}}, func(t *testing.T, got []byte, err error) {
			require.NoError(t, err)
			require.True(t, bytes.Equal(data, got))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := New(t, echo(t, nil), Config{})
			rule := p.Add(Rule{Method: "PUT", Contains: "/key", Times: 1, Fault: c.fault})
			_, got, err := send(t, p, "/key", data)
			c.check(t, got, err)
			require.Equal(t, 1, rule.Hits())
			_, got, err = send(t, p, "/key", data)
			require.NoError(t, err, "the rule is spent")
			require.True(t, bytes.Equal(data, got))
		})
	}
}

func TestStall(t *testing.T) {
	p := New(t, echo(t, nil), Config{})
	release := make(chan struct{})
	p.Add(Rule{Contains: "/up", Fault: Fault{Request: Body{Do: Stall, At: 10, Release: release}}})
	p.Add(Rule{Contains: "/down", Fault: Fault{Response: Body{Do: Stall, At: 10, Release: release}}})
	done := make(chan error)
	for _, path := range []string{"/up", "/down"} {
		go func() {
			_, got, err := send(t, p, path, make([]byte, 20))
			if err == nil && len(got) != 20 {
				err = fmt.Errorf("%d bytes", len(got))
			}
			done <- err
		}()
	}
	_, _, err := send(t, p, "/other", nil)
	require.NoError(t, err, "others pass")
	close(release)
	require.NoError(t, <-done)
	require.NoError(t, <-done)
}

func TestCloseEndsStalls(t *testing.T) {
	p := New(t, echo(t, nil), Config{})
	p.Add(Rule{Fault: Fault{Response: Body{Do: Stall, At: 10}}})
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+p.Addr()+"/", strings.NewReader("0123456789abcdef"))
	require.NoError(t, err)
	resp, err := c.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.ReadFull(resp.Body, make([]byte, 10))
	require.NoError(t, err, "what comes before the stall")
	p.Close()
	_, err = io.ReadAll(resp.Body)
	require.Error(t, err)
	_, _, err = send(t, p, "/", nil)
	require.Error(t, err)
}

func TestLostAnswer(t *testing.T) {
	var served atomic.Int64
	p := New(t, echo(t, &served), Config{})
	p.Add(Rule{Fault: Fault{Lost: true}})
	_, _, err := send(t, p, "/", []byte("x"))
	require.Error(t, err)
	require.EqualValues(t, 1, served.Load(), "the server has done it")
}

func TestAnswers(t *testing.T) {
	var served atomic.Int64
	p := New(t, echo(t, &served), Config{})
	for _, c := range []struct {
		answer *Answer
		status int
		code   string
		after  string
	}{
		{InternalError(), 500, "InternalError", ""},
		{SlowDown(1500 * time.Millisecond), 503, "SlowDown", "2"},
		{TooMany(time.Second), 429, "TooManyRequests", "1"},
		{Expired(), 400, "ExpiredToken", ""},
		{Denied(), 403, "AccessDenied", ""},
		{Skewed(), 403, "RequestTimeTooSkewed", ""},
	} {
		p.Clear()
		p.Add(Rule{Fault: Fault{Answer: c.answer}})
		resp, got, err := send(t, p, "/", make([]byte, 1<<20))
		require.NoError(t, err)
		require.Equal(t, c.status, resp.StatusCode)
		require.Equal(t, c.after, resp.Header.Get("Retry-After"))
		require.Contains(t, string(got), "<Code>"+c.code+"</Code>")
	}
	require.Zero(t, served.Load())
}

func TestWrongChecksum(t *testing.T) {
	p := New(t, echo(t, nil), Config{})
	p.Add(Rule{Fault: Fault{WrongChecksum: true}})
	resp, _, err := send(t, p, "/", nil)
	require.NoError(t, err)
	require.Equal(t, `"a123"`, resp.Header.Get("ETag"))
	require.Equal(t, "AaAA", resp.Header.Get("X-Amz-Checksum-Crc32c"))
}

func TestRulesCount(t *testing.T) {
	p := New(t, echo(t, nil), Config{Seed: 1})
	p.Add(Rule{Contains: "n=", Skip: 2, Times: 2, Fault: Fault{Answer: InternalError()}})
	var codes []int
	for i := range 6 {
		resp, _, err := send(t, p, fmt.Sprintf("/?n=%d", i), nil)
		require.NoError(t, err)
		codes = append(codes, resp.StatusCode)
	}
	require.Equal(t, []int{200, 200, 500, 500, 200, 200}, codes)
	p.Clear()
	half := p.Add(Rule{Chance: 0.5, Fault: Fault{Answer: InternalError()}})
	for range 100 {
		_, _, err := send(t, p, "/", nil)
		require.NoError(t, err)
	}
	require.InDelta(t, 50, half.Hits(), 25)
	require.EqualValues(t, half.Hits()+2, p.Stats().Faults)
}

func TestStallOutlivesItsClient(t *testing.T) {
	stalled := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.WriteHeader(http.StatusOK)
		close(stalled)
	}))
	defer s.Close()
	p := New(t, s.Listener.Addr().String(), Config{})
	p.Add(Rule{Fault: Fault{Response: Body{Do: Stall}}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, _, err := sendContext(ctx, t, p, "/", []byte("x"))
		ended <- err
	}()
	<-stalled
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	p.Close() // returns: nothing is left that stalls
}

func TestBucketLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bucket{rate: 1 << 20}
		start := time.Now()
		for range 10 {
			require.NoError(t, b.take(t.Context(), 1<<20))
		}
		require.Equal(t, 10*time.Second-10*time.Millisecond, time.Since(start), "10 MiB at 1 MiB/s, less 10 ms of burst")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, b.take(ctx, 1<<30), context.Canceled)
	})
}

func TestSignaturesStayValid(t *testing.T) {
	s := testservers.MinIO(t)
	s.MakeBucket(t, "bucket")
	p := New(t, s.Endpoint, Config{KeepLog: true, Rate: 100 << 20})
	c, err := minio.New(p.Addr(), &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region, MaxRetries: 1})
	require.NoError(t, err)
	data := payload(t, 6<<20)
	const key = "a b/c+d%2F?&#é'\"/e"
	put := func() error {
		_, err := c.PutObject(t.Context(), "bucket", key, bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{PartSize: 5 << 20})
		return err
	}
	require.NoError(t, put())
	o, err := c.GetObject(t.Context(), "bucket", key, minio.GetObjectOptions{})
	require.NoError(t, err)
	defer o.Close()
	got, err := io.ReadAll(o)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
	require.Empty(t, p.Contains(s.SecretKey))

	p.Add(Rule{Method: "PUT", Contains: "partNumber=2", Fault: Fault{Answer: Skewed()}})
	require.Equal(t, "RequestTimeTooSkewed", minio.ToErrorResponse(put()).Code)
	p.Clear()
	p.Add(Rule{Method: "PUT", Contains: "partNumber=1", Fault: Fault{Request: Body{Do: Corrupt, At: 1 << 20}}})
	require.Error(t, put(), "the server notices")
}
