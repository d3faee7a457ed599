package examples

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// send uploads a folder. It is the example of the README.
func send(ctx context.Context, addr, folder string, key accesskey.Credential, server fasp.Fingerprint) error {
	cfg := transfer.Config{Dial: func(ctx context.Context, s *transfer.Spec) (fasp.Session, error) {
		conn, err := fasp.Dial(ctx, addr, fasp.Config{VerifyServer: fasp.PinnedKey(server), Rates: s.Rates})
		if err != nil {
			return nil, err
		}
		return conn, key.Authenticate(ctx, conn)
	}}
	result, err := transfer.Run(ctx, cfg, transfer.Spec{
		Host: addr, Paths: []transfer.Path{{Source: folder}}, Destination: "/incoming", CreateDir: true,
	})
	fmt.Println(result.FilesDone, "files,", result.BytesSent, "bytes")
	return err
}

// A node and a client in one process: the client sends a folder with two files.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	dir, err := os.MkdirTemp("", "tradewind-example-")
	check(err)
	defer os.RemoveAll(dir)
	check(os.MkdirAll(filepath.Join(dir, "docroot"), 0o755))
	check(os.MkdirAll(filepath.Join(dir, "results"), 0o755))
	check(os.WriteFile(filepath.Join(dir, "results", "one"), []byte("hello"), 0o644))
	check(os.WriteFile(filepath.Join(dir, "results", "two"), []byte("world"), 0o644))

	cred, err := accesskey.Generate("demo")
	check(err)
	key, _, err := accesskey.NewKey(cred)
	check(err)
	key.Rights = accesskey.Rights{Write: true}
	keys := &accesskey.MemStore{}
	check(keys.Put(ctx, key))
	n, err := node.New(node.Config{DocRoot: filepath.Join(dir, "docroot"), StateDir: filepath.Join(dir, "state"), Listen: "127.0.0.1:0", Keys: keys})
	check(err)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	<-n.Ready()

	check(send(ctx, n.Addr().String(), filepath.Join(dir, "results"), cred, n.Fingerprint()))
	got, err := os.ReadFile(filepath.Join(dir, "docroot", "incoming", "results", "two"))
	check(err)
	fmt.Printf("%s\n", got)
	cancel()
	check(<-ended)
	// Output:
	// 2 files, 10 bytes
	// world
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// The README shows exactly the code that runs here.
func TestREADME(t *testing.T) {
	source, err := os.ReadFile("readme_test.go")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(source), "// send uploads a folder. It is the example of the README.\n")
	require.True(t, ok)
	code, _, ok := strings.Cut(rest, "\n}\n")
	require.True(t, ok)
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), "```go\n"+code+"\n}\n```")
}
