// Peers measures what other transports make of an emulated long-distance link, and ours beside them: kernel TCP with BBR and
// with CUBIC, one connection and sixteen, quic-go, SRT, UDT and UFTP. Each runs for some seconds between two network namespaces
// that the link joins, with nothing else on it, from memory to memory where the program allows that. It needs Linux and root.
//
// With -local there is no link: each runs over loopback and over a veth pair, and what counts is the content per processor second (local.go).
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == "role" {
		err = role(ctx, os.Args[2:])
	} else {
		err = run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// report is the file of results.
type report struct {
	Command  string            `json:"command"`
	At       string            `json:"at"` // commit or date
	RateMbit float64           `json:"rate_mbit"`
	QueueMs  float64           `json:"queue_ms"`
	Seconds  float64           `json:"seconds"`
	Skipped  map[string]string `json:"skipped,omitempty"` // peer: reason
	Results  []result          `json:"results"`
}

type result struct {
	Peer        string  `json:"peer"`
	RTTms       float64 `json:"rtt_ms"`
	LossPercent float64 `json:"loss_percent"`
	Mbit        float64 `json:"mbit"`                  // goodput from the first byte
	LateMbit    float64 `json:"late_mbit"`             // of the second half
	BesideMbit  float64 `json:"beside_mbit,omitempty"` // of the TCP beside it, in the second half
	Share       float64 `json:"share"`                 // of what rate and loss allow, in the second half
	Overruns    int64   `json:"overruns"`              // packets that the emulator itself lost or delayed
	Late        float64 `json:"late"`                  // the same as a share of all packets
	Error       string  `json:"error,omitempty"`
}

func run(ctx context.Context) error {
	cells := flag.String("cells", "10/0,100/1,300/5,500/10,500/30,1000/0,1000/10,1000/30", "RTT in ms / loss in percent, both directions")
	names := flag.String("peers", "", "peers to run, separated by commas; empty is all")
	rate := flag.Float64("rate", 300, "rate of the link, Mbit/s of IP bytes")
	queue := flag.Duration("queue", 100*time.Millisecond, "queue of the bottleneck")
	beside := flag.Bool("beside", false, "run a session by policy fair and a TCP at the same time, one of them 5 s earlier, in place of each alone; give a -time of 40s or more, and the name of another file")
	limit := flag.Duration("time", 10*time.Second, "how long each runs at each cell, from the first byte; at least 15 round trips")
	tries := flag.Int("tries", 3, "runs of a peer at a cell while the emulator was late for more than 2 % of the packets")
	out := flag.String("out", "../results/peers.json", "file for the results")
	local := flag.Int("local", 0, "in place of all that: rounds of goodput per processor second without a link between, over loopback and veth; -time and -peers hold, and -out should be given")
	at := flag.String("at", "", "commit or date noted in the results; empty asks git for the commit")
	flag.Parse()
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "peers: SKIPPED, NOTHING WAS MEASURED: network namespaces and TUN devices need root")
		return nil
	}
	if *local > 0 {
		return runLocal(ctx, *local, *limit, *names, *out, cmp.Or(*at, lab.Commit(ctx)))
	}
	b, err := newBench(ctx, link{rate: *rate * 1e6, queue: *queue}, *limit, *tries)
	if err != nil {
		return err
	}
	defer b.close()
	r := report{Command: strings.Join(append([]string{"peers"}, os.Args[1:]...), " "), At: cmp.Or(*at, lab.Commit(ctx)), RateMbit: *rate, QueueMs: queue.Seconds() * 1e3, Seconds: limit.Seconds(), Skipped: map[string]string{}}
	var chosen []peer
	for _, p := range peers(b) {
		if p.beside != *beside || *names != "" && !slices.Contains(strings.Split(*names, ","), p.name) {
			continue
		}
		if err := p.ready(ctx); err != nil {
			r.Skipped[p.name] = err.Error()
			fmt.Printf("SKIPPED %s: %v\n", p.name, err)
			continue
		}
		chosen = append(chosen, p)
	}
	list := strings.Split(*cells, ",")
	for _, c := range list {
		ms, percent, _ := strings.Cut(c, "/")
		rtt, err1 := strconv.ParseFloat(ms, 64)
		loss, err2 := strconv.ParseFloat(percent, 64)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("-cells: %q is not RTT/loss", c)
		}
		for _, p := range chosen {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			v := b.measure(ctx, p, rtt, loss)
			if p.beside {
				fmt.Printf("%-18s %9s in the second half fair %9.2f Mbit/s beside %9.2f = %.2f of half, %.1f %% late %s\n", p.name, c, v.LateMbit, v.BesideMbit, 2*v.LateMbit/(v.LateMbit+v.BesideMbit), v.Late*100, v.Error)
			} else {
				fmt.Printf("%-18s %9s %9.2f Mbit/s, in the second half %9.2f = %.3f of the limit, %.1f %% late %s\n", p.name, c, v.Mbit, v.LateMbit, v.Share, v.Late*100, v.Error)
			}
			r.Results = append(r.Results, v)
			if err := r.write(*out); err != nil { // at once: a run of all takes long
				return err
			}
		}
	}
	if !*beside {
		r.print(list)
	}
	return nil
}

func (r *report) write(name string) error { return lab.WriteJSON(name, r) }

// print writes the table for docs/performance.md.
func (r *report) print(cells []string) {
	fmt.Print("\n| Mbit/s in the second half (from the first byte; ? = the emulator was late for over 2 % of the packets) |")
	for _, c := range cells {
		fmt.Printf(" %s |", c)
	}
	fmt.Print("\n|---|" + strings.Repeat("---|", len(cells)))
	last := ""
	slices.SortStableFunc(r.Results, func(a, b result) int { return cmp.Compare(order(a.Peer), order(b.Peer)) })
	for _, v := range r.Results {
		if v.Peer != last {
			fmt.Printf("\n| %s |", v.Peer)
			last = v.Peer
		}
		if v.Error != "" {
			fmt.Print(" failed |")
			continue
		}
		mark := ""
		if v.Late > tooLate {
			mark = " ?"
		}
		fmt.Printf(" %s (%s)%s |", figure(v.LateMbit), figure(v.Mbit), mark)
	}
	fmt.Println()
}

func figure(v float64) string {
	switch {
	case v >= 10:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
