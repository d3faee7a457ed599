package transfer_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// What is at a node is looked at and arranged over a session whose credentials allow it.
func ExampleManage() {
	tmp, err := os.MkdirTemp("", "manage-example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(tmp)
	_ = os.WriteFile(filepath.Join(tmp, "draft.txt"), []byte("words"), 0o644)
	store, err := transfer.OpenDir(tmp)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	client, server := transfertest.Pair(transfertest.Options{})
	served := make(chan error, 1)
	go func() {
		served <- transfer.Serve(context.Background(), server, transfer.ServeConfig{Store: store, Limits: transfer.Limits{List: true, Write: true, Delete: true}})
	}()

	ctx := context.Background()
	r, err := transfer.Manage(ctx, client)
	if err != nil {
		panic(err)
	}
	_, err = r.Rename(ctx, "draft.txt", "2026/final.txt", false)
	fmt.Println("renamed:", err)
	for in, err := range r.List(ctx, ".", transfer.WalkOptions{Deep: true, Match: "FINAL"}) {
		fmt.Println(in.Name, in.Size, err)
	}
	_, err = r.Stat(ctx, "draft.txt")
	fmt.Println(err)
	fmt.Println(r.Close(), <-served)
	// Output:
	// renamed: <nil>
	// 2026/final.txt 5 <nil>
	// "draft.txt": no such file or directory (code 4)
	// <nil> <nil>
}
