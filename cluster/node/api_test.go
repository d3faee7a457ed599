package node

import (
	"context"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// realNode is a node on loopback with its API.
type realNode struct {
	t       testing.TB
	cfg     Config
	docroot string
	node    *Node
	stop    func()
	http    *http.Client    // whose answers are checked against the OpenAPI document
	plain   *http.Transport // below it
}

var nodeUser = accesskey.Credential{ID: "admin", Secret: "correct horse battery"}

func startReal(t testing.TB, name string, edit func(*Config)) *realNode {
	dir := filepath.Join(t.TempDir(), name)
	r := &realNode{t: t, docroot: filepath.Join(dir, "root")}
	require.NoError(t, os.MkdirAll(r.docroot, 0o755))
	r.cfg = Config{DocRoot: r.docroot, StateDir: filepath.Join(dir, "state"), Listen: "127.0.0.1:0", API: "127.0.0.1:0", APIUser: &nodeUser, Version: "test", DrainTimeout: -1}
	if edit != nil {
		edit(&r.cfg)
	}
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

// start runs a node over what is there, at the same ports as before.
func (r *realNode) start() {
	var err error
	r.node, err = New(r.cfg)
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.node.Run(ctx) }()
	select {
	case <-r.node.Ready():
	case err := <-ended:
		require.NoError(r.t, err)
	}
	r.cfg.Listen, r.cfg.API = r.node.Addr().String(), r.node.APIAddr().String()
	pem, err := os.ReadFile(filepath.Join(r.cfg.StateDir, certName))
	require.NoError(r.t, err)
	pool := x509.NewCertPool()
	require.True(r.t, pool.AppendCertsFromPEM(pem))
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	r.plain = tr
	r.http = &http.Client{Transport: apibed.Checked(r.t, tr)}
	r.stop = sync.OnceFunc(func() {
		tr.CloseIdleConnections()
		cancel()
		require.NoError(r.t, <-ended)
	})
}

func (r *realNode) client(c accesskey.Credential) *api.Client {
	return &api.Client{URL: "https://" + r.node.APIAddr().String(), Authorization: c.Token(), HTTP: r.http}
}

// key makes an access key over the API, with a folder of its own.
func (r *realNode) key(id string) accesskey.Credential {
	k, err := r.client(nodeUser).CreateAccessKey(r.t.Context(), api.AccessKeyRequest{ID: id, Storage: json.RawMessage(fmt.Sprintf(`{"type":"local","path":"/%s"}`, id))})
	require.NoError(r.t, err)
	require.NotEmpty(r.t, k.Secret)
	return accesskey.Credential{ID: k.ID, Secret: k.Secret}
}

func (r *realNode) port() int { return r.node.Addr().(*net.UDPAddr).Port }

// file writes n random bytes below the docroot.
func (r *realNode) file(name string, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(len(name))}).Read(b)
	path := filepath.Join(r.docroot, name)
	require.NoError(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(r.t, os.WriteFile(path, b, 0o644))
	return b
}

// job is a specification of a job that sends to other with the credential there.
func job(other *realNode, c accesskey.Credential, fields map[string]any) map[string]any {
	j := map[string]any{
		"direction": "send", "remote_host": "127.0.0.1", "fasp_port": other.port(), "token": c.Token(), "paths": []any{map[string]any{"source": "f"}},
		"destination_root": "/in/", "rate_policy": "fair", "sshfp": other.node.Fingerprint().String(),
	}
	for k, v := range fields {
		j[k] = v
	}
	return j
}

