package apibed

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/internal/apitest"
)

// Bed has two keys of two tenants, alpha and beta, each with a folder of its own, and makes requests to what Serve serves. Each answer is checked against the OpenAPI document.
type Bed struct {
	T     testing.TB
	Base  string // holds the folders alpha and beta
	Keys  *accesskey.MemStore
	URL   string // of the server; empty before Serve
	Admin string // Authorization of the node's user
	Alpha string
	Beta  string
	// Own says that a request is answered by a handler of the test itself, which no document tells of; nil is none.
	Own func(*http.Request) bool
}

// New returns a Bed whose folders are below base.
func New(t testing.TB, base string) *Bed {
	t.Helper()
	b := &Bed{T: t, Base: base, Keys: &accesskey.MemStore{}, Admin: accesskey.Credential{ID: "admin", Secret: AdminPassword}.Token()}
	b.Alpha, b.Beta = b.Key("ak_alpha", "alpha", nil), b.Key("ak_beta", "beta", nil)
	return b
}

// Serve serves h at URL until stop.
func (b *Bed) Serve(h http.Handler) (stop func()) {
	web := httptest.NewServer(h)
	b.URL = web.URL
	return web.Close
}

// Key adds a key with a folder, and returns its Authorization.
func (b *Bed) Key(id, root string, change func(*accesskey.Key)) string {
	b.T.Helper()
	c, err := accesskey.Generate(id)
	require.NoError(b.T, err)
	k, _, err := accesskey.NewKey(c)
	require.NoError(b.T, err)
	k.Tenant, k.Root, k.Created = root, root, Noon
	if change != nil {
		change(&k)
	}
	require.NoError(b.T, b.Keys.Put(context.Background(), k))
	require.NoError(b.T, os.MkdirAll(filepath.Join(b.Base, root), 0o755))
	return c.Token()
}

// File makes a file below the folder of all keys, with the time noon.
func (b *Bed) File(name, contents string) {
	b.T.Helper()
	at := filepath.Join(b.Base, filepath.FromSlash(name))
	require.NoError(b.T, os.MkdirAll(filepath.Dir(at), 0o755))
	require.NoError(b.T, os.WriteFile(at, []byte(contents), 0o644))
	require.NoError(b.T, os.Chtimes(at, Noon, Noon))
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do makes a request; body is JSON or empty, header has names and values by turns.
func (b *Bed) Do(auth, method, path, body string, header ...string) Answer {
	b.T.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, b.URL+path, in)
	require.NoError(b.T, err)
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return b.Send(req)
}

// Send makes a request, and follows no redirect.
func (b *Bed) Send(req *http.Request) Answer {
	b.T.Helper()
	client := b.http()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	require.NoError(b.T, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.T, err)
	return Answer{resp.StatusCode, resp.Header, string(text)}
}

// Post is Do for the calls that take a body, which must succeed.
func (b *Bed) Post(auth, path, body string) string {
	b.T.Helper()
	a := b.Do(auth, "POST", path, body)
	require.Equal(b.T, http.StatusOK, a.Status, "%s %s: %s", path, body, a.Body)
	return a.Body
}

// Client is a Client with these credentials.
func (b *Bed) Client(auth string) *api.Client {
	return &api.Client{URL: b.URL, Authorization: auth, HTTP: b.http()}
}

// http is a client that keeps no connection.
func (b *Bed) http() *http.Client {
	plain := &http.Transport{DisableKeepAlives: true}
	return &http.Client{Transport: choose{b.Own, plain, Checked(b.T, plain)}}
}

// choose makes requests that are own by plain, and others by checked.
type choose struct {
	own            func(*http.Request) bool
	plain, checked http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (c choose) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.own != nil && c.own(r) {
		return c.plain.RoundTrip(r)
	}
	return c.checked.RoundTrip(r)
}

// parsed is the OpenAPI document, which takes a moment to be read.
var parsed = sync.OnceValues(func() (*apitest.Document, error) { return apitest.Parse(api.OpenAPI()) })

// Checked returns a RoundTripper that makes requests by next, and fails t for each answer that is not what the OpenAPI document says.
func Checked(t testing.TB, next http.RoundTripper) http.RoundTripper {
	t.Helper()
	return apitest.Transport(t, Document(t), next)
}

// Document is the OpenAPI document.
func Document(t testing.TB) *apitest.Document {
	t.Helper()
	d, err := parsed()
	require.NoError(t, err)
	return d
}

// Code wants err to be an answer of this status.
func Code(t testing.TB, status int, err error) {
	t.Helper()
	var e *api.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, status, e.Code, e.UserMessage)
}
