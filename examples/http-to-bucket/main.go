// Command http-to-bucket streams HTTP uploads into a bucket: nothing touches a disk, and memory stays within the pool however
// large an upload is and however many come at a time.
//
//	http-to-bucket -listen 127.0.0.1:8080 -bucket s3://HOST/BUCKET/PREFIX -credentials FILE
//	curl -T film.mov http://127.0.0.1:8080/film.mov
//
// FILE is a credentials file as the tools of Amazon use it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/s3"
)

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on")
	uri := flag.String("bucket", "", "`URI` of the place to store in")
	credentials := flag.String("credentials", "", "credentials `file`")
	flag.Parse()
	if *uri == "" || *credentials == "" || flag.NArg() != 0 {
		fmt.Fprintln(os.Stderr, "usage: http-to-bucket -bucket s3://HOST/BUCKET/PREFIX -credentials FILE [-listen ADDRESS]")
		flag.PrintDefaults()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *listen, *uri, *credentials); err != nil {
		stop()
		log.Fatal(err)
	}
}

func serve(ctx context.Context, listen, uri, credentials string) error {
	schemes := objstore.Schemes{
		"s3": s3.Opener(func(context.Context, objstore.URI) (s3.Config, error) {
			return s3.Config{Credentials: s3.File{Path: credentials}}, nil
		}),
	}
	// Parts of 16 MiB, 32 of them in memory at most, for all uploads together.
	bucket, prefix, err := schemes.OpenBucket(ctx, uri, objstore.Config{PartSize: 16 << 20, Pool: objstore.NewPool(512 << 20)})
	if err != nil {
		return err
	}
	defer bucket.Close()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println("listening", l.Addr())
	srv := &http.Server{Handler: upload(bucket, prefix), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return srv.Shutdown(last)
}

// upload stores the body of a PUT under its path.
func upload(bucket *objstore.Bucket, prefix string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut {
			http.Error(w, "want PUT", http.StatusMethodNotAllowed)
			return
		}
		key := path.Join(prefix, path.Clean("/"+r.URL.Path))
		o, err := bucket.Write(r.Context(), key, r.Body, objstore.CreateOptions{
			Size:       r.ContentLength, // -1 where the client does not say
			PutOptions: objstore.PutOptions{Attr: objstore.Attr{ContentType: r.Header.Get("Content-Type")}},
		})
		switch {
		case errors.Is(err, objstore.ErrDenied):
			http.Error(w, "the store does not let us", http.StatusBadGateway)
		case err != nil:
			log.Print(err) // it names operation, key, kind and cause, and no secret
			http.Error(w, "not stored", http.StatusInternalServerError)
		default:
			fmt.Fprintf(w, "%s %d %s\n", key, o.Size, o.ETag)
		}
	}
}
