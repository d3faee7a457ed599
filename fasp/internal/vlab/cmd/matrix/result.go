package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/vlab"
)

// matrix is what a file of results holds.
type matrix struct {
	Command string  `json:"command"`
	At      string  `json:"at"` // commit or date
	Subject string  `json:"subject"`
	Bar     float64 `json:"bar,omitempty"` // least share of the limit wanted
	Cells   []*cell `json:"cells"`
}

// cell is a link and what was measured there: of several seeds the median and the worst of each figure.
type cell struct {
	RateMbit    float64    `json:"rate_mbit"`
	RTTms       int        `json:"rtt_ms"`
	LossPercent float64    `json:"loss_percent"`
	Median      measured   `json:"median"`
	Worst       measured   `json:"worst"`
	Missed      bool       `json:"missed,omitempty"`
	Ahead       []string   `json:"ahead,omitempty"` // models of TCP that reached clearly more here
	Runs        []measured `json:"runs,omitempty"`  // by seed, where there is more than one
	Errors      []string   `json:"errors,omitempty"`

	jobs []vlab.Cell
}

// measured is a vlab.Result in the units of the file.
type measured struct {
	Seed        uint64  `json:"seed,omitempty"`
	Share       float64 `json:"share"` // steady goodput over the limit
	GoodputMbit float64 `json:"goodput_mbit"`
	Excess      float64 `json:"excess"`
	Reverse     float64 `json:"reverse"`
	RampRTT     float64 `json:"ramp_rtt"`
	Queue95ms   float64 `json:"queue95_ms"`
	PeakQueueMs float64 `json:"peak_queue_ms"`
	OverBDPms   float64 `json:"over_bdp_ms"`
}

func measuredOf(r vlab.Result, seed uint64) measured {
	return measured{
		Seed: seed, Share: digits(r.Steady), GoodputMbit: digits(r.Goodput / 1e6), Excess: digits(r.Excess), Reverse: digits(r.Reverse),
		RampRTT: digits(r.Ramp), Queue95ms: ms(r.Queue95), PeakQueueMs: ms(r.Peak), OverBDPms: ms(r.Over),
	}
}

func ms(d time.Duration) float64 { return digits(d.Seconds() * 1e3) }

// digits keeps four significant digits, so that files stay readable.
func digits(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-3)
	if unit < 1 {
		inverse := math.Round(1 / unit)
		return math.Round(v*inverse) / inverse
	}
	return math.Round(v/unit) * unit
}

// fields are the figures of a cell and whether more is worse.
var fields = []struct {
	of       func(m *measured) *float64
	lessGood bool
}{
	{func(m *measured) *float64 { return &m.Share }, true},
	{func(m *measured) *float64 { return &m.GoodputMbit }, true},
	{func(m *measured) *float64 { return &m.Excess }, false},
	{func(m *measured) *float64 { return &m.Reverse }, false},
	{func(m *measured) *float64 { return &m.RampRTT }, false},
	{func(m *measured) *float64 { return &m.Queue95ms }, false},
	{func(m *measured) *float64 { return &m.PeakQueueMs }, false},
	{func(m *measured) *float64 { return &m.OverBDPms }, false},
}

// summarise fills Median and Worst, each figure by itself.
func (c *cell) summarise() {
	for _, f := range fields {
		var v []float64
		for i := range c.Runs {
			v = append(v, *f.of(&c.Runs[i]))
		}
		slices.Sort(v)
		*f.of(&c.Median) = v[len(v)/2]
		*f.of(&c.Worst) = v[len(v)-1]
		if f.lessGood {
			*f.of(&c.Worst) = v[0]
		}
	}
	if len(c.Runs) == 1 {
		c.Runs = nil
	}
	if !slices.ContainsFunc(c.Errors, func(e string) bool { return e != "" }) {
		c.Errors = nil
	}
}

// clearly is by how much a TCP has to be ahead to be marked: without encryption 0.7 % more of its packets is payload.
const clearly = 1.01

// judge marks cells that miss the bar and, of a policy, those where a model of TCP reached more according to its own file.
func (m *matrix) judge(format string) {
	for _, c := range m.Cells {
		c.Missed = len(c.Errors) > 0 || c.Worst.Share < m.Bar
		c.Ahead = nil
	}
	for _, s := range subjects {
		if s.peer == 0 || isPeer(m.Subject) {
			continue
		}
		var peer matrix
		b, err := os.ReadFile(fmt.Sprintf(format, s.name))
		if err != nil || json.Unmarshal(b, &peer) != nil {
			continue // not run yet: nothing to compare with
		}
		for _, c := range m.Cells {
			if p := peer.find(c.RateMbit, c.RTTms, c.LossPercent); p != nil && p.Median.GoodputMbit > c.Median.GoodputMbit*clearly {
				c.Ahead = append(c.Ahead, s.name)
			}
		}
	}
}

func isPeer(name string) bool {
	s, err := subjectOf(name)
	return err == nil && s.peer != 0
}

func (m *matrix) find(rate float64, rtt int, percent float64) *cell {
	for _, c := range m.Cells {
		if c.RateMbit == rate && c.RTTms == rtt && c.LossPercent == percent {
			return c
		}
	}
	return nil
}

