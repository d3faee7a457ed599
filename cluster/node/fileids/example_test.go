package fileids_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/fileids"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// inFolder opens places below one folder.
type inFolder string

func (dir inFolder) Open(_ context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	d, err := transfer.OpenDir(filepath.Join(string(dir), filepath.FromSlash(g.Root)))
	if err != nil {
		return nil, nil, err
	}
	return d, func() { _ = d.Close() }, nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// An application lets its user Ann read one folder of the place of its access key. She does so with a token that the application signs, even after the folder was renamed.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "fileids")
	check(err)
	defer os.RemoveAll(dir)
	check(os.MkdirAll(filepath.Join(dir, "film", "rushes"), 0o755))
	check(os.WriteFile(filepath.Join(dir, "film", "rushes", "take-1"), []byte("action"), 0o644))

	// The application's access key, and the key pair by which it signs tokens.
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	check(err)
	credential, err := accesskey.Generate("film-app")
	check(err)
	key, _, err := accesskey.NewKey(credential)
	check(err)
	key.Root, key.TokenKey = "film", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	keys := &accesskey.MemStore{}
	check(keys.Put(ctx, key))

	// The node.
	store, err := state.Open(ctx, state.Config{Path: filepath.Join(dir, "state.db")})
	check(err)
	defer store.Close()
	files, err := fileids.New(fileids.Config{State: store, Places: inFolder(dir), Keys: keys})
	check(err)
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	srv, err := nodeapi.New(nodeapi.Config{
		Auth: &accesskey.Checker{Keys: keys}, Keys: files.Keys(), Places: files.Places(), TokenSecret: secret, Extensions: []nodeapi.Extension{files},
	})
	check(err)
	web := httptest.NewServer(srv)
	defer web.Close()

	app := &api.Client{URL: web.URL, Authorization: credential.Token()}
	list, _, err := app.Entries(ctx, api.RootID, api.EntryQuery{})
	check(err)
	folder := list[0]
	_, err = app.CreatePermission(ctx, api.PermissionRequest{FileID: api.ID(folder.ID), AccessType: api.AccessUser, AccessID: "ann", AccessLevel: "view"})
	check(err)

	token, err := accesskey.SealBearer(accesskey.Bearer{User: "ann", Key: credential.ID, Expires: time.Now().Add(time.Hour)}, private)
	check(err)
	ann := &api.Client{URL: web.URL, Authorization: "Bearer " + token}
	check(app.RenameEntry(ctx, folder.ID, "dailies"))
	list, _, err = ann.Entries(ctx, folder.ID, api.EntryQuery{})
	check(err)
	content, err := ann.EntryContent(ctx, list[0].ID)
	check(err)
	fmt.Printf("%s: %s\n", list[0].Name, content)
	_, err = ann.Entry(ctx, api.RootID)
	fmt.Println(err)
	fmt.Println(ann.DeleteEntry(ctx, list[0].ID))
	// Output:
	// take-1: action
	// there is no file of this id (404 Not Found)
	// no permission allows any of: delete (403 Forbidden)
}
