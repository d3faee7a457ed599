package node

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

// with dials with whatever a client was given to authenticate.
func (w *world) with(text string) transfer.Config {
	o, err := accesskey.ParseOpener(text)
	require.NoError(w.t, err)
	return transfer.Config{RetryTimeout: -1, Dial: func(ctx context.Context, _ *transfer.Spec) (fasp.Session, error) {
		conn, err := w.client.Dial(ctx, w.at)
		if err != nil {
			return nil, err
		}
		msg, err := o.Opening(conn)
		if err != nil {
			return nil, err
		}
		return conn, conn.SendMessage(ctx, msg)
	}}
}

// TestTransferTokens: a token opens what it names, in its direction, until it ends or its key goes.
func TestTransferTokens(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		w.addKey(bob, func(k *accesskey.Key) { k.Root = "bob" })
		require.NoError(t, os.MkdirAll(filepath.Join(w.docroot, "bob/out"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(w.docroot, "bob/out/f"), []byte("bob's"), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(w.docroot, "bob/secret"), []byte("bob's"), 0o644))
		seal := func(d accesskey.Direction, life time.Duration, paths ...string) string {
			text, err := w.node.checker.Tokens.Seal(accesskey.TransferToken{
				Key: "bob", Direction: d, Paths: paths, Node: w.node.Fingerprint().String(), Expires: time.Now().Add(life),
			})
			require.NoError(t, err)
			return text
		}
		file := filepath.Join(t.TempDir(), "f")
		require.NoError(t, os.WriteFile(file, []byte("mine"), 0o644))
		up := func(token, dest string) error {
			_, err := transfer.Run(w.t.Context(), w.with(token), transfer.Spec{Paths: []transfer.Path{{Source: file}}, Destination: dest})
			return err
		}
		down := func(token, source string) error {
			_, err := transfer.Run(w.t.Context(), w.with(token), transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: source}}, Destination: t.TempDir(), CreateDir: true})
			return err
		}
		upload, download := seal(accesskey.Upload, time.Hour, "/in"), seal(accesskey.Download, time.Hour, "out")
		require.NoError(t, up(upload, "/in/new"))
		require.FileExists(t, filepath.Join(w.docroot, "bob/in/new"))
		require.NoError(t, down(download, "/out/f"))
		require.NoError(t, down(download, "out"))
		for name, err := range map[string]error{
			"another folder":  up(upload, "/elsewhere"),
			"the root":        up(upload, "/"),
			"out of it":       up(upload, "/in/../secret"),
			"download":        down(upload, "/in/new"),
			"upload":          up(download, "/out/f"),
			"another file":    down(download, "/secret"),
			"everything":      down(download, "/"),
			"not ours":        up(bent(upload), "/in/x"),
			"of another node": up(seal(accesskey.Upload, time.Hour, "")[:20], "/in/x"),
		} {
			require.Error(t, err, name)
		}
		got, err := os.ReadFile(filepath.Join(w.docroot, "bob/secret"))
		require.NoError(t, err)
		require.Equal(t, "bob's", string(got))

		short := seal(accesskey.Upload, time.Minute, "")
		require.NoError(t, up(short, "/a"))
		time.Sleep(2 * time.Minute) // of the world's time
		err = up(short, "/b")
		require.Equal(t, transfer.CodeAuth, codeOf(t, err))
		require.ErrorContains(t, err, "expired")

		k, err := w.keys.Key(w.t.Context(), "bob")
		require.NoError(t, err)
		k.Disabled = true
		require.NoError(t, w.keys.Put(w.t.Context(), k))
		require.Equal(t, transfer.CodeAuth, codeOf(t, up(upload, "/in/x")))
		require.NoError(t, w.keys.Delete(w.t.Context(), "bob"))
		require.Equal(t, transfer.CodeAuth, codeOf(t, up(upload, "/in/x")))
		require.NotContains(t, w.log.String(), upload[:30])
	})
}