// axes returns what rates, round trips and losses there are.
func (m *matrix) axes() (rates []float64, rtts []int, losses []float64) {
	for _, c := range m.Cells {
		rates, rtts, losses = append(rates, c.RateMbit), append(rtts, c.RTTms), append(losses, c.LossPercent)
	}
	slices.Sort(rates)
	slices.Sort(rtts)
	slices.Sort(losses)
	return slices.Compact(rates), slices.Compact(rtts), slices.Compact(losses)
}

func (m *matrix) write(name string) error {
	var b strings.Builder
	head, err := json.Marshal(struct {
		Command string  `json:"command"`
		At      string  `json:"at"`
		Subject string  `json:"subject"`
		Bar     float64 `json:"bar,omitempty"`
	}{m.Command, m.At, m.Subject, m.Bar})
	if err != nil {
		return err
	}
	// A line a cell: what changed between two commits shows in a diff.
	fmt.Fprintf(&b, "%s,\n\"cells\":[\n", strings.TrimSuffix(string(head), "}"))
	for i, c := range m.Cells {
		line, err := json.Marshal(c)
		if err != nil {
			return err
		}
		b.Write(line)
		if i < len(m.Cells)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("]}\n")
	return os.WriteFile(name, []byte(b.String()), 0o644)
}

// print writes the tables and what is wrong.
func (m *matrix) print(w io.Writer) {
	rates, rtts, losses := m.axes()
	for _, rate := range rates {
		fmt.Fprintf(w, "\n%s at %s, share of the limit in steady state, worst seed; ! missed, < a TCP is ahead\n%10s", m.Subject, rateName(rate), "loss")
		for _, rtt := range rtts {
			fmt.Fprintf(w, "%10s", fmt.Sprintf("%d ms", rtt))
		}
		fmt.Fprintln(w)
		for _, loss := range losses {
			fmt.Fprintf(w, "%10s", fmt.Sprintf("%g %%", loss))
			for _, rtt := range rtts {
				text := "-"
				if c := m.find(rate, rtt, loss); c != nil {
					text = fmt.Sprintf("%.4f", c.Worst.Share) + c.marks()
				}
				fmt.Fprintf(w, "%10s", text)
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintln(w)
	worst, missed, ahead := m.Cells[0], 0, 0
	for _, c := range m.Cells {
		if c.Worst.Share < worst.Worst.Share {
			worst = c
		}
		if len(c.Ahead) > 0 {
			ahead++
		}
		if c.Missed {
			missed++
			fmt.Fprintf(w, "MISSED %v: share %.4f, excess %.4f, queue p95 %g ms %s\n", c, c.Worst.Share, c.Worst.Excess, c.Worst.Queue95ms, strings.Join(c.Errors, " "))
		}
	}
	fmt.Fprintf(w, "%d cells, %d missed", len(m.Cells), missed)
	if m.Bar > 0 {
		fmt.Fprintf(w, " the bar of %g", m.Bar)
	}
	if !isPeer(m.Subject) {
		fmt.Fprintf(w, ", a TCP is ahead in %d", ahead)
	}
	fmt.Fprintf(w, "; the worst is %v with %.4f\n", worst, worst.Worst.Share)
	for _, rate := range rates {
		m.printRate(w, rate)
	}
}

// printRate writes the extremes of a rate.
func (m *matrix) printRate(w io.Writer, rate float64) {
	least, excess, reverse, ramp := math.Inf(1), 0.0, 0.0, 0.0
	var at [4]*cell
	for _, c := range m.Cells {
		if c.RateMbit != rate {
			continue
		}
		take := func(i int, better bool, v *float64, got float64) {
			if better {
				*v, at[i] = got, c
			}
		}
		take(0, c.Worst.Share < least, &least, c.Worst.Share)
		take(1, at[1] == nil || c.Worst.Excess > excess, &excess, c.Worst.Excess)
		take(2, at[2] == nil || c.Worst.Reverse > reverse, &reverse, c.Worst.Reverse)
		take(3, at[3] == nil || c.Worst.RampRTT > ramp, &ramp, c.Worst.RampRTT)
	}
	where := func(i int) string { return fmt.Sprintf("%d ms, %g %%", at[i].RTTms, at[i].LossPercent) }
	fmt.Fprintf(w, "%-11s share at least %.4f (%s), excess at most %.2f %% (%s), reverse %.2f %% (%s), ramp %.1f RTT (%s)\n",
		rateName(rate), least, where(0), excess*100, where(1), reverse*100, where(2), ramp, where(3))
}

func (c *cell) marks() string {
	s := ""
	if c.Missed {
		s += "!"
	}
	if len(c.Ahead) > 0 {
		s += "<"
	}
	return s
}

func (c *cell) String() string {
	return fmt.Sprintf("%s, %d ms, %g %%", rateName(c.RateMbit), c.RTTms, c.LossPercent)
}

func rateName(mbit float64) string {
	if mbit >= 1000 {
		return fmt.Sprintf("%g Gbit/s", mbit/1000)
	}
	return fmt.Sprintf("%g Mbit/s", mbit)
}
