// Sessions measures one node with many clients at a time: twcp bench processes, half of them upload and half download made-up data, encrypted, on loopback in
// datagrams of 1,472 bytes. It prints the sum of their goodput beside that of one client alone, Jain's index of their shares, processor seconds per gigabyte and the
// node's memory; and what becomes of twice as many clients as the node takes.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sessions:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	bin := flag.String("bin", "bin", "folder for the built programs")
	counts := flag.String("counts", "1,10,50", "numbers of clients")
	limit := flag.Duration("time", 8*time.Second, "how long each number runs")
	rounds := flag.Int("rounds", 3, "rounds")
	rate := flag.String("rate", "", "fixed rate of each client; empty is policy fair without a target")
	flag.Parse()
	if err := lab.Build(ctx, *bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sessions")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	root := dir + "/root"
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	b := &bench{lab: &lab.Lab{Bin: *bin, Dir: dir}, root: root, time: *limit, rate: *rate}
	fmt.Println("| round | clients | sum | least, most | Jain | CPU, all | node | node's memory |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	most := 0
	for round := range *rounds {
		for _, text := range strings.Split(*counts, ",") {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return fmt.Errorf("-counts %q: want numbers of clients", *counts)
			}
			most = max(most, n)
			r, err := b.run(ctx, n, n)
			if err != nil {
				return err
			}
			if r.failed > 0 {
				return fmt.Errorf("%d of %d clients failed: %s", r.failed, n, r.text)
			}
			fmt.Printf("| %d | %d | %.2f Gbit/s | %.0f, %.0f Mbit/s | %.4f | %.2f s/GB | %.2f s/GB | %d MB |\n",
				round+1, n, r.sum/1e9, r.least/1e6, r.most/1e6, r.jain, r.cpu, r.nodeCPU, r.nodeRSS>>20)
		}
	}
	r, err := b.run(ctx, 2*most, most)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d clients at a node for %d: %d served, sum %.2f Gbit/s, Jain %.4f; %d refused: %s\n", 2*most, most, 2*most-r.failed, r.sum/1e9, r.jain, r.failed, r.text)
	return nil
}

type bench struct {
	lab  *lab.Lab
	root string
	time time.Duration
	rate string
}

type result struct {
	sum, least, most, jain, cpu, nodeCPU float64
	nodeRSS                              int64
	failed                               int
	text                                 string // of a failure
}

// run has n clients at once at a new node that takes so many.
func (b *bench) run(ctx context.Context, n, room int) (r result, err error) {
	node, err := b.lab.StartNode(ctx, b.root, "--max-sessions", strconv.Itoa(room))
	if err != nil {
		return r, err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var rates []float64
	var bytes, cpu float64
	for i := range n {
		wg.Go(func() {
			speed, moved, used, err := b.client(ctx, node, i)
			mu.Lock()
			defer mu.Unlock()
			cpu += used
			if err != nil {
				r.failed++
				r.text = err.Error()
				return
			}
			rates = append(rates, speed)
			bytes += moved
		})
	}
	wg.Wait()
	used, err := node.Stop()
	if err != nil || ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	var squares float64
	r.least = math.Inf(1)
	for _, v := range rates {
		r.sum, squares = r.sum+v, squares+v*v
		r.least, r.most = min(r.least, v), max(r.most, v)
	}
	r.jain = r.sum * r.sum / squares / float64(len(rates))
	r.cpu, r.nodeCPU, r.nodeRSS = (cpu+used.CPU.Seconds())/(bytes/1e9), used.CPU.Seconds()/(bytes/1e9), used.MaxRSS
	return r, nil
}

// client is one twcp bench.
func (b *bench) client(ctx context.Context, node *lab.Node, i int) (rate, moved, cpu float64, err error) {
	args := []string{"bench", "--json", "--time", b.time.String(), "--upload"}
	if i%2 == 1 {
		args[4] = "--download"
	}
	if b.rate != "" {
		args = append(args, "--policy", "fixed", "-l", b.rate)
	}
	cmd, err := b.lab.Bench(ctx, node, args...)
	if err != nil {
		return 0, 0, 0, err
	}
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	used, err := lab.Run(cmd)
	if err != nil {
		return 0, 0, used.CPU.Seconds(), fmt.Errorf("%s", strings.TrimSpace(problem.String()))
	}
	var m struct {
		Bytes   float64 `json:"bytes"`
		Goodput float64 `json:"goodput"`
	}
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		return 0, 0, 0, fmt.Errorf("twcp said %q: %w", out.String(), err)
	}
	return m.Goodput, m.Bytes, used.CPU.Seconds(), nil
}
