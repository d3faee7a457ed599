package fileids

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// noon is what the clock of every test says.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// folders are Places in folders below one.
type folders string

func (f folders) Open(_ context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	root := g.Root
	if g.Storage != nil {
		root = g.Storage.Fields["path"]
	}
	d, err := transfer.OpenDir(filepath.Join(string(f), filepath.FromSlash(root)))
	if err != nil {
		return nil, nil, err
	}
	return d, func() { _ = d.Close() }, nil
}

// oneUser is a node whose only user is admin.
type oneUser struct{}

const adminPassword = "a long password"

var (
	adminHash = sync.OnceValue(func() string {
		hash, err := accesskey.HashPassword(adminPassword)
		if err != nil {
			panic(err)
		}
		return hash
	})
	signer = sync.OnceValue(func() *rsa.PrivateKey {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return k
	})
)

func (oneUser) PasswordHash(_ context.Context, name string) (string, error) {
	if name != "admin" {
		return "", accesskey.ErrNotFound
	}
	return adminHash(), nil
}

// bed is a server with two keys of two tenants, alpha and beta, each with a folder of its own.
type bed struct {
	t       testing.TB
	base    string // holds the folders alpha and beta
	places  nodeapi.Places
	keys    *accesskey.MemStore
	users   accesskey.Users
	state   *state.Store
	handler http.Handler
	url     string
	stop    func()
	admin   string // Authorization of the node's user
	alpha   string
	beta    string
}

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{t: t, base: filepath.Join(t.TempDir(), "files"), keys: &accesskey.MemStore{}, users: oneUser{}}
	b.places = folders(b.base)
	b.admin = accesskey.Credential{ID: "admin", Secret: adminPassword}.Token()
	b.alpha, b.beta = b.key("ak_alpha", "alpha", nil), b.key("ak_beta", "beta", nil)
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start serves what is there; stop ends it, and may be followed by another start.
func (b *bed) start() {
	b.t.Helper()
	now := func() time.Time { return noon }
	var err error
	b.state, err = state.Open(context.Background(), state.Config{Path: filepath.Join(filepath.Dir(b.base), "state.db"), Now: now})
	require.NoError(b.t, err)
	files, err := New(Config{State: b.state, Places: b.places, Keys: b.keys})
	require.NoError(b.t, err)
	srv, err := nodeapi.New(nodeapi.Config{
		Auth: &accesskey.Checker{Keys: b.keys, Users: b.users, Now: now}, Keys: files.Keys(), Places: files.Places(), TokenSecret: bytes.Repeat([]byte("x"), 32), Now: now,
		Extensions: []nodeapi.Extension{files}, Logger: slog.New(slog.NewTextHandler(b.t.Output(), nil)),
	})
	require.NoError(b.t, err)
	b.handler = srv
	web := httptest.NewServer(srv)
	b.url = web.URL
	b.stop = sync.OnceFunc(func() {
		web.Close()
		require.NoError(b.t, srv.Close(context.Background()))
		require.NoError(b.t, b.state.Close())
	})
}

// key adds a key with a folder, and returns its Authorization.
func (b *bed) key(id, root string, change func(*accesskey.Key)) string {
	b.t.Helper()
	c, err := accesskey.Generate(id)
	require.NoError(b.t, err)
	k, _, err := accesskey.NewKey(c)
	require.NoError(b.t, err)
	public, err := x509.MarshalPKIXPublicKey(signer().Public())
	require.NoError(b.t, err)
	k.TokenKey = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	k.Tenant, k.Root, k.Created = root, root, noon
	if change != nil {
		change(&k)
	}
	require.NoError(b.t, b.keys.Put(context.Background(), k))
	require.NoError(b.t, os.MkdirAll(filepath.Join(b.base, root), 0o755))
	return c.Token()
}

// bearer is the Authorization of a user of alpha's application.
func (b *bed) bearer(user string, groups ...string) string {
	return b.sealed(accesskey.Bearer{User: user, Groups: groups, Key: "ak_alpha"})
}

func (b *bed) sealed(t accesskey.Bearer) string {
	b.t.Helper()
	t.Expires = noon.Add(time.Hour)
	text, err := accesskey.SealBearer(t, signer())
	require.NoError(b.t, err)
	return "Bearer " + text
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
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	require.NoError(b.t, err)
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// client is a Client with these credentials.
func (b *bed) client(auth string) *api.Client {
	return &api.Client{URL: b.url, Authorization: auth, HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// id is the id of a path of alpha's, which it lists the folders for.
func (b *bed) id(path string) string {
	b.t.Helper()
	at := api.RootID
	for el := range strings.SplitSeq(path, "/") {
		list, next, err := b.client(b.alpha).Entries(context.Background(), at, api.EntryQuery{Name: el})
		require.NoError(b.t, err)
		require.Empty(b.t, next)
		require.Len(b.t, list, 1, "%s of %s", el, path)
		at = list[0].ID
	}
	return at
}

// allow gives a permission on a path of alpha's.
func (b *bed) allow(path, kind, id string, levels ...string) api.FilePermission {
	b.t.Helper()
	at := api.RootID
	if path != "" {
		at = b.id(path)
	}
	p, err := b.client(b.alpha).CreatePermission(context.Background(), api.PermissionRequest{FileID: api.ID(at), AccessType: kind, AccessID: api.ID(id), AccessLevels: levels})
	require.NoError(b.t, err)
	return p
}

// code wants err to be an answer of this status.
func code(t testing.TB, status int, err error) {
	t.Helper()
	var e *api.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, status, e.Code, e.UserMessage)
}

// events are the types and documents of all events.
func (b *bed) events() (list []string) {
	b.t.Helper()
	all, next, err := b.state.Events(context.Background(), state.EventFilter{}, state.Page{Limit: 1000})
	require.NoError(b.t, err)
	require.Empty(b.t, next)
	for _, e := range all {
		require.True(b.t, json.Valid(e.Doc))
		list = append(list, e.Key+" "+e.Type+" "+string(e.Doc))
	}
	return list
}
