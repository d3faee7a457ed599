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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// localPeer is a transport between two processes. Server and client are commands of the shell, which they replace, so that
// what the system says of the process is the transport's. want is the least ratio of ours to it, by MTU.
type localPeer struct {
	name, server, client string
	want                 map[int]float64
}

func localPeers(dir string) []localPeer {
	role := func(name, kind, argument string, want map[int]float64) localPeer {
		return localPeer{name, `exec "$SELF" role ` + kind + `-receive`, `exec "$SELF" role ` + kind + `-send ` + argument, want}
	}
	srt, udt := filepath.Join(dir, "srt"), filepath.Join(dir, "udt")
	return []localPeer{
		role("tradewind-high", "tradewind", "high", nil),
		role("quic-go", "quic", "", map[int]float64{1500: 2, 9000: 2}),
		// SRT refuses packets above 1,500 bytes, and quic-go has none, whatever the MTU.
		{"srt", `exec ` + srt + ` receive 5001 1500 25600`, `exec ` + srt + ` send $SERVER 5001 1500 25600`, map[int]float64{1500: 5, 9000: 5}},
		{"udt", `exec ` + udt + ` receive 5001 25600`, `exec ` + udt + ` send $SERVER 5001 25600`, map[int]float64{1500: 5, 9000: 5}},
		role("tcp", "tcp", "cubic 1", nil),
		role("tcp-tls", "tls", "", map[int]float64{1500: 0.5, 9000: 0.8}),
	}
}

// localReport is the file of results of -local.
type localReport struct {
	Command string            `json:"command"`
	At      string            `json:"at"`
	Load    string            `json:"load"` // of the machine when it began
	Seconds float64           `json:"seconds"`
	Skipped map[string]string `json:"skipped,omitempty"` // peer: reason
	Runs    []localRun        `json:"runs"`
}

type localRun struct {
	Round       int     `json:"round"`
	Link        string  `json:"link"`
	MTU         int     `json:"mtu"`
	Peer        string  `json:"peer"`
	Gbit        float64 `json:"gbit"`            // content per second of time
	Sender      float64 `json:"sender_s_per_gb"` // user and system time of the process, from its start to its end, and what the kernel does for packets in its turn
	Receiver    float64 `json:"receiver_s_per_gb"`
	GbitPerCPU  float64 `json:"gbit_per_cpu_s"`          // of both together
	RatioOfOurs float64 `json:"ratio_of_ours,omitempty"` // ours over this one's, same round
	Error       string  `json:"error,omitempty"`
}

