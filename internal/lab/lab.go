package lab

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Lab knows where the programs are and where to keep what they make.
type Lab struct {
	Bin string   // folder with twcp, twnode and wanlink
	Dir string   // work folder
	Env []string // added to the environment of the programs, such as the credentials of a store

	NodeHost  string                // where nodes listen, on a link that takes no packets above 1,500 bytes; empty is loopback
	NodeStart func(*exec.Cmd) error // starts the process of a node, such as in a network namespace; nil is its Start
}

// Build builds the programs from the module in the current folder into bin.
func Build(ctx context.Context, bin string) error {
	abs, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", abs+string(filepath.Separator), "./cmd/twcp", "./cmd/twnode", "./internal/wanlink/cmd/wanlink")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// Node is a running twnode with one access key for all of its docroot.
type Node struct {
	Addr        string // host:port
	Fingerprint string
	Token       string // for ASPERA_SCP_TOKEN
	Docroot     string
	State       string
	key         string
	proc        *process
}

// StartNode starts a node on docroot, which exists, and waits until it is ready.
func (l *Lab) StartNode(ctx context.Context, docroot string, args ...string) (*Node, error) {
	secret := make([]byte, 20)
	rand.Read(secret)
	n := &Node{Docroot: docroot, State: filepath.Join(l.Dir, "state-"+hex.EncodeToString(secret[:4])), key: "lab:" + hex.EncodeToString(secret), Addr: net.JoinHostPort(cmp.Or(l.NodeHost, "127.0.0.1"), "0")}
	n.Token = "Basic " + base64.StdEncoding.EncodeToString([]byte(n.key))
	return n, l.Restart(ctx, n, args...)
}

// Restart starts the node again, on the same address, after Stop or Kill.
func (l *Lab) Restart(ctx context.Context, n *Node, args ...string) error {
	args = append([]string{"serve", "--docroot", n.Docroot, "--state", n.State, "--listen", n.Addr, "--log-level", "error"}, args...)
	if l.NodeHost == "" {
		// Packets of 1,500 bytes, although loopback takes larger ones: that is what a path is emulated for.
		args = append(args, "--datagram-size", "1472")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(l.Bin, "twnode"), args...)
	cmd.Env = append(append(cmd.Environ(), l.Env...), "TWNODE_BOOTSTRAP_KEY="+n.key)
	begin := l.NodeStart
	if begin == nil {
		begin = (*exec.Cmd).Start
	}
	p, line, err := start(cmd, begin)
	if err != nil {
		return fmt.Errorf("start twnode: %w", err)
	}
	var ready struct {
		Addresses   []string `json:"addresses"`
		Fingerprint string   `json:"fingerprint"`
	}
	if err := json.Unmarshal(line, &ready); err != nil || len(ready.Addresses) == 0 {
		p.stop(syscall.SIGKILL)
		return fmt.Errorf("twnode said %q when it was ready", line)
	}
	n.Addr, n.Fingerprint, n.proc = ready.Addresses[0], ready.Fingerprint, p
	return nil
}

// Stop ends the node in an orderly way, and Kill at once; both wait and return what it used.
func (n *Node) Stop() (Usage, error) { return n.proc.stop(syscall.SIGTERM) }

// Kill ends the node as kill -9 does.
func (n *Node) Kill() (Usage, error) { return n.proc.stop(syscall.SIGKILL) }

// Link says what an emulated link is like; loss and delay apply to both directions, the loss after the bottleneck.
type Link struct {
	Rate  float64 // bit/s
	RTT   time.Duration
	Loss  float64
	Queue time.Duration
	Seed  uint64
}

// Args returns the flags of wanlink that make the link.
func (k Link) Args() []string {
	return []string{
		"--rate", strconv.FormatFloat(k.Rate, 'f', 0, 64), "--rtt", k.RTT.String(), "--loss", strconv.FormatFloat(k.Loss, 'f', -1, 64),
		"--queue", k.Queue.String(), "--seed", strconv.FormatUint(k.Seed, 10),
	}
}

// Relay is a running wanlink relay.
type Relay struct {
	Addr string
	proc *process
}

// RelayStats is what a relay tells at its end.
type RelayStats struct {
	LossForward float64 `json:"loss_forward"` // realised
	LossBack    float64 `json:"loss_back"`
	Overruns    int64   `json:"overruns"` // packets that the emulator itself lost or delayed
}

// StartRelay starts a relay to the address.
func (l *Lab) StartRelay(ctx context.Context, to string, k Link) (*Relay, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(l.Bin, "wanlink"), append([]string{"relay", "--to", to}, k.Args()...)...)
	p, line, err := start(cmd, (*exec.Cmd).Start)
	if err != nil {
		return nil, fmt.Errorf("start wanlink: %w", err)
	}
	var ready struct {
		Addr string `json:"addr"`
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		p.stop(syscall.SIGKILL)
		return nil, fmt.Errorf("wanlink said %q when it was ready", line)
	}
	return &Relay{Addr: ready.Addr, proc: p}, nil
}

