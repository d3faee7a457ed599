// Command share-app is an application with tenants on one page: each tenant gets an access key of the node, a user uploads with a token that the application asked for, and the node
// hands the file over to another tenant by a job of its own. The application never sees the data.
//
//	share-app -api https://HOST:9092 -ca FILE -login FILE -from TENANT -to TENANT FILE
//
// The file of -ca is the node's api.crt; the one of -login holds NAME:PASSWORD of a user of the node.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

func main() {
	log.SetFlags(0)
	address := flag.String("api", "", "`URL` of the node's API")
	ca := flag.String("ca", "", "`file` with the certificate of the node's API")
	login := flag.String("login", "", "`file` with NAME:PASSWORD of a user of the node")
	from := flag.String("from", "", "`tenant` who sends")
	to := flag.String("to", "", "`tenant` who gets it")
	flag.Parse()
	if *address == "" || *ca == "" || *login == "" || *from == "" || *to == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: share-app -api URL -ca FILE -login FILE -from TENANT -to TENANT FILE")
		flag.PrintDefaults()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := share(ctx, *address, *ca, *login, *from, *to, flag.Arg(0)); err != nil {
		stop()
		log.Fatal(err)
	}
}

func share(ctx context.Context, address, ca, login, from, to, file string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	text, err := os.ReadFile(login)
	if err != nil {
		return err
	}
	user, err := accesskey.ParseCredential(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	node := func(c accesskey.Credential) *api.Client {
		return &api.Client{URL: address, Authorization: c.Token(), HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
	}

	// A key for each tenant, bound to a folder of its own. A real application keeps the secrets; here the keys go when it ends.
	keys := map[string]accesskey.Credential{}
	for _, tenant := range []string{from, to} {
		storage, err := json.Marshal(map[string]string{"type": "local", "path": "/tenants/" + tenant})
		if err != nil {
			return err
		}
		k, err := node(user).CreateAccessKey(ctx, api.AccessKeyRequest{Storage: storage, Tradewind: &api.KeySettings{Tenant: &tenant}})
		if err != nil {
			return err
		}
		defer func() {
			if err := node(user).DeleteAccessKey(context.WithoutCancel(ctx), k.ID); err != nil {
				log.Print(err)
			}
		}()
		keys[tenant] = accesskey.Credential{ID: k.ID, Secret: k.Secret}
	}

	// What the sender's own program does: it gets a token for one folder and one direction, and the address and key of the node.
	spec, err := node(keys[from]).UploadSetup(ctx, api.TransferRequest{DestinationRoot: "/outbox"})
	if err != nil {
		return err
	}
	if err := upload(ctx, address, spec, file); err != nil {
		return err
	}

	// The node copies it into the other tenant's place. It goes on if the application ends, and if the node is started again.
	host, err := url.Parse(address)
	if err != nil {
		return err
	}
	job, err := node(keys[from]).StartTransfer(ctx, map[string]any{
		"direction": "send", "remote_host": host.Hostname(), "fasp_port": spec.FaspPort, "sshfp": spec.HostFingerprint, "token": keys[to].Token(), "destination_root": "/inbox/", "tags": map[string]string{"from": from},
		"paths": []any{map[string]string{"source": "/outbox/" + filepath.Base(file)}},
	})
	if err != nil {
		return err
	}
	for !job.Status.Over() {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if job, err = node(keys[from]).Transfer(ctx, job.ID); err != nil {
			return err
		}
	}
	fmt.Printf("%s: %d bytes from %s to %s\n", job.Status, job.BytesTransferred, from, to)
	if job.Status != api.Completed {
		return errors.New(job.ErrorDesc)
	}
	list, err := node(keys[to]).Browse(ctx, api.Browse{Path: "/inbox"})
	for _, f := range list.Items {
		fmt.Printf("inbox of %s: %s, %d bytes\n", to, f.Basename, f.Size)
	}
	return err
}

// upload sends the file with a token.
func upload(ctx context.Context, address string, s api.TransferSpec, file string) error {
	token, err := accesskey.ParseOpener(s.Token)
	if err != nil {
		return err
	}
	server, err := fasp.ParseFingerprint(s.HostFingerprint)
	if err != nil {
		return err
	}
	at, err := url.Parse(address)
	if err != nil {
		return err
	}
	dial := func(ctx context.Context, _ *transfer.Spec) (fasp.Session, error) {
		return fasp.Dial(ctx, net.JoinHostPort(at.Hostname(), strconv.Itoa(s.FaspPort)), fasp.Config{
			VerifyServer: fasp.PinnedKey(server), Opening: func(x fasp.Exporter) ([]byte, error) { return token.Opening(x) },
		})
	}
	_, err = transfer.Run(ctx, transfer.Config{Dial: dial}, transfer.Spec{Host: at.Host, Paths: []transfer.Path{{Source: file}}, Destination: "/outbox", CreateDir: true})
	return err
}