// bent is a token with another character in the middle.
func bent(token string) string {
	b := []byte(token)
	if i := len(b) / 2; b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

// TestBearerTokens: an application's users come with tokens that it has signed.
func TestBearerTokens(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	require.NoError(t, err)
	inWorld(t, Config{}, func(w *world) {
		w.addKey(bob, func(k *accesskey.Key) {
			k.Root, k.TokenKey = "bob", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
		})
		file := filepath.Join(t.TempDir(), "f")
		require.NoError(t, os.WriteFile(file, []byte("mine"), 0o644))
		up := func(b accesskey.Bearer) error {
			token, err := accesskey.SealBearer(b, private)
			require.NoError(t, err)
			_, err = transfer.Run(w.t.Context(), w.with("Bearer "+token), transfer.Spec{Paths: []transfer.Path{{Source: file}}, Destination: "/f"})
			return err
		}
		require.NoError(t, up(accesskey.Bearer{User: "u", Key: "bob", Admin: true, Expires: time.Now().Add(time.Hour)}))
		require.FileExists(t, filepath.Join(w.docroot, "bob/f"))
		require.ErrorContains(t, up(accesskey.Bearer{User: "u", Key: "bob", Expires: time.Now().Add(time.Hour)}), "scope user:all")
		require.Error(t, up(accesskey.Bearer{User: "u", Key: "bob", Admin: true, Expires: time.Now()}))
		require.Error(t, up(accesskey.Bearer{User: "u", Key: "alice", Admin: true, Expires: time.Now().Add(time.Hour)}), "alice has no public key")
	})
}

// TestKeyStorage: keys bring their storage with them, and what two of them have is apart although the place is one.
func TestKeyStorage(t *testing.T) {
	host := new(memstore.Host)
	var opened []accesskey.Storage
	cfg := Config{OpenStorage: func(ctx context.Context, s accesskey.Storage) (objstore.Driver, string, error) {
		opened = append(opened, s)
		d, _, err := host.Open(ctx, objstore.URI{Scheme: "mem", Host: s.Fields["bucket"]})
		return d, s.Fields["path"], err
	}}
	inWorld(t, cfg, func(w *world) {
		of := func(secret string) *accesskey.Storage {
			return &accesskey.Storage{
				Type: "ibm-s3", Fields: map[string]string{"bucket": "b", "endpoint": "e", "path": "base"},
				Credentials: map[string]string{"access_key_id": "a", "secret_access_key": secret},
			}
		}
		w.addKey(bob, func(k *accesskey.Key) { k.Storage, k.Root = of("one"), "bob" })
		carol := accesskey.Credential{ID: "carol", Secret: "carol-0123456789-0123456789-abcdef"}
		w.addKey(carol, func(k *accesskey.Key) { k.Storage, k.Root = of("two"), "bob" })
		dave := accesskey.Credential{ID: "dave", Secret: "dave-0123456789-0123456789-abcdefg"}
		w.addKey(dave, func(k *accesskey.Key) {
			k.Storage, k.Root = &accesskey.Storage{Type: "local", Fields: map[string]string{"path": "/projects/dave"}}, "sub"
		})
		eve := accesskey.Credential{ID: "eve", Secret: "eve-0123456789-0123456789-abcdefgh"}
		w.addKey(eve, func(k *accesskey.Key) {
			k.Storage, k.Root = &accesskey.Storage{Type: "local", Fields: map[string]string{"path": "/"}}, "../.."
		})
		require.ErrorContains(t, accesskey.Storage{Type: "local", Fields: map[string]string{"path": "/a/../.."}}.Check(), "leads out")
		for _, c := range []accesskey.Credential{bob, carol, dave} {
			require.NoError(t, w.upload(c, "/"+c.ID, 1000), c.ID)
		}
		require.Error(t, w.upload(eve, "/f", 1000))
		require.Equal(t, []string{"base/bob/bob 1000", "base/bob/carol 1000"}, objects(t, host.Store("b")))
		require.FileExists(t, filepath.Join(w.docroot, "projects/dave/sub/dave"))
		require.Len(t, opened, 2, "one place for each credentials")
		require.NotContains(t, w.log.String(), "secret_access_key")
	})
	// A node without such storage says so, and does not fall back to the docroot.
	inWorld(t, Config{}, func(w *world) {
		w.addKey(bob, func(k *accesskey.Key) {
			k.Storage = &accesskey.Storage{Type: "ibm-s3", Fields: map[string]string{"bucket": "b", "endpoint": "e"}}
		})
		require.Error(t, w.upload(bob, "/f", 1000))
		require.NoFileExists(t, filepath.Join(w.docroot, "f"))
	})
}

// TestTokensOfTheDead: a key or account that has the id or name of one that is gone is not reached with tokens of that one.
func TestTokensOfTheDead(t *testing.T) {
	r := startReal(t, "n", func(c *Config) { c.SSH, c.SSHUser, c.WSS = "127.0.0.1:0", &joe, "127.0.0.1:0" })
	anna := r.key("anna")
	c, done := attached(t, r.cfg.StateDir)
	defer done()
	spec, err := r.client(anna).UploadSetup(t.Context(), api.TransferRequest{DestinationRoot: "/"})
	require.NoError(t, err)
	ofKey, err := c.Token(t.Context(), admin.TokenRequest{Key: "anna", Direction: "upload", Paths: []string{"/"}})
	require.NoError(t, err)
	ofAccount, err := c.Token(t.Context(), admin.TokenRequest{Account: "joe", Direction: "upload", Paths: []string{"/"}})
	require.NoError(t, err)
	wss, _ := r.wss(anna.Token(), `{"for":"upload","paths":["/"]}`)
	tokens := []string{spec.Token, ofKey.Token, wss.Token, ofAccount.Token, r.ticket("upload /").Token}
	for _, token := range tokens {
		require.NoError(t, r.up(token, "/before"))
	}
	require.NoError(t, c.DeleteAccessKey(t.Context(), "anna"))
	require.NoError(t, c.DeleteAccount(t.Context(), "joe"))
	r.key("anna")
	require.NoError(t, c.ChangeAccount(t.Context(), "joe", admin.AccountChange{Create: true, Password: &joe.Secret}))
	for i, token := range tokens {
		err := r.up(token, "/after")
		require.Error(t, err, "token %d", i)
		require.Equal(t, transfer.CodeAuth, codeOf(t, err), "token %d", i)
	}
	require.NoError(t, r.up(r.ticket("upload /").Token, "/after"))
}
