package twcp

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
)

func benchFlags(f *pflag.FlagSet, o *fileOptions) {
	f.DurationVar(&o.time, "time", 10*time.Second, "how long each direction is measured, up to 5m")
	f.BoolVar(&o.up, "upload", false, "only to the node")
	f.BoolVar(&o.down, "download", false, "only from the node")
	f.StringVarP(&o.target, "target-rate", "l", "", "target `rate`, above 0; without it the rate is found, up to the server's grant")
	f.StringVar(&o.policy, "policy", "", "rate `policy` fixed, high, fair or low (default fair); fixed needs -l")
}

// measured is what one direction came to. Rates are bit/s.
type measured struct {
	Host      string  `json:"host"`
	Direction string  `json:"direction"`
	Seconds   float64 `json:"seconds"`
	Bytes     int64   `json:"bytes"`
	Goodput   float64 `json:"goodput"`             // of content, from the first byte to the last confirmed
	Wire      float64 `json:"wire,omitempty"`      // IP bytes that were sent; uploads only
	Loss      float64 `json:"loss,omitempty"`      // share of packets, uploads only
	RTT       float64 `json:"rtt"`                 // seconds, smoothed, at the end
	LeastRTT  float64 `json:"least_rtt"`           // seconds
	CPU       float64 `json:"cpu_seconds"`         // of this program
	Limit     string  `json:"limit"`               // network, target, grant, cpu, peer or unknown
	Because   string  `json:"because"`             // how that was found
	Rate      float64 `json:"path_rate,omitempty"` // what the sender found the path to take; uploads only
}

