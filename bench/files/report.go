//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/tradewind-io/tradewind/internal/lab"
)

// report is the file of results.
type report struct {
	Command string    `json:"command"`
	At      string    `json:"at"` // commit
	Link    string    `json:"link"`
	Files   int       `json:"files"`
	Results []*result `json:"results"`
}

// result is a contender at one size. Times and CPU are medians, memory the most of all runs.
type result struct {
	Name     string   `json:"name"`
	Size     int64    `json:"size"`
	Seconds  float64  `json:"seconds"`
	Rate     float64  `json:"files_per_s"`
	First    float64  `json:"first_byte"`
	Client   float64  `json:"client_cpu_s"`
	Server   float64  `json:"server_cpu_s"`
	ClientMB float64  `json:"client_mb"`
	ServerMB float64  `json:"server_mb"`
	ToCopy   float64  `json:"to_copy,omitempty"` // speed over that of copy in the same round
	Runs     []oneRun `json:"runs"`
}

func newReport(ctx context.Context, o options) *report {
	r := &report{Command: strings.Join(append([]string{"files"}, os.Args[1:]...), " "), At: lab.Commit(ctx), Link: "loopback", Files: o.files}
	if o.link == "tun" {
		r.Link = fmt.Sprintf("tun, %s, %v, %g %%", o.rate, o.rtt, o.loss)
	}
	return r
}

func (r *report) add(name string, size int64, v oneRun) {
	i := slices.IndexFunc(r.Results, func(p *result) bool { return p.Name == name && p.Size == size })
	if i < 0 {
		i = len(r.Results)
		r.Results = append(r.Results, &result{Name: name, Size: size})
	}
	p := r.Results[i]
	p.Runs = append(p.Runs, v)
	p.Seconds = p.median(func(v oneRun) float64 { return v.Seconds })
	p.First = p.median(func(v oneRun) float64 { return v.FirstByte })
	p.Client = p.median(func(v oneRun) float64 { return v.ClientCPU })
	p.Server = p.median(func(v oneRun) float64 { return v.ServerCPU })
	p.ClientMB, p.ServerMB = max(p.ClientMB, float64(v.ClientRSS)/1e6), max(p.ServerMB, float64(v.ServerRSS)/1e6)
	p.Rate = float64(r.Files) / p.Seconds
}

func (p *result) median(of func(oneRun) float64) float64 {
	runs := slices.SortedFunc(slices.Values(p.Runs), func(a, b oneRun) int { return cmp.Compare(of(a), of(b)) })
	return of(runs[len(runs)/2])
}

// compare fills in the ratios to the copy of the same round.
func (r *report) compare(size int64) {
	i := slices.IndexFunc(r.Results, func(p *result) bool { return p.Name == "copy" && p.Size == size })
	if i < 0 {
		return
	}
	base := r.Results[i]
	for _, p := range r.Results {
		if p.Size != size {
			continue
		}
		var ratios []float64
		for k, v := range p.Runs {
			if k < len(base.Runs) {
				ratios = append(ratios, base.Runs[k].Seconds/v.Seconds)
			}
		}
		slices.Sort(ratios)
		if len(ratios) > 0 {
			p.ToCopy = ratios[len(ratios)/2]
		}
	}
}

func (r *report) printHead(w io.Writer) {
	fmt.Fprintf(w, "%s, commit %s, %d files\n\n", r.Link, r.At, r.Files)
	fmt.Fprintln(w, "| size | | time | files/s | to copy | first byte | CPU near, far | memory near, far |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
}

func (r *report) printSize(w io.Writer, size int64) {
	r.compare(size)
	for _, p := range r.Results {
		if p.Size != size {
			continue
		}
		first := "-"
		if p.First > 0 {
			first = fmt.Sprintf("%.2f s", p.First)
		}
		fmt.Fprintf(w, "| %d | %s | %.2f s | %.0f | %.2f | %s | %.1f, %.1f s | %.0f, %.0f MB |\n", p.Size, p.Name, p.Seconds, p.Rate, p.ToCopy, first, p.Client, p.Server, p.ClientMB, p.ServerMB)
	}
}

func (r *report) write(name string) error {
	for _, p := range r.Results {
		r.compare(p.Size)
	}
	return lab.WriteJSON(name, r)
}
