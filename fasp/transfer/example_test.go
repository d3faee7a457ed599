package transfer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// A tree goes to a node over a link in memory. Over a network, Dial is a call of package fasp and whatever
// proves who the client is.
func Example() {
	tmp, err := os.MkdirTemp("", "transfer-example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(tmp)
	src, docroot := filepath.Join(tmp, "photos"), filepath.Join(tmp, "docroot")
	_ = os.MkdirAll(filepath.Join(src, "2026"), 0o755)
	_ = os.Mkdir(docroot, 0o755)
	_ = os.WriteFile(filepath.Join(src, "2026", "cat.jpg"), []byte("a cat"), 0o644)
	_ = os.WriteFile(filepath.Join(src, "notes.txt"), []byte("of 2026"), 0o644)

	store, err := transfer.OpenDir(docroot)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	served := make(chan error, 1)
	cfg := transfer.Config{
		Dial: func(context.Context, *transfer.Spec) (fasp.Session, error) {
			client, server := transfertest.Pair(transfertest.Options{})
			go func() {
				served <- transfer.Serve(context.Background(), server, transfer.ServeConfig{Store: store, Limits: transfer.Limits{Write: true}})
			}()
			return client, nil
		},
	}
	result, err := transfer.Run(context.Background(), cfg, transfer.Spec{
		Direction:   transfer.Send,
		Paths:       []transfer.Path{{Source: src}},
		Destination: "inbox",
		CreateDir:   true,
	})
	fmt.Println(err, <-served)
	fmt.Println(result.FilesDone, "files,", result.Folders, "folders,", result.BytesSent, "bytes")
	b, _ := os.ReadFile(filepath.Join(docroot, "inbox/photos/2026/cat.jpg"))
	fmt.Printf("%s\n", b)
	// Output:
	// <nil> <nil>
	// 2 files, 2 folders, 12 bytes
	// a cat
}
