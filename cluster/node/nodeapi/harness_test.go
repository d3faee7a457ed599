package nodeapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// noon is what the clock of every test says.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// folders are Places in folders below one.
type folders struct {
	base string
	open func(accesskey.Grant) error // asked first; nil lets all pass
}

func (f folders) Open(_ context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	if f.open != nil {
		if err := f.open(g); err != nil {
			return nil, nil, err
		}
	}
	sub := g.Root
	if g.Storage != nil {
		if g.Storage.Type != "local" {
			return nil, nil, fmt.Errorf("storage %s: %w", g.Storage.Type, errors.ErrUnsupported)
		}
		sub = g.Storage.Fields["path"]
	}
	d, err := transfer.OpenDir(filepath.Join(f.base, filepath.FromSlash(sub)))
	if err != nil {
		return nil, nil, err
	}
	return d, func() { _ = d.Close() }, nil
}

// oneUser is a node whose only user is admin.
type oneUser struct{}

const adminPassword = "a long password"

var adminHash = sync.OnceValue(func() string {
	hash, err := accesskey.HashPassword(adminPassword)
	if err != nil {
		panic(err)
	}
	return hash
})

func (oneUser) PasswordHash(_ context.Context, name string) (string, error) {
	if name != "admin" {
		return "", accesskey.ErrNotFound
	}
	return adminHash(), nil
}

// bed is a Server with two keys, alpha and beta, each with a folder of its own.
type bed struct {
	t      testing.TB
	srv    *Server
	url    string
	base   string // holds the folders alpha and beta
	keys   *accesskey.MemStore
	ring   *accesskey.Keyring
	log    *bytes.Buffer
	master string // Authorization of admin
	alpha  string
	beta   string
}

func newBed(t testing.TB, change ...func(*Config)) *bed {
	t.Helper()
	b := &bed{t: t, base: t.TempDir(), keys: &accesskey.MemStore{}, ring: accesskey.NewKeyring(accesskey.NewMaster()), log: &bytes.Buffer{}}
	b.master = accesskey.Credential{ID: "admin", Secret: adminPassword}.Token()
	b.alpha, b.beta = b.key("ak_alpha", "alpha", nil), b.key("ak_beta", "beta", nil)
	now := func() time.Time { return noon }
	cfg := Config{
		Auth: &accesskey.Checker{Keys: b.keys, Users: oneUser{}, Tokens: b.ring, Now: now}, Keys: b.keys, Places: folders{base: b.base},
		TokenSecret: bytes.Repeat([]byte("x"), 32), Now: now, Logger: slog.New(slog.NewTextHandler(&locked{w: b.log}, nil)),
		Info: Info{Version: "1.2.3", NodeID: "node-1", ClusterID: "cluster-1", Docroot: "file:////data", Host: "node.example", Fingerprint: "sha256:abc"},
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	b.srv, err = New(cfg)
	require.NoError(t, err)
	web := httptest.NewServer(b.srv)
	t.Cleanup(func() {
		web.Close()
		require.NoError(t, b.srv.Close(context.Background()))
	})
	b.url = web.URL
	return b
}

// locked is a writer for several goroutines.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// key adds a key with a folder, and returns its Authorization.
func (b *bed) key(id, root string, change func(*accesskey.Key)) string {
	b.t.Helper()
	c, err := accesskey.Generate(id)
	require.NoError(b.t, err)
	k, _, err := accesskey.NewKey(c)
	require.NoError(b.t, err)
	k.Tenant, k.Root, k.Created = root, root, noon
	if change != nil {
		change(&k)
	}
	require.NoError(b.t, b.keys.Put(context.Background(), k))
	require.NoError(b.t, os.MkdirAll(filepath.Join(b.base, root), 0o755))
	return c.Token()
}

// file makes a file below the folder of all keys, with the time noon.
func (b *bed) file(name, contents string) {
	b.t.Helper()
	at := filepath.Join(b.base, filepath.FromSlash(name))
	require.NoError(b.t, os.MkdirAll(filepath.Dir(at), 0o755))
	require.NoError(b.t, os.WriteFile(at, []byte(contents), 0o644))
	require.NoError(b.t, os.Chtimes(at, noon, noon))
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// do makes a request; body is JSON or empty.
func (b *bed) do(auth, method, path, body string, header ...string) answer {
	b.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, b.url+path, in)
	require.NoError(b.t, err)
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return b.send(req)
}

func (b *bed) send(req *http.Request) answer {
	b.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// post is do for the calls that take a body, which must succeed.
func (b *bed) post(auth, path, body string) string {
	b.t.Helper()
	a := b.do(auth, "POST", path, body)
	require.Equal(b.t, http.StatusOK, a.status, "%s %s: %s", path, body, a.body)
	return a.body
}

// client is a Client with these credentials.
func (b *bed) client(auth string) *api.Client {
	web := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return &api.Client{URL: b.url, Authorization: auth, HTTP: web}
}
