package main

import (
	"fmt"
	"io"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
)

// report is the file of results.
type report struct {
	Command  string   `json:"command"`
	At       string   `json:"at"`    // commit
	Front    string   `json:"front"` // what the link was: tun or relay
	RateMbit float64  `json:"rate_mbit"`
	QueueMs  float64  `json:"queue_ms"`
	Bytes    int64    `json:"bytes"`
	Files    int      `json:"files"`
	Results  []result `json:"results"`
}

// result is a cell in one mode. Times are medians of the runs that count.
type result struct {
	RTTms       float64  `json:"rtt_ms"`
	LossPercent float64  `json:"loss_percent"`
	Mode        string   `json:"mode"`
	Seconds     float64  `json:"seconds"`
	Bound       float64  `json:"bound"`
	Ratio       float64  `json:"ratio"`
	Wanted      float64  `json:"wanted,omitempty"` // seconds at most
	Miss        bool     `json:"miss,omitempty"`
	Mbit        float64  `json:"mbit"`
	ClientRSS   int64    `json:"client_rss"` // the most of all runs, as that of the server
	ServerRSS   int64    `json:"server_rss"`
	ClientCPU   float64  `json:"client_cpu_s"` // a run, as the next ones
	ServerCPU   float64  `json:"server_cpu_s"`
	LinkCPU     float64  `json:"link_cpu_s"` // of the emulator
	Overruns    int64    `json:"overruns"`   // packets of the runs that count that the emulator itself lost or delayed
	Late        float64  `json:"late"`       // the most of them in a run that counts, as a share of all packets
	Runs        []oneRun `json:"runs"`
}

// oneRun is a run. One in which the emulator was late does not count when it did better in another try.
type oneRun struct {
	Counts    bool    `json:"counts"`
	Seconds   float64 `json:"seconds"`
	Bound     float64 `json:"bound"` // with the loss as it turned out
	Loss      float64 `json:"loss"`  // that, in the direction of the data
	ClientRSS int64   `json:"client_rss"`
	ClientCPU float64 `json:"client_cpu_s"`
	LinkCPU   float64 `json:"link_cpu_s"`
	Overruns  int64   `json:"overruns"`
	Late      float64 `json:"late"`
}

// summarise fills in what follows from the runs.
func (r *result) summarise(bytes int64) {
	var seconds, bounds []float64
	for _, v := range r.Runs {
		r.ClientRSS = max(r.ClientRSS, v.ClientRSS)
		r.ClientCPU += v.ClientCPU / float64(len(r.Runs))
		r.LinkCPU += v.LinkCPU / float64(len(r.Runs))
		if v.Counts {
			seconds, bounds = append(seconds, v.Seconds), append(bounds, v.Bound)
			r.Overruns += v.Overruns
			r.Late = max(r.Late, v.Late)
		}
	}
	r.Seconds, r.Bound = median(seconds), median(bounds)
	r.Ratio = r.Seconds / r.Bound
	r.Mbit = float64(bytes) * 8 / r.Seconds / 1e6
}

// judge compares the time with what is wanted of the mode.
func (r *result) judge(m mode) {
	second := float64(time.Second)
	r.Wanted = m.wanted(time.Duration(r.Bound*second), time.Duration(r.RTTms*float64(time.Millisecond))).Seconds()
	r.Miss = r.Wanted > 0 && r.Seconds > r.Wanted
}

func (r *result) printLine() {
	wanted := ""
	if r.Wanted > 0 {
		wanted = fmt.Sprintf(", wanted %.3f s", r.Wanted)
	}
	if r.Miss {
		wanted += ": miss"
	}
	fmt.Printf("%-10s %-10s %8.3f s, bound %8.3f s, ratio %.3f%s; client %.1f MB, node %.1f MB, overruns %d, at most %.1f %% of a run%s\n",
		fmt.Sprintf("%g/%g", r.RTTms, r.LossPercent), r.Mode, r.Seconds, r.Bound, r.Ratio, wanted, float64(r.ClientRSS)/1e6, float64(r.ServerRSS)/1e6, r.Overruns, r.Late*100, r.lateMark())
}

func (r *result) lateMark() string {
	if r.Late > tooLate {
		return " ?"
	}
	return ""
}

func (r *report) write(name string) error { return lab.WriteJSON(name, r) }

// print writes the tables for docs/performance.md, one a mode.
func (r *report) print(w io.Writer, modes []mode) {
	for _, m := range modes {
		fmt.Fprintf(w, "\n%s, over %s (? = the emulator was late for over 2 %% of the packets of a run):\n\n", m, r.Front)
		fmt.Fprintln(w, "| RTT / loss | time | bound | ratio | wanted | goodput | twcp | twnode | overruns |\n|---|---|---|---|---|---|---|---|---|")
		for _, v := range r.Results {
			if v.Mode != m.String() {
				continue
			}
			wanted := ""
			if v.Wanted > 0 {
				wanted = fmt.Sprintf("%.2f s", v.Wanted)
			}
			if v.Miss {
				wanted += ", **miss**"
			}
			fmt.Fprintf(w, "| %g ms / %g %% | %.2f s | %.2f s | %.3f | %s | %.0f Mbit/s | %.0f MB | %.0f MB | %d%s |\n",
				v.RTTms, v.LossPercent, v.Seconds, v.Bound, v.Ratio, wanted, v.Mbit, float64(v.ClientRSS)/1e6, float64(v.ServerRSS)/1e6, v.Overruns, v.lateMark())
		}
	}
}
