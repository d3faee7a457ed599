package node_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Two nodes with settings of their own live in one process, and a file goes to each of them.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "hello.txt")
	must(os.WriteFile(source, []byte("hello"), 0o644))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	for _, name := range []string{"left", "right"} {
		cred, err := accesskey.Generate("")
		must(err)
		key, _, err := accesskey.NewKey(cred)
		must(err)
		keys := &accesskey.MemStore{} // without it the node keeps keys in its state folder
		must(keys.Put(ctx, key))
		docroot := filepath.Join(dir, name)
		must(os.Mkdir(docroot, 0o755))
		n, err := node.New(node.Config{DocRoot: docroot, StateDir: filepath.Join(dir, name+"-state"), Listen: "127.0.0.1:0", Keys: keys})
		must(err)
		go func() { ended <- n.Run(ctx) }()
		<-n.Ready()

		dial := func(ctx context.Context, spec *transfer.Spec) (fasp.Session, error) {
			conn, err := fasp.Dial(ctx, n.Addr().String(), fasp.Config{VerifyServer: fasp.PinnedKey(n.Fingerprint()), Rates: spec.Rates})
			if err != nil {
				return nil, err
			}
			return conn, cred.Authenticate(ctx, conn)
		}
		res, err := transfer.Run(ctx, transfer.Config{Dial: dial}, transfer.Spec{Paths: []transfer.Path{{Source: source}}, Destination: "/"})
		must(err)
		data, err := os.ReadFile(filepath.Join(docroot, "hello.txt"))
		must(err)
		fmt.Printf("%s: %d file, %q\n", name, res.FilesDone, data)
	}
	stop()
	must(<-ended)
	must(<-ended)
	// Output:
	// left: 1 file, "hello"
	// right: 1 file, "hello"
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