// bench measures the path to nodes, memory to memory.
func bench(ctx context.Context, c *fileRun) error {
	if c.o.up && c.o.down {
		c.o.up, c.o.down = false, false
	}
	rates, err := c.o.rates()
	if err != nil {
		return err
	}
	if c.o.time < time.Second || c.o.time > transfer.MaxMeasure {
		return usagef("--time %v: want 1s to %v", c.o.time, transfer.MaxMeasure)
	}
	dir, err := c.p.Env.StateDir()
	if err != nil {
		dir = ""
	}
	known := openPaths(dir, slog.New(slog.DiscardHandler)) // as transfers: a path that is known starts faster
	defer known.save()
	for _, target := range c.args {
		host := target
		r, path, ok := splitRemote(target)
		switch {
		case !ok:
			r, path, _ = splitRemote(host + ":")
			fallthrough
		default:
			if path != "" && path != "/" || r.host == "" {
				return usagef("%s: want [user@]host: nothing is stored, so there is no path, and the UDP port is the option -O", target)
			}
		}
		for _, d := range []transfer.Direction{transfer.Send, transfer.Receive} {
			if d == transfer.Send && c.o.down || d == transfer.Receive && c.o.up {
				continue
			}
			m, err := c.measure(ctx, r, d, rates, known.paths)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				c.fail(target, err)
				continue
			}
			if err := c.printMeasured(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure runs one direction.
func (c *fileRun) measure(ctx context.Context, r remote, d transfer.Direction, rates fasp.Rates, known *fasp.Paths) (*measured, error) {
	dl, err := c.dialer(r)
	if err != nil {
		return nil, err
	}
	dl.paths = known
	var mu sync.Mutex
	var last transfer.SessionRecord
	var first, latest time.Time // when content was seen to move
	cfg := transfer.Config{Dial: dl.dial, Logger: slog.New(slog.DiscardHandler), Events: func(e transfer.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == transfer.EventProgress || e.Kind == transfer.EventSessionEnded {
			last = e.Session
		}
		if e.Kind == transfer.EventSessionStarted {
			first = e.Time
		}
		latest = e.Time
	}}
	before := cpuTime()
	res, err := transfer.Measure(ctx, cfg, transfer.Spec{Host: r.host, Port: c.o.udpPort, User: r.user, Direction: d, Rates: rates}, c.o.time)
	if err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	st := last.Transport
	m := &measured{
		Host: r.host, Direction: "upload", Bytes: res.BytesSent, Seconds: latest.Sub(first).Seconds(), CPU: (cpuTime() - before).Seconds(),
		RTT: st.RTT.Seconds(), LeastRTT: st.MinRTT.Seconds(),
	}
	if m.Seconds > 0 {
		m.Goodput = float64(m.Bytes) * 8 / m.Seconds
	}
	if d == transfer.Send {
		m.Wire, m.Loss, m.Rate = float64(st.BytesSent)*8/m.Seconds, float64(st.Lost)/float64(max(st.PacketsSent, 1)), float64(st.Rate)
	} else {
		m.Direction = "download"
	}
	m.Limit, m.Because = limitOf(m, &st, last.RateCap, rates, runtime.NumCPU())
	return m, nil
}

// near says whether a rate is the other one, as far as a few seconds can tell.
func near(rate float64, limit fasp.Rate) bool { return limit > 0 && rate >= 0.9*float64(limit) }

// limitOf says what kept a direction from being faster, and how that is known. rateCap is that of the node for the session.
func limitOf(m *measured, st *fasp.Stats, rateCap fasp.Rate, rates fasp.Rates, cores int) (limit, because string) {
	wire := m.Wire
	if wire == 0 {
		wire = m.Goodput * 1.04 // of a download only content was counted: 1,500 bytes carry 1,438
	}
	busy := m.CPU / m.Seconds / float64(cores)
	switch {
	case near(wire, rates.Target):
		return "target", fmt.Sprintf("it ran at the target rate, %v", rates.Target)
	case near(wire, rateCap):
		return "grant", fmt.Sprintf("the node grants %v to this key", rateCap)
	case near(wire, st.Granted):
		return "grant", fmt.Sprintf("the node grants %v to this key", st.Granted)
	case busy > 0.75:
		return "cpu", fmt.Sprintf("this program kept %.0f %% of %d processors busy", busy*100, cores)
	case st.CreditWaits > 0 && float64(st.Rate) > 1.2*wire:
		return "peer", fmt.Sprintf("the node took data away no faster; it made this end wait %d times", st.CreditWaits)
	case m.Wire > 0 && float64(st.Rate) > 1.3*wire:
		return "cpu", fmt.Sprintf("the path would take %v, and this end did not make as much", st.Rate)
	case m.Wire > 0:
		return "network", fmt.Sprintf("%.1f %% of packets were lost, and the queue of the path was %v at the end", m.Loss*100, max(0, st.RTT-st.MinRTT).Round(100*time.Microsecond))
	case busy < 0.5:
		return "network", "neither the target, the node's grant nor this machine's processors; the node knows more"
	}
	return "unknown", "nothing stands out at this end; the node knows more"
}

func (c *fileRun) printMeasured(m *measured) error {
	if c.o.json {
		return c.json(m)
	}
	mbit := func(r float64) string { return fmt.Sprintf("%.1f Mbit/s", r/1e6) }
	wire := ""
	if m.Wire > 0 {
		wire = fmt.Sprintf(" (%s on the wire, %.2f %% lost)", mbit(m.Wire), m.Loss*100)
	}
	_, err := fmt.Fprintf(c.p.Stdout, "%-8s %s: %s of content in %.1f s%s, round trip %.1f ms (least %.1f), %.1f s of CPU here\n         limited by %s: %s\n",
		m.Direction, cli.Shown(m.Host), mbit(m.Goodput), m.Seconds, wire, m.RTT*1e3, m.LeastRTT*1e3, m.CPU, limitText[m.Limit], m.Because)
	return err
}

var limitText = map[string]string{
	"network": "the network", "target": "the target rate", "grant": "the node's grant", "cpu": "this machine", "peer": "the node", "unknown": "something else",
}
