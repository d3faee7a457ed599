// Wan measures twcp to twnode over an emulated long-distance link, from process start to confirmed finish, against the
// physical bound. Each cell runs several times and its median counts; the peak of resident memory is printed for both ends.
package main

import (
	"context"
	"encoding/json"
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
	bin, dir, cells, policy, rate string
	size                          int64
	small                         int
	smallSize                     int64
	runs                          int
	download, verbose, warm       bool
	jsonFile                      string
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder for the built programs")
	flag.StringVar(&o.dir, "dir", ".", "where to make the work folder: a disk, not memory, for honest figures")
	flag.StringVar(&o.cells, "cells", "10/0,100/1,300/5,500/10,500/30", "RTT in ms / loss in percent, both directions")
	flag.StringVar(&o.policy, "policy", "fixed", "rate policy; fixed runs at the link's rate")
	flag.StringVar(&o.rate, "rate", "300M", "rate of the link, bit/s of IP bytes")
	flag.Int64Var(&o.size, "size", 200_000_000, "size of the file in bytes")
	flag.IntVar(&o.small, "small", 0, "send this many small files instead of one large")
	flag.Int64Var(&o.smallSize, "small-size", 4096, "size of a small file in bytes")
	flag.IntVar(&o.runs, "runs", 5, "runs of each cell")
	flag.BoolVar(&o.download, "download", false, "from the node instead of to it")
	flag.BoolVar(&o.warm, "warm", false, "let the client know the path from a run before, which is not counted; otherwise it forgets it before each")
	flag.BoolVar(&o.verbose, "v", false, "print every run")
	flag.StringVar(&o.jsonFile, "json", "", "append a JSON line for each cell to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "wan:", err)
		os.Exit(1)
	}
}

type result struct {
	Cell       string  `json:"cell"`
	Policy     string  `json:"policy"`
	Seconds    float64 `json:"seconds"`
	Bound      float64 `json:"bound"`
	Ratio      float64 `json:"ratio"`
	Mbit       float64 `json:"mbit"`
	ClientRSS  int64   `json:"client_rss"`
	ServerRSS  int64   `json:"server_rss"`
	ClientCPU  float64 `json:"client_cpu_s"`
	ServerCPU  float64 `json:"server_cpu_s"`
	LossFwd    float64 `json:"loss_forward"`
	Overruns   int64   `json:"overruns"`
	AllSeconds []float64
}

