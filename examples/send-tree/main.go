// Command send-tree sends a folder to a Tradewind node: the client side of the library on one page.
//
//	send-tree -to HOST:PORT -fingerprint sha256:HEX -credential FILE FOLDER
//
// FILE holds ID:SECRET of an access key. Interrupt it and start it again: it goes on where it was.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

func main() {
	log.SetFlags(0)
	to := flag.String("to", "", "`address` of the node")
	fingerprint := flag.String("fingerprint", "", "the node's `key`")
	credential := flag.String("credential", "", "`file` with ID:SECRET")
	flag.Parse()
	if *to == "" || *fingerprint == "" || *credential == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: send-tree -to HOST:PORT -fingerprint sha256:HEX -credential FILE FOLDER")
		flag.PrintDefaults()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := send(ctx, *to, *fingerprint, *credential, flag.Arg(0)); err != nil {
		stop()
		log.Fatal(err)
	}
}

func send(ctx context.Context, to, fingerprint, credential, folder string) error {
	server, err := fasp.ParseFingerprint(fingerprint)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(credential)
	if err != nil {
		return err
	}
	cred, err := accesskey.ParseCredential(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	spec := transfer.Spec{
		Host:          to, // part of what tells one job from another
		Paths:         []transfer.Path{{Source: folder}},
		Destination:   "/", // the root of the access key
		CreateDir:     true,
		PreserveTimes: true,
		Checksum:      transfer.ChecksumSHA256,
	}
	cfg := transfer.Config{
		// Run dials again after a lost link; the proof goes out at once, without waiting for an answer.
		Dial: func(ctx context.Context, spec *transfer.Spec) (fasp.Session, error) {
			conn, err := fasp.Dial(ctx, to, fasp.Config{VerifyServer: fasp.PinnedKey(server), Rates: spec.Rates})
			if err != nil {
				return nil, err
			}
			return conn, cred.Authenticate(ctx, conn)
		},
		Events: func(e transfer.Event) {
			if e.Kind == transfer.EventFileDone && !e.File.Folder {
				fmt.Printf("%x  %s\n", e.File.Digest, e.File.Name)
			}
		},
	}
	res, err := transfer.Run(ctx, cfg, spec)
	fmt.Printf("%d files, %d bytes in %v\n", res.FilesDone, res.BytesSent, res.Elapsed)
	for _, f := range res.Errors {
		fmt.Printf("%s failed: %s\n", f.Name, f.Text)
	}
	return err
}
