package mgmt_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/fasp/transfer/mgmt"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// The application's side: it reads frames until the connection ends, and shows the files and how it ended. An application would listen on a
// TCP port and start twcp -M with that port; here both are in one program, and so is the node.
func Example() {
	app, client := net.Pipe()
	go work(client)

	r := mgmt.NewReader(app)
	for {
		f, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(err)
		}
		switch f.Type {
		case "INIT":
			direction, _ := f.Get("Direction")
			fmt.Println("ready:", direction)
		case "STOP":
			name, _ := f.Get("File")
			size, _ := f.Get("Size")
			fmt.Println(name, size)
		case "DONE", "ERROR":
			done, _ := f.Get("FileBytes")
			fmt.Println(f.Type, done)
		}
	}
	// Output:
	// ready: Send
	// photos/cat.jpg 5
	// DONE 5
}

// work is the program that the application has started.
func work(conn net.Conn) {
	defer conn.Close()
	tmp, err := os.MkdirTemp("", "mgmt-example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(tmp)
	src, docroot := filepath.Join(tmp, "photos"), filepath.Join(tmp, "docroot")
	_ = os.Mkdir(src, 0o755)
	_ = os.Mkdir(docroot, 0o755)
	_ = os.WriteFile(filepath.Join(src, "cat.jpg"), []byte("a cat"), 0o644)
	store, err := transfer.OpenDir(docroot)
	if err != nil {
		panic(err)
	}
	defer store.Close()

	spec := transfer.Spec{Paths: []transfer.Path{{Source: src}}, Destination: "/", CreateDir: true}
	port := mgmt.NewPort(conn, mgmt.Config{Spec: spec})
	if err := port.Init(); err != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-port.Gone():
			cancel()
		case <-ctx.Done():
		}
	}()
	served := make(chan error, 1)
	cfg := transfer.Config{Events: port.Event, Dial: func(context.Context, *transfer.Spec) (fasp.Session, error) {
		client, server := transfertest.Pair(transfertest.Options{})
		go func() {
			served <- transfer.Serve(context.Background(), server, transfer.ServeConfig{Store: store, Limits: transfer.Limits{Write: true}})
		}()
		return client, nil
	}}
	result, err := transfer.Run(ctx, cfg, spec)
	<-served
	if err := port.Finish(result, err, transfer.CodeASCP, ""); err != nil {
		fmt.Println(err)
	}
}
