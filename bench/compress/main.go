// Compress measures what --compression=auto does for twcp to twnode beside off: content that compresses, that does not, and a mixture, over a
// relay that emulates a link and over bare loopback. Each cell runs several times in turns and the medians count.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
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
	bin, dir, cells, modes, out string
	size, loopback              int64
	runs                        int
	verbose                     bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder for the built programs")
	flag.StringVar(&o.dir, "dir", ".", "where to make the work folder")
	flag.StringVar(&o.cells, "cells", "text/100M/20,text/100M/100,mixed/100M/20,random/100M/20,text/1G/20,random/1G/20,random/0/0,text/0/0",
		"content (text, random, mixed) / rate of the link, 0 is bare loopback / RTT in ms")
	flag.StringVar(&o.modes, "modes", "off,auto", "values of --compression to compare; the first is what the others are held against")
	flag.Int64Var(&o.size, "size", 200_000_000, "size of the file in bytes, for links up to 100M; five times as much above")
	flag.Int64Var(&o.loopback, "loopback", 2_000_000_000, "the same for bare loopback")
	flag.IntVar(&o.runs, "runs", 3, "runs of each cell in each mode")
	flag.BoolVar(&o.verbose, "v", false, "print every run")
	flag.StringVar(&o.out, "out", "", "file for the results as JSON; empty writes none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compress:", err)
		os.Exit(1)
	}
}

// cell is what is sent over what.
type cell struct {
	kind string
	rate float64 // bit/s, 0 = bare loopback
	rtt  time.Duration
}

func (c cell) String() string {
	if c.rate == 0 {
		return c.kind + ", loopback"
	}
	return fmt.Sprintf("%s, %g Mbit/s, %v", c.kind, c.rate/1e6, c.rtt)
}

func parseCells(s string) (cells []cell, err error) {
	for name := range strings.SplitSeq(s, ",") {
		f := strings.Split(name, "/")
		if len(f) != 3 {
			return nil, fmt.Errorf("-cells: %q is not CONTENT/RATE/RTT", name)
		}
		c := cell{kind: f[0]}
		if _, err := content(c.kind); err != nil {
			return nil, fmt.Errorf("-cells: %w", err)
		}
		if f[1] != "0" {
			if c.rate, err = lab.ParseBits(f[1]); err != nil {
				return nil, fmt.Errorf("-cells: %w", err)
			}
		}
		ms, err := strconv.Atoi(f[2])
		if err != nil || ms < 0 {
			return nil, fmt.Errorf("-cells: %q is no round trip in ms", f[2])
		}
		c.rtt = time.Duration(ms) * time.Millisecond
		cells = append(cells, c)
	}
	return cells, nil
}

// report is the file of results.
type report struct {
	Command string   `json:"command"`
	At      string   `json:"at"` // commit
	Results []result `json:"results"`
}

// result is a cell in one mode.
type result struct {
	Content   string    `json:"content"`
	RateMbit  float64   `json:"rate_mbit"` // 0 = bare loopback
	RTTms     float64   `json:"rtt_ms"`
	Mode      string    `json:"mode"`
	Bytes     int64     `json:"bytes"`
	OnWire    int64     `json:"bytes_on_wire"` // of the last run
	Seconds   []float64 `json:"seconds"`       // every run, from the process's start to its end
	ClientCPU float64   `json:"client_cpu_s"`  // a run
	Mbit      float64   `json:"mbit"`          // of content, by the median
	Speedup   float64   `json:"speedup"`       // by the medians, over the first mode
}

