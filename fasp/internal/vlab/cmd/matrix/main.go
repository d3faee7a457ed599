// Matrix measures what a session reaches over links of many rates, round trips and losses, in virtual time, and what models
// of TCP CUBIC and BBR reach there. For each policy it prints a table and writes matrix-POLICY.json and matrix-POLICY.svg.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the cells that run go on to their end; a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the flags.
type options struct {
	policies    string
	quick, full bool
	seeds, jobs int
	elsewhere   int // seeds of cells that are no corner
	out, at     string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := options{elsewhere: 1}
	fs := flag.NewFlagSet("matrix", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.policies, "policy", "fixed", "what to run, separated by commas: fixed, fair, high, low; cubic and bbr are models of TCP")
	fs.BoolVar(&o.quick, "quick", false, "3 rates, 4 round trips, 4 losses, nothing above 100 Mbit/s: under a minute a policy")
	fs.BoolVar(&o.full, "full", false, "20 seeds at the corners up to 1 Gbit/s, 3 elsewhere")
	fs.IntVar(&o.seeds, "seeds", 3, "seeds at the corners up to 1 Gbit/s; other cells have one")
	fs.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "cells run at a time")
	fs.StringVar(&o.out, "out", "bench/results", "folder for the results")
	fs.StringVar(&o.at, "at", "", "commit or date noted in the results; empty asks git for the commit")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if o.full {
		o.seeds, o.elsewhere = 20, 3
	}
	if o.at == "" {
		o.at = lab.Commit(ctx)
	}
	if err := all(ctx, o, "matrix "+strings.Join(args, " "), stdout); err != nil {
		fmt.Fprintln(stderr, "matrix:", err)
		return 1
	}
	return 0
}

func all(ctx context.Context, o options, command string, stdout io.Writer) error {
	if o.seeds < 1 || o.jobs < 1 {
		return errors.New("-seeds and -jobs must be at least 1")
	}
	var subjects []subject
	for _, name := range strings.Split(o.policies, ",") {
		s, err := subjectOf(name)
		if err != nil {
			return err
		}
		subjects = append(subjects, s)
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	g := wide
	if o.quick {
		g = quick
	}
	for _, s := range subjects {
		cells := g.cells(s, o.seeds, o.elsewhere)
		fmt.Fprintf(stdout, "%s: %d cells, %d runs, at most %.0f million packets; about %v\n",
			s.name, len(cells), runs(cells), packets(cells)/1e6, expected(cells, o.jobs).Round(time.Second))
		begin := time.Now()
		if err := measure(ctx, cells, o.jobs); err != nil {
			return err
		}
		m := matrix{Command: command, At: o.at, Subject: s.name, Bar: s.bar, Cells: cells}
		m.judge(filepath.Join(o.out, "matrix-%s.json"))
		base := filepath.Join(o.out, "matrix-"+s.name)
		if err := errors.Join(m.write(base+".json"), os.WriteFile(base+".svg", []byte(heatMap(&m)), 0o644)); err != nil {
			return err
		}
		m.print(stdout)
		fmt.Fprintf(stdout, "took %v\n\n", time.Since(begin).Round(time.Second))
	}
	return nil
}
