// Wan measures twcp to twnode over an emulated long-distance link, from process start to confirmed finish, against the
// physical bound. Both run as they are, in two network namespaces that the link joins; without root a relay on loopback
// takes its place. Each cell runs several times in each mode and the medians count.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tradewind-io/tradewind/internal/lab"
)

type options struct {
	bin, dir, cells, modes, rate, out string
	size, smallSize                   int64
	small, runs, tries                int
	relay, download, verbose          bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder for the built programs")
	flag.StringVar(&o.dir, "dir", ".", "where to make the work folder: a disk, not memory, for honest figures")
	flag.StringVar(&o.cells, "cells", "10/0,100/1,300/5,500/10,500/30,1000/0,1000/10,1000/30", "RTT in ms / loss in percent, both directions")
	flag.StringVar(&o.modes, "modes", "fixed,fair-cold,fair-warm", "rate policies, each with -cold, which may be left away, or -warm; fixed runs at the link's rate.\n"+
		"cold: the path is unknown, because twcp's paths.json (what paths were seen to take) and tickets.json (with which a\nsession begins a round trip sooner) are removed before each run; warm: both are kept from a run before, which does not count")
	flag.StringVar(&o.rate, "rate", "300M", "rate of the link, bit/s of IP bytes")
	flag.Int64Var(&o.size, "size", 200_000_000, "size of the file in bytes")
	flag.IntVar(&o.small, "small", 0, "send this many small files instead of one large")
	flag.Int64Var(&o.smallSize, "small-size", 4096, "size of a small file in bytes")
	flag.IntVar(&o.runs, "runs", 5, "runs of each cell in each mode")
	flag.IntVar(&o.tries, "tries", 3, "how often a run is made while the emulator was late for more than 2 % of the packets")
	flag.BoolVar(&o.relay, "relay", false, "use the UDP relay on loopback, which needs no root, instead of TUN devices")
	flag.BoolVar(&o.download, "download", false, "from the node instead of to it")
	flag.BoolVar(&o.verbose, "v", false, "print every run")
	flag.StringVar(&o.out, "out", filepath.Join("bench", "results", "wan.json"), "file for the results; empty writes none")
	flag.Parse()
	// Whatever asks it to end, namespaces and devices are to be removed; a broken pipe of the output, too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "wan:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	modes, err := parseModes(o.modes)
	if err != nil {
		return fmt.Errorf("-modes: %w", err)
	}
	cells, err := parseCells(o.cells)
	if err != nil {
		return fmt.Errorf("-cells: %w", err)
	}
	bits, err := lab.ParseBits(o.rate)
	if err != nil {
		return fmt.Errorf("-rate: %w", err)
	}
	if o.runs < 1 || o.tries < 1 {
		return fmt.Errorf("-runs %d, -tries %d: want at least 1", o.runs, o.tries)
	}
	if !o.relay {
		if why := tryTun(ctx); why != nil {
			fmt.Fprintf(os.Stderr, "wan: THE LINK IS THE UDP RELAY ON LOOPBACK, not TUN: %v\n", why)
			o.relay = true
		}
	}
	if err := lab.Build(ctx, o.bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "tradewind-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, lab: lab.Lab{Bin: o.bin, Dir: dir}, source: filepath.Join(dir, "source"), bytes: o.size}
	if err := os.Mkdir(b.source, 0o755); err != nil {
		return err
	}
	if o.small > 0 {
		b.bytes = int64(o.small) * o.smallSize
		err = lab.WriteSmall(b.source, o.small, o.smallSize)
	} else {
		err = lab.WriteFile(filepath.Join(b.source, "large.bin"), o.size, 1)
	}
	if err != nil {
		return err
	}
	r := report{Command: strings.Join(append([]string{"wan"}, os.Args[1:]...), " "), At: lab.Commit(ctx), Front: "tun", RateMbit: bits / 1e6, QueueMs: queue.Seconds() * 1e3, Bytes: b.bytes, Files: max(1, o.small)}
	if o.relay {
		r.Front = "relay"
	}
	fmt.Printf("over %s, commit %s, %d bytes in %d files at %s\n", r.Front, r.At, r.Bytes, r.Files, o.rate)
	for _, c := range cells {
		for _, m := range modes {
			v, err := b.measure(ctx, c, m, bits)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c, m, err)
			}
			v.printLine()
			r.Results = append(r.Results, v)
			if o.out != "" { // at once: a run of all takes long
				if err := r.write(o.out); err != nil {
					return err
				}
			}
		}
	}
	r.print(os.Stdout, modes)
	return nil
}