func run(ctx context.Context, o options) error {
	cells, err := parseCells(o.cells)
	if err != nil {
		return err
	}
	if o.runs < 1 {
		return fmt.Errorf("-runs %d: want at least 1", o.runs)
	}
	if err := lab.Build(ctx, o.bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "tradewind-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	all := report{Command: strings.Join(append([]string{"compress"}, os.Args[1:]...), " "), At: lab.Commit(ctx)}
	fmt.Println("| content, link | mode | goodput (runs) | beside " + strings.Split(o.modes, ",")[0] + " | on the wire | CPU of twcp |\n|---|---|---|---|---|---|")
	for _, c := range cells {
		list, err := measure(ctx, o, dir, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
		for _, r := range list {
			fmt.Printf("| %s | %s | %.0f Mbit/s (%s) | %.2f | %.3f | %.2f s/GB |\n", c, r.Mode, r.Mbit, r.each(), r.Speedup, float64(r.OnWire)/float64(r.Bytes), r.ClientCPU/float64(r.Bytes)*1e9)
		}
		all.Results = append(all.Results, list...)
		if o.out != "" {
			if err := lab.WriteJSON(o.out, all); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *result) each() string {
	var s []string
	for _, v := range r.Seconds {
		s = append(s, fmt.Sprintf("%.0f", float64(r.Bytes)*8/v/1e6))
	}
	return strings.Join(s, ", ")
}

// measure runs a cell in all modes, in turns, so that what else the machine does meets them alike.
func measure(ctx context.Context, o options, dir string, c cell) (list []result, err error) {
	size := o.size
	switch {
	case c.rate == 0:
		size = o.loopback
	case c.rate > 100e6:
		size *= 5
	}
	l := lab.Lab{Bin: o.bin, Dir: dir}
	docroot, source := filepath.Join(dir, "docroot"), filepath.Join(dir, "source")
	if err := os.Mkdir(docroot, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(docroot)
	if err := write(source, c.kind, size); err != nil {
		return nil, err
	}
	defer os.Remove(source)
	node, err := l.StartNode(ctx, docroot)
	if err != nil {
		return nil, err
	}
	defer func() {
		_, serr := node.Stop()
		err = errors.Join(err, serr)
	}()
	addr := node.Addr
	if c.rate > 0 {
		relay, err := l.StartRelay(ctx, node.Addr, lab.Link{Rate: c.rate, RTT: c.rtt, Queue: 100 * time.Millisecond, Seed: 1})
		if err != nil {
			return nil, err
		}
		defer relay.Stop()
		addr = relay.Addr
	}
	for mode := range strings.SplitSeq(o.modes, ",") {
		list = append(list, result{Content: c.kind, RateMbit: c.rate / 1e6, RTTms: float64(c.rtt.Milliseconds()), Mode: mode, Bytes: size})
	}
	for range o.runs {
		for i := range list {
			r := &list[i]
			u, wire, err := once(ctx, l, node, addr, source, r.Mode)
			if err != nil {
				return nil, fmt.Errorf("--compression=%s: %w", r.Mode, err)
			}
			if err := lab.SameFile(source, filepath.Join(docroot, "in")); err != nil {
				return nil, fmt.Errorf("what arrived differs: %w", err)
			}
			if err := os.Remove(filepath.Join(docroot, "in")); err != nil {
				return nil, err
			}
			if o.verbose {
				fmt.Printf("  %s, %s: %.3f s, CPU %.2f s, %d bytes on the wire\n", c, r.Mode, u.Wall.Seconds(), u.CPU.Seconds(), wire)
			}
			r.Seconds, r.OnWire = append(r.Seconds, u.Wall.Seconds()), wire
			r.ClientCPU += u.CPU.Seconds() / float64(o.runs)
		}
	}
	for i := range list {
		r := &list[i]
		r.Mbit = float64(r.Bytes) * 8 / median(r.Seconds) / 1e6
		r.Speedup = median(list[0].Seconds) / median(r.Seconds)
	}
	return list, nil
}

// once sends the file by a twcp that does not know the path.
func once(ctx context.Context, l lab.Lab, node *lab.Node, addr, source, mode string) (u lab.Usage, wire int64, err error) {
	if err := os.RemoveAll(filepath.Join(l.Dir, "client-state")); err != nil {
		return u, 0, err
	}
	cmd, err := l.Copy(ctx, node, addr, "--json", "--durability=none", "--compression="+mode, source, "NODE:/in")
	if err != nil {
		return u, 0, err
	}
	return runJSON(cmd)
}

// runJSON runs a twcp --json and returns how many bytes of blocks it sent.
func runJSON(cmd *exec.Cmd) (u lab.Usage, wire int64, err error) {
	var out strings.Builder
	cmd.Stdout = &out
	if u, err = lab.Run(cmd); err != nil {
		return u, 0, err
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last struct {
		Type   string `json:"type"`
		OnWire int64  `json:"bytes_on_wire"`
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Type != "result" {
		return u, 0, fmt.Errorf("twcp ended with %q", lines[len(lines)-1])
	}
	return u, last.OnWire, nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
