package nodeapi_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// inFolder opens places below one folder.
type inFolder string

func (dir inFolder) Open(_ context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	root := g.Root
	if g.Storage != nil {
		root = g.Storage.Fields["path"]
	}
	d, err := transfer.OpenDir(filepath.Join(string(dir), filepath.FromSlash(root)))
	if err != nil {
		return nil, nil, err
	}
	return d, func() { _ = d.Close() }, nil
}

// admin is a node whose only user is admin.
type admin struct{ hash string }

func (a admin) PasswordHash(_ context.Context, name string) (string, error) {
	if name != "admin" {
		return "", accesskey.ErrNotFound
	}
	return a.hash, nil
}

// A user of the node makes a key for a project. Whoever holds it looks around and asks for what an upload needs.
func Example() {
	dir, err := os.MkdirTemp("", "nodeapi")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(filepath.Join(dir, "film", "rushes"), 0o755); err != nil {
		log.Fatal(err)
	}

	// The node.
	hash, err := accesskey.HashPassword("correct horse battery")
	if err != nil {
		log.Fatal(err)
	}
	keys, master := &accesskey.MemStore{}, accesskey.NewMaster()
	secret := make([]byte, 32)
	rand.Read(secret)
	srv, err := nodeapi.New(nodeapi.Config{
		Auth: &accesskey.Checker{Keys: keys, Users: admin{hash}, Tokens: accesskey.NewKeyring(master)},
		Keys: keys, Places: inFolder(dir), TokenSecret: secret, Info: nodeapi.Info{Host: "node.example"},
	})
	if err != nil {
		log.Fatal(err)
	}
	web := httptest.NewTLSServer(srv)
	defer web.Close()

	// Its user.
	ctx := context.Background()
	user := &api.Client{URL: web.URL, HTTP: web.Client(), Authorization: accesskey.Credential{ID: "admin", Secret: "correct horse battery"}.Token()}
	key, err := user.CreateAccessKey(ctx, api.AccessKeyRequest{ID: "film", Storage: []byte(`{"type":"local","path":"/film"}`)})
	if err != nil {
		log.Fatal(err)
	}

	// Who holds the key.
	client := &api.Client{URL: web.URL, HTTP: web.Client(), Authorization: accesskey.Credential{ID: key.ID, Secret: key.Secret}.Token()}
	list, err := client.Browse(ctx, api.Browse{Path: "/"})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range list.Items {
		fmt.Println(f.Type, f.Path)
	}
	spec, err := client.UploadSetup(ctx, api.TransferRequest{Paths: []api.TransferPath{{Destination: "/rushes"}}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(spec.Direction, "to", spec.DestinationRoot, "at", spec.RemoteHost, spec.FaspPort, "with a token:", spec.Token != "")
	if err := srv.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// directory /rushes
	// send to /rushes at node.example 33001 with a token: true
}