// Stop ends the relay and returns what it counted.
func (r *Relay) Stop() (s RelayStats, err error) {
	if _, err := r.proc.stop(syscall.SIGTERM); err != nil {
		return s, err
	}
	return s, json.Unmarshal(bytes.TrimSpace(r.proc.rest.Bytes()), &s)
}

// Copy makes the command of a twcp to or from the node through addr; args are flags, sources and destination, in which "NODE:" stands for the remote side.
func (l *Lab) Copy(ctx context.Context, n *Node, addr string, args ...string) (*exec.Cmd, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	full := []string{"-O", port, "--fingerprint", n.Fingerprint}
	for _, a := range args {
		if rest, ok := bytes.CutPrefix([]byte(a), []byte("NODE:")); ok {
			a = host + ":" + string(rest)
		}
		full = append(full, a)
	}
	cmd := l.Twcp(ctx, full...)
	cmd.Env = append(cmd.Env, "ASPERA_SCP_TOKEN="+n.Token)
	return cmd, nil
}

// Twcp makes the command of a twcp that involves no node. It keeps its state and configuration below Dir.
func (l *Lab) Twcp(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(l.Bin, "twcp"), args...)
	dir, err := filepath.Abs(l.Dir) // where these are relative, twcp takes the user's own instead
	if err != nil {
		cmd.Err = err
	}
	cmd.Env = append(append(cmd.Environ(), l.Env...), "XDG_STATE_HOME="+filepath.Join(dir, "client-state"), "XDG_CONFIG_HOME="+filepath.Join(dir, "client-config"))
	cmd.Stderr = os.Stderr
	return cmd
}

// Usage is what a process used.
type Usage struct {
	Wall    time.Duration
	CPU     time.Duration // user and system
	MaxRSS  int64         // bytes of resident memory at the peak
	Success bool
}

// Run runs a command to its end.
func Run(cmd *exec.Cmd) (Usage, error) { return RunBy(cmd, (*exec.Cmd).Start) }

// RunBy is Run for a command that start starts, such as in a network namespace.
func RunBy(cmd *exec.Cmd, start func(*exec.Cmd) error) (Usage, error) {
	begin := time.Now()
	err := start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	return usage(cmd, time.Since(begin)), err
}

func usage(cmd *exec.Cmd, wall time.Duration) Usage {
	u := Usage{Wall: wall}
	if s := cmd.ProcessState; s != nil {
		u.CPU = s.UserTime() + s.SystemTime()
		u.Success = s.Success()
		u.MaxRSS = maxRSS(s)
	}
	return u
}

// process is a program that says in one line that it is ready and then serves.
type process struct {
	cmd   *exec.Cmd
	begin time.Time
	rest  bytes.Buffer // what it printed after the first line
	done  chan error
}

func start(cmd *exec.Cmd, begin func(*exec.Cmd) error) (*process, []byte, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Stderr = os.Stderr
	if err := begin(cmd); err != nil {
		return nil, nil, err
	}
	p := &process{cmd: cmd, begin: time.Now(), done: make(chan error, 1)}
	r := bufio.NewReader(out)
	line, err := r.ReadBytes('\n')
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, nil, errors.New("it ended before it was ready")
	}
	go func() {
		_, err := p.rest.ReadFrom(r)
		p.done <- errors.Join(err, cmd.Wait())
	}()
	return p, line, nil
}

func (p *process) stop(sig syscall.Signal) (Usage, error) {
	p.cmd.Process.Signal(sig)
	err := <-p.done
	p.done <- err
	if sig == syscall.SIGKILL {
		err = nil
	}
	return usage(p.cmd, time.Since(p.begin)), err
}

// Bench makes the command of a twcp whose first argument is a command for a node, which comes last.
func (l *Lab) Bench(ctx context.Context, n *Node, args ...string) (*exec.Cmd, error) {
	host, port, err := net.SplitHostPort(n.Addr)
	if err != nil {
		return nil, err
	}
	cmd := l.Twcp(ctx, append(args, "-O", port, "--fingerprint", n.Fingerprint, host)...)
	cmd.Env = append(cmd.Env, "ASPERA_SCP_TOKEN="+n.Token)
	return cmd, nil
}
