// Iosize measures what the sizes of reads and of writes do: twcp -g and -G beside their defaults, one file from a node's place to another on the same file
// system over bare loopback. With -direct it measures writing and reading a file with O_DIRECT beside the page cache, without any transfer.
// Variants run in turns, and medians count.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
)

type options struct {
	bin, dir, sizes, durability string
	size                        int64
	runs                        int
	direct, cold                bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder for the built programs")
	flag.StringVar(&o.dir, "dir", ".", "where to make the work folder: the file system that is measured")
	flag.StringVar(&o.sizes, "sizes", "16K,64K,256K,1M,4M", "values of -g and of -G to compare with the default")
	flag.StringVar(&o.durability, "durability", "file", "value of --durability")
	flag.Int64Var(&o.size, "size", 0, "size of the file in bytes (default 1,000,000,000, with -direct 2 GiB)")
	flag.IntVar(&o.runs, "runs", 3, "runs of each variant")
	flag.BoolVar(&o.direct, "direct", false, "measure O_DIRECT instead")
	flag.BoolVar(&o.cold, "cold", false, "drop the source from the page cache before each run (Linux)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "iosize:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.runs < 1 {
		return fmt.Errorf("-runs %d: want at least 1", o.runs)
	}
	dir, err := os.MkdirTemp(o.dir, "tradewind-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.direct {
		o.size = cmp.Or(o.size, 2<<30)
		return direct(ctx, filepath.Join(dir, "file"), o.size, o.runs)
	}
	o.size = cmp.Or(o.size, 1_000_000_000)
	if err := lab.Build(ctx, o.bin); err != nil {
		return err
	}
	return transfers(ctx, o, dir)
}

// variant is a way to send the file.
type variant struct {
	name  string
	flags []string
	runs  []lab.Usage
}

func transfers(ctx context.Context, o options, dir string) (err error) {
	list := []*variant{{name: "default"}}
	for _, option := range []string{"-g", "-G"} {
		for size := range strings.SplitSeq(o.sizes, ",") {
			list = append(list, &variant{name: option + " " + size, flags: []string{option, size}})
		}
	}
	l := lab.Lab{Bin: o.bin, Dir: dir}
	docroot, source := filepath.Join(dir, "docroot"), filepath.Join(dir, "source")
	if err := os.Mkdir(docroot, 0o755); err != nil {
		return err
	}
	if err := lab.WriteFile(source, o.size, 1); err != nil {
		return err
	}
	node, err := l.StartNode(ctx, docroot)
	if err != nil {
		return err
	}
	defer func() {
		_, serr := node.Stop()
		err = errors.Join(err, serr)
	}()
	for round := range o.runs {
		for i := range list {
			v := list[(i+round)%len(list)] // begun by another one each time
			u, err := once(ctx, o, l, node, source, docroot, v.flags)
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			v.runs = append(v.runs, u)
		}
	}
	fmt.Println("| | seconds (runs) | time beside the default | CPU of twcp beside it |\n|---|---|---|---|")
	for _, v := range list {
		fmt.Printf("| %s | %.2f (%s) | %.2f | %.2f |\n", v.name, v.wall(), v.each(), v.wall()/list[0].wall(), v.cpu()/list[0].cpu())
	}
	return nil
}

// once sends the file by a twcp that does not know the path, and looks whether it arrived.
func once(ctx context.Context, o options, l lab.Lab, node *lab.Node, source, docroot string, flags []string) (u lab.Usage, err error) {
	if err := os.RemoveAll(filepath.Join(l.Dir, "client-state")); err != nil {
		return u, err
	}
	if o.cold {
		if err := dropCache(source); err != nil {
			return u, err
		}
	}
	args := append([]string{"-q", "--compression=off", "--durability=" + o.durability}, flags...)
	cmd, err := l.Copy(ctx, node, node.Addr, append(args, source, "NODE:/in")...)
	if err != nil {
		return u, err
	}
	if u, err = lab.Run(cmd); err != nil {
		return u, err
	}
	copied := filepath.Join(docroot, "in")
	if err := lab.SameFile(source, copied); err != nil {
		return u, fmt.Errorf("what arrived differs: %w", err)
	}
	return u, os.Remove(copied)
}

func (v *variant) wall() float64 {
	return median(v.runs, func(u lab.Usage) time.Duration { return u.Wall })
}

func (v *variant) cpu() float64 {
	return median(v.runs, func(u lab.Usage) time.Duration { return u.CPU })
}

func (v *variant) each() string {
	var s []string
	for _, u := range v.runs {
		s = append(s, fmt.Sprintf("%.2f", u.Wall.Seconds()))
	}
	return strings.Join(s, ", ")
}

// median returns that of what of gives, in seconds.
func median[T any](list []T, of func(T) time.Duration) float64 {
	var all []time.Duration
	for _, v := range list {
		all = append(all, of(v))
	}
	slices.Sort(all)
	return all[len(all)/2].Seconds()
}