func waitFor(t testing.TB, c *api.Client, id string, ok func(api.Transfer) bool) api.Transfer {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		x, err := c.Transfer(t.Context(), id)
		require.NoError(t, err)
		if ok(x) {
			return x
		}
		if time.Now().After(deadline) || x.Status.Over() {
			t.Fatalf("the transfer stays %+v", x)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func over(x api.Transfer) bool { return x.Status == api.Completed }

// TestNodeToNode is what an application does: keys over the API of two nodes, a job from one to the other, and what both say of it.
func TestNodeToNode(t *testing.T) {
	a, b := startReal(t, "a", nil), startReal(t, "b", nil)
	anna, bert := a.key("anna"), b.key("bert")
	data := a.file("anna/f", 3<<20)
	ca, cb := a.client(anna), b.client(bert)
	tr, err := ca.StartTransfer(t.Context(), job(b, bert, map[string]any{"tags": map[string]any{"app": "x"}, "save_before_overwrite": true}))
	require.NoError(t, err)
	require.Equal(t, []api.Note{{Field: "save_before_overwrite", Why: "files that are replaced are not kept"}}, tr.Notes)
	got := waitFor(t, ca, tr.ID, over)
	require.EqualValues(t, len(data), got.BytesTransferred)
	at, err := os.ReadFile(filepath.Join(b.docroot, "bert/in/f"))
	require.NoError(t, err)
	require.Equal(t, data, at)

	// The other node has seen a session of a client.
	list, token, err := cb.Transfers(t.Context(), api.TransferQuery{})
	require.NoError(t, err)
	for len(list) == 0 || !list[0].Status.Over() { // it is written down a moment later
		time.Sleep(5 * time.Millisecond)
		list, token, err = cb.Transfers(t.Context(), api.TransferQuery{})
		require.NoError(t, err)
	}
	require.Equal(t, "client", list[0].Spec.Initiator)
	require.Equal(t, api.Completed, list[0].Status)
	list, next, err := cb.Transfers(t.Context(), api.TransferQuery{After: token})
	require.NoError(t, err)
	require.Empty(t, list)
	require.Equal(t, token, next)

	// Files, events, usage.
	listing, err := cb.Browse(t.Context(), api.Browse{Path: "/in"})
	require.NoError(t, err)
	require.Equal(t, "f", listing.Items[0].Basename)
	events, _, err := ca.Events(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, [][]string{{"transfer.started"}, {"transfer.ended"}}, [][]string{events[0].Types, events[1].Types})
	u, err := ca.Moved(t.Context())
	for err == nil && u.BytesOut == 0 { // it is written down a moment later, too
		time.Sleep(5 * time.Millisecond)
		u, err = ca.Moved(t.Context())
	}
	require.NoError(t, err)
	require.EqualValues(t, len(data), u.BytesOut)

	// A key sees nothing of another one, and the node's user sees both.
	other := a.client(a.key("other"))
	_, err = other.Transfer(t.Context(), tr.ID)
	require.ErrorContains(t, err, "no transfer of this id")
	list, _, err = other.Transfers(t.Context(), api.TransferQuery{AccessKey: "anna"})
	require.NoError(t, err)
	require.Empty(t, list)
	events, _, err = other.Events(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, events)
	list, _, err = a.client(nodeUser).Transfers(t.Context(), api.TransferQuery{AccessKey: "anna", Tag: "app=x"})
	require.NoError(t, err)
	require.Len(t, list, 1)

	// A node that shows another key than the job says is not sent to.
	wrong := job(b, bert, map[string]any{"destination_root": "/wrong/", "sshfp": a.node.Fingerprint().String()})
	tr, err = ca.StartTransfer(t.Context(), wrong)
	require.NoError(t, err)
	got = waitFor(t, ca, tr.ID, func(x api.Transfer) bool { return x.Status == api.Failed })
	require.EqualValues(t, transfer.CodeInsecureConnection, got.ErrorCode)
	require.NoDirExists(t, filepath.Join(b.docroot, "bert/wrong"))
}

// TestUploadSetup: what an application's client does with the token that a node has made for it.
func TestUploadSetup(t *testing.T) {
	a := startReal(t, "a", nil)
	anna := a.key("anna")
	c := a.client(anna)
	spec, err := c.UploadSetup(t.Context(), api.TransferRequest{DestinationRoot: "/in", Tags: json.RawMessage(`{"aspera":{"usage_id":"film"}}`)})
	require.NoError(t, err)
	require.Equal(t, a.port(), spec.FaspPort)
	o, err := accesskey.ParseOpener(spec.Token)
	require.NoError(t, err)
	dial := func(ctx context.Context, _ *transfer.Spec) (fasp.Session, error) {
		return fasp.Dial(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(spec.FaspPort)), fasp.Config{
			VerifyServer: fasp.PinnedKey(a.node.Fingerprint()), Opening: func(x fasp.Exporter) ([]byte, error) { return o.Opening(x) },
		})
	}
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o644))
	for dest, ok := range map[string]bool{"/in/f": true, "/elsewhere": false} {
		_, err := transfer.Run(t.Context(), transfer.Config{Dial: dial, RetryTimeout: -1}, transfer.Spec{Paths: []transfer.Path{{Source: file}}, Destination: dest})
		require.Equal(t, ok, err == nil, "%s: %v", dest, err)
	}
	require.FileExists(t, filepath.Join(a.docroot, "anna/in/f"))

	// What the token carried was counted under the id of its tags, and the transfer shows where it went.
	u, err := c.MovedFor(t.Context(), "film")
	for err == nil && u.BytesIn == 0 { // it is written down a moment later
		time.Sleep(5 * time.Millisecond)
		u, err = c.MovedFor(t.Context(), "film")
	}
	require.NoError(t, err)
	require.Equal(t, api.Moved{ID: "film", BytesIn: 4, BytesTotal: 4}, u)
	list, _, err := c.Transfers(t.Context(), api.TransferQuery{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "/in/f", list[0].Spec.DestinationPath, "as the client wrote it")
	require.Equal(t, []string{"f"}, list[0].Spec.SourcePaths)
	now := time.Now().Unix()
	rates, err := c.Bandwidth(t.Context(), now-100, 60)
	require.NoError(t, err)
	require.LessOrEqual(t, rates.StartTime, now-100)
	require.Greater(t, rates.StartTime, now-106)
	require.GreaterOrEqual(t, rates.EndTime-rates.StartTime, int64(60))
	_, err = c.Bandwidth(t.Context(), 0, 0)
	require.NoError(t, err)
}

