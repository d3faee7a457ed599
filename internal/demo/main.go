// Demo shows what Tradewind is for: a directory crosses a lossy long-distance link to a node, byte for byte right, with a kill and
// a resume in the middle. It runs everything on this machine; the link is emulated.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
)

func main() {
	if len(os.Args) > 1 {
		switch {
		case os.Args[1] == "tcp-receive" && len(os.Args) == 5:
			exit(tcpReceive(os.Args[2], os.Args[3], os.Args[4]))
		case os.Args[1] == "tcp-send" && len(os.Args) == 5:
			exit(tcpSend(os.Args[2], os.Args[3], os.Args[4]))
		}
	}
	bin := flag.String("bin", "bin", "folder with the built programs; they are built first")
	noTCP := flag.Bool("no-tcp", false, "leave out the comparison with kernel TCP")
	store := flag.String("store", "", "`URI` of a place in an object store to send into, instead of a folder; credentials as in twcp ls --help")
	minio := flag.Bool("minio", false, "start a MinIO and send into it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	exit(run(ctx, *bin, *store, *minio, !*noTCP))
}

// run starts a MinIO if it is asked for, and the demonstration.
func run(ctx context.Context, bin, store string, minio, tcp bool) error {
	var env []string
	if minio {
		dir, err := os.MkdirTemp("", "tradewind-minio-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s, uri, err := startMinIO(ctx, dir)
		if err != nil {
			return err
		}
		defer s.Stop()
		store = uri
		env = []string{"AWS_ACCESS_KEY_ID=" + s.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.SecretKey}
	}
	return demo(ctx, bin, store, env, tcp)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo failed:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

const (
	large = 200_000_000
	small = 2000
)

var link = lab.Link{Rate: 200e6, RTT: 150 * time.Millisecond, Loss: 0.02, Queue: 100 * time.Millisecond, Seed: 1}

func demo(ctx context.Context, bin, store string, env []string, tcp bool) error {
	begin := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("[%5.1f s] %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
	say("building twcp, twnode and the link emulator")
	if err := lab.Build(ctx, bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tradewind-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l := &lab.Lab{Bin: bin, Dir: dir, Env: env}
	source, docroot := filepath.Join(dir, "source"), filepath.Join(dir, "docroot")
	if err := makeSource(source, docroot); err != nil {
		return err
	}
	say("made a tree: one file of 200 MB, %d small ones, an empty one, an empty folder", small)
	place := placeOf(l, docroot, store)
	defer place.remove(ctx)
	node, err := l.StartNode(ctx, place.docroot)
	if err != nil {
		return err
	}
	defer node.Kill()
	if store != "" {
		say("the node serves %s", place.docroot)
	}
	relay, err := l.StartRelay(ctx, node.Addr, link)
	if err != nil {
		return err
	}
	defer relay.Stop()
	say("a node is ready behind a link of 200 Mbit/s, 150 ms round trip, 2 %% loss each way")

	cmd, err := l.Copy(ctx, node, relay.Addr, "-d", "-l", "200M", "--policy", "fixed", source, "NODE:/incoming")
	if err != nil {
		return err
	}
	cmd.Stdout = os.Stdout
	tree, err := lab.Run(cmd)
	if err != nil {
		return fmt.Errorf("send the tree: %w", err)
	}
	size := int64(large + small*4096)
	bound := lab.Bound(size, link.Rate, link.RTT, link.Loss)
	arrived, err := place.fetch(ctx, "incoming/source")
	if err != nil {
		return err
	}
	n, err := lab.Compare(source, arrived)
	if err != nil {
		return fmt.Errorf("the trees differ: %w", err)
	}
	say("the tree has arrived: %d files compared byte by byte, all equal", n)

	resent, err := killAndResume(ctx, l, node, relay.Addr, filepath.Join(source, "large.bin"), say)
	if err != nil {
		return err
	}
	if arrived, err = place.fetch(ctx, "again/large.bin"); err != nil {
		return err
	}
	if err := lab.SameFile(filepath.Join(source, "large.bin"), arrived); err != nil {
		return err
	}
	say("the large file has arrived whole")

	fmt.Println()
	fmt.Printf("  %-44s %10s %14s\n", "200 Mbit/s, 150 ms, 2 % loss both ways", "time", "goodput")
	row := func(name string, d time.Duration, rate float64) {
		t := ""
		if d > 0 {
			t = fmt.Sprintf("%.2f s", d.Seconds())
		}
		fmt.Printf("  %-44s %10s %9.2f Mbit/s\n", name, t, rate/1e6)
	}
	row("the physical bound", bound, float64(size)*8/bound.Seconds())
	row(fmt.Sprintf("Tradewind, %d files (%.2f x the bound)", n, tree.Wall.Seconds()/bound.Seconds()), tree.Wall, float64(size)*8/tree.Wall.Seconds())
	if tcp {
		compareTCP(ctx, l, row)
	}
	fmt.Printf("  after kill -9 of the client in mid-transfer, the second run sent %.1f of 200 MB\n\n", float64(resent)/1e6)
	say("done")
	return nil
}

func makeSource(source, docroot string) error {
	for _, d := range []string{docroot, filepath.Join(source, "small"), filepath.Join(source, "empty folder")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	return errors.Join(
		lab.WriteFile(filepath.Join(source, "large.bin"), large, 7),
		lab.WriteSmall(filepath.Join(source, "small"), small, 4096),
		lab.WriteFile(filepath.Join(source, "empty.txt"), 0, 0),
	)
}

// line is what the demo reads of a line of twcp --json: progress while it runs, the result at the end.
type line struct {
	Type    string `json:"type"`
	Session struct {
		BytesSent int64 `json:"bytes_sent"`
	} `json:"session"`
	BytesSent    int64 `json:"bytes_sent"`
	BytesResumed int64 `json:"bytes_resumed"`
}

// killAndResume sends a file, kills the client in the middle and runs the same command again; it returns what that one sent.
func killAndResume(ctx context.Context, l *lab.Lab, node *lab.Node, addr, file string, say func(string, ...any)) (int64, error) {
	first, err := l.Copy(ctx, node, addr, "-d", "-l", "200M", "--policy", "fixed", "--json", file, "NODE:/again")
	if err != nil {
		return 0, err
	}
	out, err := first.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := first.Start(); err != nil {
		return 0, err
	}
	killed := false
	for d := json.NewDecoder(out); ; {
		var p line
		if err := d.Decode(&p); err != nil {
			break
		}
		if p.Session.BytesSent > large/2 && !killed {
			killed = true
			first.Process.Kill()
			say("client killed (kill -9) after it had sent %.0f of 200 MB", float64(p.Session.BytesSent)/1e6)
		}
	}
	if err := first.Wait(); err == nil || !killed {
		return 0, errors.New("the client was done before it could be killed")
	}
	say("running the same command again")
	second, err := l.Copy(ctx, node, addr, "-d", "-l", "200M", "--policy", "fixed", "--json", file, "NODE:/again")
	if err != nil {
		return 0, err
	}
	return resumedBytes(second)
}

// resumedBytes runs the command and returns how many bytes of content it sent.
func resumedBytes(cmd *exec.Cmd) (int64, error) {
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("resume: %w", err)
	}
	var last line
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l line
		if err := d.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			return 0, fmt.Errorf("resume: what twcp printed: %w", err)
		}
		last = l
	}
	switch {
	case last.Type != "result":
		return 0, errors.New("resume: twcp printed no result")
	case last.BytesResumed == 0:
		return 0, errors.New("resume: everything was sent again")
	}
	return last.BytesSent, nil
}

func compareTCP(ctx context.Context, l *lab.Lab, row func(string, time.Duration, float64)) {
	if os.Geteuid() != 0 {
		fmt.Println("  kernel TCP over the same link: left out, it needs root for network namespaces")
		return
	}
	for _, control := range []string{"cubic", "bbr"} {
		rate, err := kernelTCP(ctx, l, link, control, 8*time.Second)
		if err != nil {
			fmt.Printf("  kernel TCP (%s) over the same link: left out: %v\n", control, err)
			continue
		}
		row("kernel TCP, "+control+", one connection, 8 s", 0, rate)
	}
}
