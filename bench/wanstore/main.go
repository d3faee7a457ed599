// Wanstore measures what an object store behind the node costs: the same upload over the same emulated link, into a file and
// into a MinIO, in turns. With -sessions it runs several uploads at a time over one link and compares the node's memory
// with the formula of docs/protocol-transfer.md section 29.2. MinIO must be installed (internal/testservers).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tradewind-io/tradewind/internal/lab"
	"github.com/tradewind-io/tradewind/internal/testservers"
)

type options struct {
	bin, dir   string
	size, part int64
	rate       string
	rtt        time.Duration
	loss       float64
	rounds     int
	sessions   int
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder for the built programs")
	flag.StringVar(&o.dir, "dir", ".", "where to make the work folder, MinIO's data in it")
	flag.Int64Var(&o.size, "size", 1_000_000_000, "bytes of the file")
	flag.Int64Var(&o.part, "part", 16<<20, "bytes of parts")
	flag.StringVar(&o.rate, "rate", "300M", "rate of the link")
	flag.DurationVar(&o.rtt, "rtt", 100*time.Millisecond, "round trip")
	flag.Float64Var(&o.loss, "loss", 0.01, "loss, each way")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of a file and a store each")
	flag.IntVar(&o.sessions, "sessions", 0, "measure memory with so many uploads at a time instead")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "wanstore:", err)
		os.Exit(1)
	}
}

const bucket = "wanstore"

func run(ctx context.Context, o options) (err error) {
	if err := lab.Build(ctx, o.bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "tradewind-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := testservers.Start(ctx, testservers.MinIOName, testservers.Options{Dir: filepath.Join(dir, "minio")})
	if err != nil {
		return err
	}
	defer s.Stop()
	if err := s.NewBucket(ctx, bucket); err != nil {
		return err
	}
	bits, err := lab.ParseBits(o.rate)
	if err != nil {
		return err
	}
	b := &bench{
		options: o, l: &lab.Lab{Bin: o.bin, Dir: dir, Env: []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey}}, link: lab.Link{Rate: bits, RTT: o.rtt, Loss: o.loss, Queue: 100 * time.Millisecond},
		uri:     fmt.Sprintf("s3://%s/%s/root?insecure=true&profile=minio&part-size=%d", s.Endpoint, bucket, o.part),
		docroot: filepath.Join(dir, "docroot"), source: filepath.Join(dir, "source.bin"),
	}
	if err := errors.Join(os.Mkdir(b.docroot, 0o755), lab.WriteFile(b.source, o.size, 1)); err != nil {
		return err
	}
	if o.sessions > 0 {
		return b.memory(ctx)
	}
	return b.compare(ctx)
}

type bench struct {
	options
	l               *lab.Lab
	link            lab.Link
	uri             string
	docroot, source string
}

// compare uploads into a file and into the store in turns.
func (b *bench) compare(ctx context.Context) error {
	var file, store []float64
	for i := range b.rounds {
		for _, root := range []string{b.docroot, b.uri} {
			u, loss, err := b.upload(ctx, root, uint64(i+1))
			if err != nil {
				return err
			}
			bound := lab.Bound(b.size, b.link.Rate, b.link.RTT, loss).Seconds()
			what := "file"
			if root == b.uri {
				what = "store"
				store = append(store, u.Wall.Seconds())
			} else {
				file = append(file, u.Wall.Seconds())
			}
			fmt.Printf("round %d, %-5s  %7.3f s, %.3f x the bound\n", i+1, what, u.Wall.Seconds(), u.Wall.Seconds()/bound)
		}
	}
	f, s := median(file), median(store)
	fmt.Printf("medians: file %.3f s, store %.3f s, ratio %.3f (to reach: 1.08)\n", f, s, s/f)
	return nil
}

// upload sends the source to a new node on root.
func (b *bench) upload(ctx context.Context, root string, seed uint64) (u lab.Usage, loss float64, err error) {
	node, err := b.l.StartNode(ctx, root)
	if err != nil {
		return u, 0, err
	}
	defer node.Stop()
	k := b.link
	k.Seed = seed
	relay, err := b.l.StartRelay(ctx, node.Addr, k)
	if err != nil {
		return u, 0, err
	}
	cmd, err := b.l.Copy(ctx, node, relay.Addr, "-q", "--overwrite", "always", "-k", "0", "--policy", "fixed", "-l", b.rate, b.source, "NODE:/big.bin")
	if err != nil {
		return u, 0, err
	}
	u, err = lab.Run(cmd)
	s, serr := relay.Stop()
	if err == nil {
		err = b.check(ctx, root)
	}
	return u, s.LossForward, errors.Join(err, serr)
}

// check compares what arrived, and removes it.
func (b *bench) check(ctx context.Context, root string) error {
	got := filepath.Join(b.docroot, "big.bin")
	if root == b.uri {
		got = filepath.Join(b.l.Dir, "back.bin")
		if err := b.l.Twcp(ctx, "-q", "--overwrite", "always", "-k", "0", lab.JoinURI(b.uri, "big.bin"), "file://"+got).Run(); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
	}
	if err := lab.SameFile(b.source, got); err != nil {
		return err
	}
	return os.Remove(got)
}

// memory runs uploads at the same time and looks at the node's memory.
func (b *bench) memory(ctx context.Context) error {
	pool := int64(b.sessions) * 8 * b.part
	node, err := b.l.StartNode(ctx, b.uri, "--part-memory", fmt.Sprint(pool))
	if err != nil {
		return err
	}
	relay, err := b.l.StartRelay(ctx, node.Addr, b.link)
	if err != nil {
		return err
	}
	defer relay.Stop()
	each := fmt.Sprint(int64(b.link.Rate) / int64(b.sessions) / 1000)
	g, gctx := errgroup.WithContext(ctx)
	begin := time.Now()
	for i := range b.sessions {
		g.Go(func() error {
			cmd, err := b.l.Copy(gctx, node, relay.Addr, "-q", "--policy", "fixed", "-l", each, b.source, fmt.Sprintf("NODE:/big%d.bin", i))
			if err != nil {
				return err
			}
			cmd.Env = append(cmd.Env, fmt.Sprintf("XDG_STATE_HOME=%s/client-%d", b.l.Dir, i))
			return cmd.Run()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	took := time.Since(begin)
	for i := range b.sessions {
		got := filepath.Join(b.l.Dir, "back.bin")
		if err := b.l.Twcp(ctx, "-q", "--overwrite", "always", "-k", "0", lab.JoinURI(b.uri, fmt.Sprintf("big%d.bin", i)), "file://"+got).Run(); err != nil {
			return err
		}
		if err := lab.SameFile(b.source, got); err != nil {
			return err
		}
	}
	u, err := node.Stop()
	if err != nil {
		return err
	}
	fmt.Printf("%d sessions of %d bytes over %s, %s, %.0f %%: %.1f s, node at its peak %.1f MiB; the formula gives %.1f MiB of parts (8 x %.0f MiB a session)\n",
		b.sessions, b.size, b.rate, b.rtt, b.loss*100, took.Seconds(), float64(u.MaxRSS)/(1<<20), float64(pool)/(1<<20), float64(b.part)/(1<<20))
	return nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
