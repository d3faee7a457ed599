// Command copy-bucket copies everything below one place in an object store to another: within the store where both are in
// one, else through this machine's memory, in parts that are read and written in parallel.
//
//	copy-bucket -credentials FILE s3://HOST/BUCKET/PREFIX s3://HOST/OTHER/PREFIX
//
// FILE is a credentials file as the tools of Amazon use it; the two places may have sections of their own in it (-from,
// -to). Objects that are there already, with the same size and time, are left out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/s3"
)

func main() {
	log.SetFlags(0)
	credentials := flag.String("credentials", "", "credentials `file`")
	from := flag.String("from", "", "`section` of the file for the source")
	to := flag.String("to", "", "`section` of the file for the destination")
	flag.Parse()
	if *credentials == "" || flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: copy-bucket -credentials FILE SOURCE-URI DESTINATION-URI")
		flag.PrintDefaults()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	src := place{flag.Arg(0), s3.File{Path: *credentials, Profile: *from}}
	dst := place{flag.Arg(1), s3.File{Path: *credentials, Profile: *to}}
	if err := run(ctx, src, dst); err != nil {
		stop()
		log.Fatal(err)
	}
}

type place struct {
	uri         string
	credentials s3.Credentials
}

func (p place) open(ctx context.Context, pool *objstore.Pool) (*objstore.Bucket, string, error) {
	schemes := objstore.Schemes{
		"s3": s3.Opener(func(context.Context, objstore.URI) (s3.Config, error) {
			return s3.Config{Credentials: p.credentials}, nil
		}),
	}
	return schemes.OpenBucket(ctx, p.uri, objstore.Config{Pool: pool})
}

func run(ctx context.Context, from, to place) error {
	pool := objstore.NewPool(1 << 30) // the memory of both sides together
	src, srcPrefix, err := from.open(ctx, pool)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, dstPrefix, err := to.open(ctx, pool)
	if err != nil {
		return err
	}
	defer dst.Close()

	var copied, kept, bytes atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for o, err := range src.List(gctx, objstore.ListOptions{Prefix: srcPrefix}) {
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		g.Go(func() error {
			key := dstPrefix + strings.TrimPrefix(o.Key, srcPrefix)
			same, err := there(gctx, src, o, dst, key)
			if err != nil || same {
				kept.Add(1)
				return err
			}
			// The ETag pins the version that was listed: an object that changes meanwhile is an error, not a mixture.
			if _, err := objstore.Copy(gctx, dst, key, src, o.Key, objstore.CopyOptions{ETag: o.ETag}); err != nil {
				return err
			}
			copied.Add(1)
			bytes.Add(o.Size)
			return nil
		})
	}
	err = g.Wait()
	fmt.Printf("%d objects, %d bytes copied; %d were there\n", copied.Load(), bytes.Load(), kept.Load())
	return err
}

// there says whether the destination has the object, by size and time.
func there(ctx context.Context, src *objstore.Bucket, o objstore.Object, dst *objstore.Bucket, key string) (bool, error) {
	have, err := dst.Stat(ctx, key)
	if errors.Is(err, objstore.ErrNotFound) || err == nil && have.Size != o.Size {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	full, err := src.Stat(ctx, o.Key) // listings do not tell the source's own time
	return err == nil && have.Mtime().Equal(full.Mtime()) && full.HasAttr && !full.Attr.Mtime.IsZero(), err
}
