package apitest

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// Transport returns a RoundTripper that makes requests by next, and fails t for each that the document does not tell of, and for each answer that is not as it tells.
//
// It sits in the client, so that it sees what went over the wire, and a server needs no way in for tests.
func Transport(t testing.TB, d *Document, next http.RoundTripper) http.RoundTripper {
	return &transport{t, d, next}
}

type transport struct {
	t    testing.TB
	d    *Document
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper. Both bodies are read whole.
func (c *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	x := Exchange{Method: r.Method, URL: r.URL}
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		_ = r.Body.Close() // it was read to its end, or the error is told
		if err != nil {
			return nil, err
		}
		x.Request = b
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(b))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	}
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // as above
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	x.Status, x.Header, x.Answer = resp.StatusCode, resp.Header, b
	if err := c.d.Check(x); err != nil {
		c.t.Error(err)
	}
	return resp, nil
}

// CloseIdleConnections is for http.Client.
func (c *transport) CloseIdleConnections() {
	if next, ok := c.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}