// TestNodeRestart: a node that stops with jobs under way loses none, and what is over stays as it was.
func TestNodeRestart(t *testing.T) {
	a, b := startReal(t, "a", nil), startReal(t, "b", nil)
	anna, bert := a.key("anna"), b.key("bert")
	data := a.file("anna/f", 6<<20)
	done, err := a.client(anna).StartTransfer(t.Context(), job(b, bert, map[string]any{"destination_root": "/first/"}))
	require.NoError(t, err)
	waitFor(t, a.client(anna), done.ID, over)
	tr, err := a.client(anna).StartTransfer(t.Context(), job(b, bert, map[string]any{"target_rate_kbps": 40_000}))
	require.NoError(t, err)
	waitFor(t, a.client(anna), tr.ID, func(x api.Transfer) bool { return x.BytesTransferred > 1<<20 })
	a.stop()
	require.NoFileExists(t, filepath.Join(b.docroot, "bert/in/f"))
	a.start()
	got := waitFor(t, a.client(anna), tr.ID, over)
	require.Less(t, got.BytesTransferred, int64(2*len(data)))
	at, err := os.ReadFile(filepath.Join(b.docroot, "bert/in/f"))
	require.NoError(t, err)
	require.Equal(t, data, at)
	old, err := a.client(anna).Transfer(t.Context(), done.ID)
	require.NoError(t, err)
	require.Equal(t, api.Completed, old.Status)
	require.Len(t, old.Files, 1)
}

// TestAPIStart: what keeps a node's API from starting is said.
func TestAPIStart(t *testing.T) {
	a := startReal(t, "a", nil)
	cfg := a.cfg
	cfg.Listen, cfg.API = "127.0.0.1:0", "127.0.0.1:0"
	n, err := New(cfg)
	require.NoError(t, err)
	require.ErrorContains(t, n.Run(t.Context()), "in use", "one node for one state folder")
	b := startReal(t, "b", nil)
	b.stop()
	cfg = b.cfg
	cfg.API = a.cfg.API
	n, err = New(cfg)
	require.NoError(t, err)
	require.ErrorContains(t, n.Run(t.Context()), "port of the API")
	cfg.API = "127.0.0.1:0"
	cfg.APIUser = &accesskey.Credential{ID: "admin", Secret: "short"}
	n, err = New(cfg)
	require.NoError(t, err)
	require.ErrorContains(t, n.Run(t.Context()), "12 characters")
	cfg.APIUser = nil
	require.NoError(t, os.WriteFile(filepath.Join(cfg.StateDir, certName), []byte("x"), 0o600))
	n, err = New(cfg)
	require.NoError(t, err)
	require.ErrorContains(t, n.Run(t.Context()), "certificate")

	// Without TLS there is nothing to be had, and the log does not fill with it.
	resp, err := http.Get("http://" + a.node.APIAddr().String() + "/ping")
	if err == nil {
		require.Equal(t, http.StatusBadRequest, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
	}
	_, err = a.client(accesskey.Credential{ID: "admin", Secret: "wrong horse battery"}).AccessKeys(t.Context())
	var e *api.Error
	require.True(t, errors.As(err, &e))
	require.Equal(t, http.StatusUnauthorized, e.Code)
	require.False(t, strings.Contains(err.Error(), "horse"))
}

// TestAudit: what is done to keys is written down before it is done, and a record that was changed shows.
func TestAudit(t *testing.T) {
	a := startReal(t, "a", nil)
	user := a.client(nodeUser)
	anna := a.key("anna")
	note := "x"
	require.NoError(t, a.client(anna).UpdateAccessKey(t.Context(), "self", api.AccessKeyRequest{Secret: "another secret 0123456789abcdef", Tradewind: &api.KeySettings{Note: &note}}))
	require.NoError(t, user.DeleteAccessKey(t.Context(), "anna"))
	list, token, err := user.Audit(t.Context(), "")
	require.NoError(t, err)
	var got []string
	for _, r := range list {
		got = append(got, fmt.Sprint(r.Seq, " ", r.Actor, " ", r.Action, " ", r.Object, " ", r.Changed))
	}
	require.Equal(t, []string{
		"1 user admin access_key.create anna []", "2 key anna access_key.change anna [secret note]", "3 user admin access_key.delete anna []",
	}, got)
	list, _, err = user.Audit(t.Context(), token)
	require.NoError(t, err)
	require.Empty(t, list)
	chain, err := user.VerifyAudit(t.Context())
	require.NoError(t, err)
	require.True(t, chain.OK)
	require.EqualValues(t, 3, chain.Last)
	_, _, err = a.client(a.key("bert")).Audit(t.Context(), "")
	var e *api.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, http.StatusForbidden, e.Code)

	a.stop()
	db, err := sql.Open("sqlite", filepath.Join(a.cfg.StateDir, stateName))
	require.NoError(t, err)
	_, err = db.Exec("UPDATE audit SET object = 'somebody' WHERE seq = 2")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	a.start()
	chain, err = a.client(nodeUser).VerifyAudit(t.Context())
	require.NoError(t, err)
	require.False(t, chain.OK)
	require.EqualValues(t, 2, chain.Broken)
}

