package keystorage_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/cluster/node/keystorage"
	"github.com/tradewind-io/tradewind/internal/testservers"
)

// running starts a node with the REST API until the test ends.
func running(t *testing.T) (n *node.Node, docroot string, client func(accesskey.Credential) *api.Client) {
	t.Helper()
	dir := t.TempDir()
	docroot = filepath.Join(dir, "root")
	require.NoError(t, os.Mkdir(docroot, 0o755))
	n, err := node.New(node.Config{
		DocRoot: docroot, StateDir: filepath.Join(dir, "state"), Listen: "127.0.0.1:0", API: "127.0.0.1:0", APIUser: &user, DrainTimeout: -1,
		OpenStorage: keystorage.Opener(keystorage.Config{}),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case <-n.Ready():
	case err := <-ended:
		require.NoError(t, err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		cancel()
		require.NoError(t, <-ended)
	})
	return n, docroot, func(c accesskey.Credential) *api.Client {
		return &api.Client{URL: "https://" + n.APIAddr().String(), Authorization: c.Token(), HTTP: &http.Client{Transport: tr}}
	}
}

var user = accesskey.Credential{ID: "admin", Secret: "correct horse battery"}

// TestJobsWithTheCloud: a job takes files of another node into the object store of its key, and sends them from there to it.
func TestJobsWithTheCloud(t *testing.T) {
	s := testservers.MinIO(t)
	s.MakeBucket(t, "films")
	_, _, client := running(t)
	other, docroot, otherClient := running(t)
	newKey := func(c *api.Client, storage string) accesskey.Credential {
		k, err := c.CreateAccessKey(t.Context(), api.AccessKeyRequest{Storage: json.RawMessage(storage)})
		require.NoError(t, err)
		return accesskey.Credential{ID: k.ID, Secret: k.Secret}
	}
	far := newKey(otherClient(user), `{"type":"local","path":"/"}`)
	cloud := client(newKey(client(user), fmt.Sprintf(`{"type":"aws_s3","bucket":"films","endpoint":%q,"path":"/in","credentials":{"type":"key","access_key_id":%q,"secret_access_key":%q}}`,
		s.URL(), s.AccessKey, s.SecretKey)))
	data := randomFile(t, filepath.Join(docroot, "a", "f"))
	job := func(direction, source, destination string) {
		j, err := cloud.StartTransfer(t.Context(), map[string]any{
			"direction": direction, "remote_host": "127.0.0.1", "fasp_port": other.Addr().(*net.UDPAddr).Port, "token": far.Token(), "sshfp": other.Fingerprint().String(),
			"paths": []any{map[string]any{"source": source}}, "destination_root": destination, "create_dir": true,
		})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for !j.Status.Over() {
			<-tick.C // a node is asked, as clients of the API do
			j, err = cloud.Transfer(ctx, j.ID)
			require.NoError(t, err)
		}
		require.Equal(t, api.Completed, j.Status, "%+v", j)
		require.EqualValues(t, len(data), j.BytesWritten)
	}
	job("receive", "a/f", "/taken")
	list, err := cloud.Browse(t.Context(), api.Browse{Path: "/taken"})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.EqualValues(t, len(data), list.Items[0].Size)
	job("send", "taken/f", "/back")
	got, err := os.ReadFile(filepath.Join(docroot, "back", "f"))
	require.NoError(t, err)
	require.Equal(t, data, got)
}

// randomFile writes a file of several parts.
func randomFile(t *testing.T, name string) []byte {
	t.Helper()
	b := make([]byte, 20<<20)
	_, _ = rand.Read(b)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, b, 0o644))
	return b
}