// runLocal measures all peers in turns, each round begun by another.
func runLocal(ctx context.Context, rounds int, limit time.Duration, names, out, at string) error {
	dir, err := os.MkdirTemp("", "tradewind-local-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	r := localReport{Command: strings.Join(append([]string{"peers"}, os.Args[1:]...), " "), At: at, Load: strings.TrimSpace(string(load)), Seconds: limit.Seconds(), Skipped: map[string]string{}}
	for name, library := range map[string]string{"srt": "-lsrt", "udt": "-ludt"} {
		if b, err := exec.CommandContext(ctx, "g++", "-O2", "-o", filepath.Join(dir, name), name+"/"+name+".cc", library, "-lpthread").CombinedOutput(); err != nil {
			r.Skipped[name] = fmt.Sprintf("%v (install libsrt-openssl-dev or libudt-dev): %s", err, tail(b))
			fmt.Printf("SKIPPED %s: %s\n", name, r.Skipped[name])
		}
	}
	all := slices.DeleteFunc(localPeers(dir), func(p localPeer) bool {
		return r.Skipped[p.name] != "" || names != "" && !slices.Contains(strings.Split(names, ","), p.name)
	})
	for round := range rounds {
		for _, link := range []string{"loopback", "veth"} {
			for _, mtu := range []int{1500, 9000} {
				first := len(r.Runs)
				for i := range all {
					p := all[(i+round)%len(all)]
					v := localRun{Round: round + 1, Link: link, MTU: mtu, Peer: p.name}
					if err := v.measure(ctx, p, dir, limit); err != nil {
						if ctx.Err() != nil {
							return ctx.Err()
						}
						v.Error = err.Error()
					}
					r.Runs = append(r.Runs, v)
					fmt.Printf("%d %-8s %4d %-14s %6.2f Gbit/s, sender %.3f s/GB, receiver %.3f, %.2f Gbit per CPU second %s\n", v.Round, link, mtu, p.name, v.Gbit, v.Sender, v.Receiver, v.GbitPerCPU, v.Error)
				}
				r.compare(first)
				b, err := json.MarshalIndent(r, "", " ")
				if err != nil {
					return err
				}
				if err := os.WriteFile(out, append(b, '\n'), 0o644); err != nil { // at once: a run of all takes long
					return err
				}
			}
		}
	}
	r.print(all)
	return nil
}

// compare sets the ratios of the runs from first on, which stood side by side.
func (r *localReport) compare(first int) {
	runs := r.Runs[first:]
	i := slices.IndexFunc(runs, func(v localRun) bool { return v.Peer == "tradewind-high" && v.Error == "" })
	for k := range runs {
		if i >= 0 && k != i && runs[k].Error == "" {
			runs[k].RatioOfOurs = runs[i].GbitPerCPU / runs[k].GbitPerCPU
		}
	}
}

// lay makes the two namespaces; for loopback they are one. A device's segmentation is off on veth, so that each packet costs what it costs.
func lay(ctx context.Context, link string, mtu int) (server, client, addr string, remove func(), err error) {
	a := "tw-local-" + strconv.Itoa(os.Getpid())
	b := a + "-b"
	lines := "ip netns add " + a + "; ip -n " + a + " link set lo mtu " + strconv.Itoa(mtu) + " up"
	server, client, addr = a, a, "127.0.0.1"
	if link == "veth" {
		client, addr = b, "10.78.0.1"
		lines = fmt.Sprintf(`ip netns add %[1]s; ip netns add %[2]s; ip link add v1 mtu %[3]d netns %[1]s type veth peer name v1 mtu %[3]d netns %[2]s
ip -n %[1]s addr add 10.78.0.1/24 dev v1; ip -n %[2]s addr add 10.78.0.2/24 dev v1
for n in %[1]s %[2]s; do ip -n $n link set v1 up; ip netns exec $n ethtool -K v1 tx-udp-segmentation off tso off gso off gro off; done`, a, b, mtu)
	}
	// A name that is not there is no error: removal also follows what was made in part.
	remove = func() {
		for _, n := range []string{a, b} {
			if _, err := os.Stat("/run/netns/" + n); err == nil {
				if out, err := exec.Command("ip", "netns", "del", n).CombinedOutput(); err != nil {
					fmt.Fprintf(os.Stderr, "peers: remove namespace %s: %v: %s\n", n, err, out)
				}
			}
		}
	}
	if out, err := exec.CommandContext(ctx, "sh", "-ec", lines).CombinedOutput(); err != nil {
		remove()
		return "", "", "", nil, fmt.Errorf("lay %s: %w: %s", link, err, tail(out))
	}
	return server, client, addr, remove, nil
}

// measure runs a peer once.
func (v *localRun) measure(ctx context.Context, p localPeer, dir string, limit time.Duration) error {
	server, client, addr, remove, err := lay(ctx, v.Link, v.MTU)
	if err != nil {
		return err
	}
	defer remove()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out := filepath.Join(dir, "out")
	ctx, cancel := context.WithTimeout(ctx, limit+15*time.Second)
	defer cancel()
	start := func(namespace, line string) (*exec.Cmd, *bytes.Buffer, error) {
		c := exec.CommandContext(ctx, "ip", "netns", "exec", namespace, "sh", "-c", line)
		c.Env = append(c.Environ(), "SELF="+self, "OUT="+out, "LIMIT="+limit.String(), fmt.Sprintf("SECONDS=%g", limit.Seconds()), "SERVER="+addr, fmt.Sprintf("MTU=%d", v.MTU))
		var stderr bytes.Buffer
		c.Stderr = &stderr
		c.WaitDelay = 2 * time.Second
		return c, &stderr, c.Start()
	}
	r, rerr, err := start(server, p.server)
	if err != nil {
		return err
	}
	if err := listening(ctx, server); err != nil {
		cancel()
		return errors.Join(err, r.Wait(), errors.New(string(tail(rerr.Bytes()))))
	}
	s, serr, err := start(client, p.client)
	if err != nil {
		cancel()
		return errors.Join(err, r.Wait())
	}
	err = r.Wait() // the receiver ends when it has measured
	s.Process.Signal(syscall.SIGTERM)
	s.Wait() // it ends by a signal, or by what the receiver's end is to it
	if err != nil {
		return fmt.Errorf("receiver: %w: %s; sender: %s", err, tail(rerr.Bytes()), tail(serr.Bytes()))
	}
	text, err := os.ReadFile(out)
	if err = errors.Join(err, os.Remove(out)); err != nil {
		return err
	}
	var got metered
	if err := json.Unmarshal(text, &got); err != nil {
		return err
	}
	v.Gbit = rateOf(got.Bins) / 1e3
	gb := v.Gbit / 8 * float64(len(got.Bins)) * bin.Seconds()
	if gb == 0 {
		return errors.New("nothing arrived")
	}
	used := func(c *exec.Cmd) float64 {
		return (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds() / gb
	}
	v.Sender, v.Receiver = used(s), used(r)
	v.GbitPerCPU = 8 / (v.Sender + v.Receiver)
	return nil
}

// listening waits until something in the namespace has the port.
func listening(ctx context.Context, namespace string) error {
	for {
		b, err := exec.CommandContext(ctx, "ip", "netns", "exec", namespace, "cat", "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6").Output()
		if err != nil {
			return fmt.Errorf("wait for the receiver: %w", err)
		}
		if bytes.Contains(b, []byte(":1389 ")) { // 5001
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// print writes the table for docs/performance.md: medians of the rounds.
func (r *localReport) print(all []localPeer) {
	fmt.Print("\n| link, MTU | | Gbit/s | sender s/GB | receiver s/GB | Gbit per CPU second | ours to it |\n|---|---|---|---|---|---|---|\n")
	for _, link := range []string{"loopback", "veth"} {
		for _, mtu := range []int{1500, 9000} {
			for _, p := range all {
				of := func(f func(localRun) float64) float64 {
					var l []float64
					for _, v := range r.Runs {
						if v.Link == link && v.MTU == mtu && v.Peer == p.name && v.Error == "" {
							l = append(l, f(v))
						}
					}
					if len(l) == 0 {
						return 0
					}
					slices.Sort(l)
					return (l[len(l)/2] + l[(len(l)-1)/2]) / 2
				}
				ratio := of(func(v localRun) float64 { return v.RatioOfOurs })
				note := ""
				if ratio > 0 {
					note = fmt.Sprintf("%.2f", ratio)
				}
				if w := p.want[mtu]; ratio < w {
					note = fmt.Sprintf("**%s** (wanted %g)", note, w)
				}
				fmt.Printf("| %s, %d | %s | %.2f | %.2f | %.2f | %.2f | %s |\n", link, mtu, p.name, of(func(v localRun) float64 { return v.Gbit }), of(func(v localRun) float64 { return v.Sender }),
					of(func(v localRun) float64 { return v.Receiver }), of(func(v localRun) float64 { return v.GbitPerCPU }), note)
			}
		}
	}
}