// TestFileIDs: files by their ids at a real node, for a key and for a user of its application.
func TestFileIDs(t *testing.T) {
	a := startReal(t, "a", nil)
	anna, bert := a.key("anna"), a.key("bert")
	data := a.file("anna/film/day/f", 10_000)
	private, err := rsa.GenerateKey(crand.Reader, 2048)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	require.NoError(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	require.NoError(t, a.client(anna).UpdateAccessKey(t.Context(), "self", api.AccessKeyRequest{TokenVerificationKey: &text}))
	token, err := accesskey.SealBearer(accesskey.Bearer{User: "zoe", Key: "anna", Groups: []string{"crew"}, Expires: time.Now().Add(time.Hour)}, private)
	require.NoError(t, err)

	find := func() (ids []string) {
		at := api.RootID
		for {
			list, next, err := a.client(anna).Entries(t.Context(), at, api.EntryQuery{PerPage: 1000})
			require.NoError(t, err)
			require.Empty(t, next)
			require.Len(t, list, 1)
			if ids, at = append(ids, list[0].ID), list[0].ID; list[0].Type == api.EntryFile {
				return ids
			}
		}
	}
	ids := find() // film, day, f
	require.Len(t, ids, 3)
	zoe := func() *api.Client {
		c := a.client(anna)
		c.Authorization = "Bearer " + token
		return c
	}
	_, err = zoe().EntryContent(t.Context(), ids[2])
	require.ErrorContains(t, err, "no file of this id")
	p, err := a.client(anna).CreatePermission(t.Context(), api.PermissionRequest{FileID: api.ID(ids[0]), AccessType: api.AccessGroup, AccessID: "crew", AccessLevel: "view"})
	require.NoError(t, err)
	require.NoError(t, a.client(anna).RenameEntry(t.Context(), ids[1], "night"))
	a.stop()
	a.start()
	require.Equal(t, ids, find(), "over a rename and a restart")
	got, err := zoe().EntryContent(t.Context(), ids[2])
	require.NoError(t, err)
	require.Equal(t, data, got)
	require.ErrorContains(t, zoe().DeleteEntry(t.Context(), ids[2]), "403")
	_, err = a.client(bert).EntryContent(t.Context(), ids[2])
	require.ErrorContains(t, err, "no file of this id")
	_, err = zoe().Browse(t.Context(), api.Browse{Path: "/"})
	require.ErrorContains(t, err, "admin:all")
	for _, call := range []func() error{
		func() error { _, _, err := zoe().Events(t.Context(), ""); return err },
		func() error { _, _, err := zoe().Transfers(t.Context(), api.TransferQuery{}); return err },
		func() error { _, err := zoe().Moved(t.Context()); return err },
		func() error { _, err := zoe().StartTransfer(t.Context(), job(a, bert, nil)); return err },
	} {
		require.ErrorContains(t, call(), "admin:all")
	}
	require.NoError(t, a.client(nodeUser).DeleteAccessKey(t.Context(), "bert"))
	require.NoError(t, a.client(anna).DeletePermission(t.Context(), p.ID))
	_, err = zoe().Entry(t.Context(), ids[2])
	require.ErrorContains(t, err, "no file of this id")
	events, _, err := a.client(anna).Events(t.Context(), "")
	require.NoError(t, err)
	var types []string
	for _, e := range events {
		types = append(types, e.Types...)
	}
	require.Equal(t, []string{"permission.created", "file.modified", "permission.deleted"}, types)
}