func run(ctx context.Context, o options) error {
	if err := lab.Build(ctx, o.bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "tradewind-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bits, err := lab.ParseBits(o.rate)
	if err != nil {
		return fmt.Errorf("-rate: %w", err)
	}
	l := &lab.Lab{Bin: o.bin, Dir: dir}
	source := filepath.Join(dir, "source")
	if err := os.Mkdir(source, 0o755); err != nil {
		return err
	}
	size := o.size
	if o.small > 0 {
		size = int64(o.small) * o.smallSize
		if err := lab.WriteSmall(source, o.small, o.smallSize); err != nil {
			return err
		}
	} else if err := lab.WriteFile(filepath.Join(source, "large.bin"), o.size, 1); err != nil {
		return err
	}
	fmt.Printf("%-10s %-6s %9s %9s %7s %9s %11s %11s %10s %9s\n", "ms/%", "policy", "time s", "bound s", "ratio", "Mbit/s", "client MB", "node MB", "realised %", "overruns")
	for _, c := range strings.Split(o.cells, ",") {
		ms, percent, ok := strings.Cut(c, "/")
		rtt, err1 := strconv.ParseFloat(ms, 64)
		loss, err2 := strconv.ParseFloat(percent, 64)
		if !ok || err1 != nil || err2 != nil {
			return fmt.Errorf("-cells: %q is not RTT/loss", c)
		}
		k := lab.Link{Rate: bits, RTT: time.Duration(rtt * float64(time.Millisecond)), Loss: loss / 100, Queue: 100 * time.Millisecond}
		r, err := cell(ctx, l, o, k, source, size)
		if err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
		r.Cell = c
		fmt.Printf("%-10s %-6s %9.3f %9.3f %7.3f %9.1f %11.1f %11.1f %10.2f %9d\n", c, o.policy, r.Seconds, r.Bound, r.Ratio, r.Mbit,
			float64(r.ClientRSS)/1e6, float64(r.ServerRSS)/1e6, r.LossFwd*100, r.Overruns)
		if o.jsonFile != "" {
			if err := appendJSON(o.jsonFile, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// cell runs one cell; node, link and destination are new for it, the destination for each run.
func cell(ctx context.Context, l *lab.Lab, o options, k lab.Link, source string, size int64) (r result, err error) {
	docroot := filepath.Join(l.Dir, "docroot")
	if err := os.Mkdir(docroot, 0o755); err != nil {
		return r, err
	}
	defer os.RemoveAll(docroot)
	from := source
	if o.download {
		if err := os.Rename(source, filepath.Join(docroot, "source")); err != nil {
			return r, err
		}
		defer os.Rename(filepath.Join(docroot, "source"), source)
		from = filepath.Join(docroot, "source")
	}
	node, err := l.StartNode(ctx, docroot)
	if err != nil {
		return r, err
	}
	var bounds []float64
	first := 0
	if o.warm {
		first = -1
	}
	for i := first; i < o.runs; i++ {
		if !o.warm || i < 0 {
			if err := os.RemoveAll(filepath.Join(l.Dir, "client-state", "tradewind", "paths.json")); err != nil {
				return r, err
			}
		}
		k.Seed = uint64(i + 2)
		relay, err := l.StartRelay(ctx, node.Addr, k)
		if err != nil {
			return r, err
		}
		base := filepath.Join(docroot, "in")
		args := []string{"-d", "-q", "--policy", o.policy}
		if o.policy == "fixed" {
			args = append(args, "-l", o.rate)
		}
		if o.download {
			base = filepath.Join(l.Dir, "in")
			args = append(args, "NODE:/source", base)
		} else {
			args = append(args, source, "NODE:/in")
		}
		cmd, err := l.Copy(ctx, node, relay.Addr, args...)
		if err != nil {
			return r, err
		}
		cmd.Stdout = os.Stdout
		u, err := lab.Run(cmd)
		time.Sleep(2 * k.RTT) // the client's goodbye is still on its way
		s, serr := relay.Stop()
		if err != nil {
			return r, err
		}
		if serr != nil {
			return r, serr
		}
		if _, err := lab.Compare(from, filepath.Join(base, "source")); err != nil {
			return r, fmt.Errorf("what arrived differs: %w", err)
		}
		if err := os.RemoveAll(base); err != nil {
			return r, err
		}
		if i < 0 {
			continue
		}
		if o.verbose {
			fmt.Printf("  run %d: %.3f s, CPU %.2f s, %.1f MB, loss %.4f, overruns %d\n", i+1, u.Wall.Seconds(), u.CPU.Seconds(), float64(u.MaxRSS)/1e6, s.LossForward, s.Overruns)
		}
		r.AllSeconds = append(r.AllSeconds, u.Wall.Seconds())
		bounds = append(bounds, lab.Bound(size, k.Rate, k.RTT, s.LossForward).Seconds())
		r.ClientRSS = max(r.ClientRSS, u.MaxRSS)
		r.ClientCPU += u.CPU.Seconds() / float64(o.runs)
		r.LossFwd += s.LossForward / float64(o.runs)
		r.Overruns += s.Overruns
	}
	u, err := node.Stop()
	if err != nil {
		return r, fmt.Errorf("stop the node: %w", err)
	}
	r.Policy = o.policy
	r.ServerRSS = u.MaxRSS
	r.ServerCPU = u.CPU.Seconds() / float64(o.runs)
	r.Seconds, r.Bound = median(r.AllSeconds), median(bounds)
	r.Ratio = r.Seconds / r.Bound
	r.Mbit = float64(size) * 8 / r.Seconds / 1e6
	return r, nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func appendJSON(name string, v any) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewEncoder(f).Encode(v)
}
