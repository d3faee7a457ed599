//go:build linux

// Files measures trees of very many small files: twcp to twnode beside a parallel copy on the same disk, rsync and rclone over
// SSH, on loopback or over an emulated link between two network namespaces (as root). All run in turns in one run of the
// program; ratios are to the local copy of the same round. Times are from process start to the end, data synced to disk.
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
)

type options struct {
	bin, dir, sizes, contenders, link, rate, policy, image, out string
	files, perFolder, rounds, workers                           int
	rtt                                                         time.Duration
	loss                                                        float64
	download, dropCaches, verbose                               bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == copyRole {
		if err := copyMain(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "files:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder for the built programs")
	flag.StringVar(&o.dir, "dir", ".", "where to make the work folder: the disk that is measured")
	flag.StringVar(&o.image, "image", "", "bytes, such as 20G, of a new ext4 in a file in the work folder, in which all is done (root); empty: the work folder itself,\nwhere ext4 is slow for half a minute after files were removed")
	flag.IntVar(&o.files, "files", 200_000, "files in the tree")
	flag.StringVar(&o.sizes, "sizes", "1024,4096,10240", "their sizes in bytes, a tree each; 0 is empty files")
	flag.IntVar(&o.perFolder, "per-folder", 1000, "files in a folder; folders stand 100 in a folder")
	flag.StringVar(&o.contenders, "run", "copy,tradewind", "what to run, in this order in each round: "+strings.Join(contenderNames(), ", ")+
		".\ncopy: workers create each file under its final name, one syncfs at the end; copy-rename keeps the promises of\ndurability session: temporary names, syncfs, rename, syncfs")
	flag.StringVar(&o.link, "link", "loopback", "loopback, or tun: two network namespaces and an emulated link between them, which needs root. copies are local in both")
	flag.StringVar(&o.rate, "rate", "", "bit/s of the link, and of policy fixed; empty: 1G for tun, and 10G for policy fixed on loopback")
	flag.DurationVar(&o.rtt, "rtt", 300*time.Millisecond, "round trip of tun")
	flag.Float64Var(&o.loss, "loss", 1, "loss of tun in percent, each way")
	flag.StringVar(&o.policy, "policy", "fixed", "rate policy of twcp")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; medians count")
	flag.IntVar(&o.workers, "workers", 4, "workers of the local copies; rclone has --transfers and --checkers of 8 times as many")
	flag.BoolVar(&o.download, "download", false, "tradewind: from the node instead of to it")
	flag.BoolVar(&o.dropCaches, "drop-caches", false, "drop the caches of the kernel before each run, of everybody on this machine (root)")
	flag.BoolVar(&o.verbose, "v", false, "print every run")
	flag.StringVar(&o.out, "out", "", "file for the results as JSON; empty writes none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "files:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (runErr error) {
	var sizes []int64
	for s := range strings.SplitSeq(o.sizes, ",") {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("-sizes: %q is no size in bytes", s)
		}
		sizes = append(sizes, n)
	}
	names := strings.Split(o.contenders, ",")
	for _, n := range names {
		if !slices.Contains(contenderNames(), n) {
			return fmt.Errorf("-run: %q is none of %s", n, strings.Join(contenderNames(), ", "))
		}
	}
	if o.files < 1 || o.perFolder < 1 || o.rounds < 1 || o.workers < 1 {
		return fmt.Errorf("-files, -per-folder, -rounds and -workers: want at least 1")
	}
	if o.link != "loopback" && o.link != "tun" {
		return fmt.Errorf("-link: %q is neither loopback nor tun", o.link)
	}
	if o.rate == "" {
		o.rate = map[string]string{"loopback": "10G", "tun": "1G"}[o.link]
	}
	if err := lab.Build(ctx, o.bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "tradewind-files-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.image != "" {
		at, unmount, err := mountImage(ctx, dir, o.image)
		if err != nil {
			return err
		}
		dir = at
		defer func() { runErr = errors.Join(runErr, unmount()) }()
	}
	b := &bench{options: o, lab: lab.Lab{Bin: o.bin, Dir: dir}}
	if b.site, err = openSite(ctx, o); err != nil {
		return err
	}
	defer b.site.close()
	r := newReport(ctx, o)
	r.printHead(os.Stdout)
	for _, size := range sizes {
		b.tree = tree{root: filepath.Join(dir, "source"), files: o.files, perFolder: o.perFolder, size: size}
		if err := b.tree.make(ctx, o.workers); err != nil {
			return err
		}
		for round := range o.rounds {
			for _, n := range names {
				v, err := b.once(ctx, n)
				if err != nil {
					return fmt.Errorf("%s, %d bytes: %w", n, size, err)
				}
				if o.verbose {
					fmt.Printf("  round %d, %s\n", round+1, v.line())
				}
				r.add(n, size, v)
				if o.out != "" { // at once: a run of all takes long
					if err := r.write(o.out); err != nil {
						return err
					}
				}
			}
		}
		r.printSize(os.Stdout, size)
		if err := os.RemoveAll(b.tree.root); err != nil {
			return err
		}
	}
	return nil
}
