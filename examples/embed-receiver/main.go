// Command embed-receiver is a program of its own that receives files: a Tradewind node as a part of it, on one page.
//
//	embed-receiver -dir FOLDER -state FOLDER [-listen 127.0.0.1:0]
//
// It makes an access key that can only upload, writes it to STATE/credential, says where it listens, and prints each file
// that has arrived. SIGINT and SIGTERM end it once running transfers have finished.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", "", "`folder` that receives, made if needed")
	state := flag.String("state", "", "`folder` for identity and credential, made if needed; not in the other")
	listen := flag.String("listen", "127.0.0.1:0", "UDP `address`")
	flag.Parse()
	if *dir == "" || *state == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: embed-receiver -dir FOLDER -state FOLDER [-listen ADDRESS]")
		flag.PrintDefaults()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := receive(ctx, *dir, *state, *listen); err != nil {
		stop()
		log.Fatal(err)
	}
}

func receive(ctx context.Context, dir, state, listen string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	keys, err := uploadKey(ctx, state)
	if err != nil {
		return err
	}
	n, err := node.New(node.Config{
		DocRoot:  dir,
		StateDir: state,
		Listen:   listen,
		Keys:     keys,
		MaxRate:  1 * fasp.Gbps,
		Events: func(e transfer.Event) { // this is where your program takes over
			if e.Kind == transfer.EventFileDone && !e.File.Folder {
				fmt.Printf("received %s, %d bytes\n", e.File.Name, e.File.Size)
			}
		},
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-n.Ready():
		fmt.Println("listening", n.Addr(), n.Fingerprint())
	}
	return <-ended
}

// uploadKey makes a key that is good as long as this process lives.
func uploadKey(ctx context.Context, state string) (accesskey.Store, error) {
	cred, err := accesskey.Generate("uploader")
	if err != nil {
		return nil, err
	}
	key, _, err := accesskey.NewKey(cred)
	if err != nil {
		return nil, err
	}
	key.Rights = accesskey.Rights{Write: true}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	err = os.WriteFile(filepath.Join(state, "credential"), []byte(cred.ID+":"+cred.Secret+"\n"), 0o600)
	if err != nil {
		return nil, err
	}
	keys := &accesskey.MemStore{}
	return keys, keys.Put(ctx, key)
}
