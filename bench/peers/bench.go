package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// link is what all measurements have in common.
type link struct {
	rate  float64 // bit/s
	queue time.Duration
}

// bench runs peers on the link.
type bench struct {
	link
	limit   time.Duration
	tries   int
	dir     string // work folder
	self    string
	wanlink string
	count   int
}

// newBench builds the link's program; the current folder is this module's.
func newBench(ctx context.Context, l link, limit time.Duration, tries int) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	base := "/dev/shm" // programs that write files shall not be measured by the disk
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "tradewind-peers-")
	if err != nil {
		return nil, err
	}
	b := &bench{link: l, limit: limit, tries: tries, dir: dir, self: self, wanlink: filepath.Join(dir, "wanlink")}
	build := exec.CommandContext(ctx, "go", "build", "-o", b.wanlink, "./internal/wanlink/cmd/wanlink")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		b.close()
		return nil, fmt.Errorf("build wanlink: %w: %s", err, out)
	}
	return b, nil
}

func (b *bench) close() { os.RemoveAll(b.dir) }

// peer is a transport. Server and client are shell commands; the server's writes what arrived into $OUT.
type peer struct {
	name           string
	server, client string
	ready          func(ctx context.Context) error // installs what is missing; nil when it can be run
	// pages says that the meter sees pages of a file that is written at random: one counts when any of the packets that it
	// is made of has come, which is nearly all that was sent.
	pages bool
	// beside says that a session of ours and a TCP share the link; such peers are not in the table of all.
	beside bool
}

// measure runs a peer, again if the emulator could not keep up; the run in which it did best counts.
func (b *bench) measure(ctx context.Context, p peer, rtt, loss float64) result {
	best := b.try(ctx, p, rtt, loss)
	for i := 1; i < b.tries && (best.Error != "" || best.Late > tooLate) && ctx.Err() == nil; i++ {
		if r := b.try(ctx, p, rtt, loss); best.Error != "" || r.Error == "" && r.Late < best.Late {
			best = r
		}
	}
	return best
}

// tooLate is the share of packets handled late above which a result says as much of the emulator as of the peer.
const tooLate = 0.02

// try runs a peer once. An error is part of the result: the other peers go on.
func (b *bench) try(ctx context.Context, p peer, rtt, loss float64) result {
	r := result{Peer: p.name, RTTms: rtt, LossPercent: loss}
	got, stats, err := b.once(ctx, p, rtt, loss)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.Mbit = rateOf(got.Bins)
	r.LateMbit = rateOf(got.Bins[len(got.Bins)/2:])
	if p.beside {
		r.BesideMbit = rateOf(got.Beside[len(got.Beside)/2:])
	}
	if p.pages {
		r.Mbit *= 1 - stats.LossForward
		r.LateMbit *= 1 - stats.LossForward
	}
	r.Share = r.LateMbit * 1e6 / (b.rate * 1440 / 1500 * (1 - stats.LossForward))
	r.Overruns = stats.Overruns
	r.Late = float64(stats.Overruns) / float64(max(1, stats.Forward.Sent+stats.Backward.Sent))
	return r
}

// linkStats is what wanlink says at its end.
type linkStats struct {
	Event       string  `json:"event"`
	LossForward float64 `json:"loss_forward"`
	Overruns    int64   `json:"overruns"`
	Forward     direction
	Backward    direction
}

type direction struct {
	Sent int64 `json:"sent"`
}

func (b *bench) once(ctx context.Context, p peer, rtt, loss float64) (got metered, stats linkStats, err error) {
	b.count++
	dir := filepath.Join(b.dir, strconv.Itoa(b.count))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return got, stats, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "out")
	limit := max(b.limit, time.Duration(15*rtt*float64(time.Millisecond)))
	patience := limit + 20*time.Second + headStart
	cmd := exec.CommandContext(ctx, b.wanlink, "tun", "--timeout", patience.String(),
		"--rate", strconv.FormatFloat(b.rate, 'f', 0, 64), "--rtt", fmt.Sprintf("%gms", rtt), "--loss", strconv.FormatFloat(loss/100, 'f', -1, 64),
		"--queue", b.queue.String(), "--server", p.server, "--client", p.client)
	// Windows twice as large as link and queue hold, or what SRT has by itself: much larger ones slow it down.
	window := max(8192, int(2*b.rate/8/1500*(rtt/1e3+b.queue.Seconds())))
	cmd.Env = append(cmd.Environ(), fmt.Sprintf("WINDOW=%d", window), fmt.Sprintf("BUFFER=%d", window*1500), "SELF="+b.self, "OUT="+out, "DIR="+dir, "LIMIT="+limit.String(), fmt.Sprintf("MBIT=%g", b.rate/1e6), fmt.Sprintf("KBIT=%.0f", b.rate/1e3))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// It has namespaces to remove, which a second signal would keep it from.
	stop := sync.OnceFunc(func() { cmd.Process.Signal(syscall.SIGTERM) })
	cmd.Cancel = func() error { stop(); return nil }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return got, stats, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// The receiver is done when its file is there; what the sender thinks does not matter.
	for waiting := true; waiting; {
		select {
		case err = <-ended:
			waiting = false
		case <-time.After(50 * time.Millisecond):
			if _, err := os.Stat(out); err == nil {
				stop()
				<-ended
				waiting = false
			}
		}
	}
	for line := range bytes.Lines(stdout.Bytes()) {
		if json.Unmarshal(line, &stats) == nil && stats.Event == "stats" {
			break
		}
	}
	text, rerr := os.ReadFile(out)
	if rerr != nil {
		if err == nil {
			err = errors.New("nothing arrived")
		}
		return got, stats, fmt.Errorf("%w: %s", err, tail(stderr.Bytes()))
	}
	if err := json.Unmarshal(text, &got); err != nil {
		return got, stats, err
	}
	if len(got.Bins) < 2 {
		return got, stats, errors.New("it ended at once")
	}
	return got, stats, nil
}

func tail(b []byte) []byte {
	b = bytes.TrimSpace(b)
	return bytes.TrimSpace(b[max(0, len(b)-300):])
}
