package mgmt

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// event is a frame as managers of Ruby have it: names and values.
type event map[string]string

func (e event) int(name string) int64 {
	n, err := strconv.ParseInt(e[name], 10, 64)
	if err != nil {
		return 0 // as to_i does
	}
	return n
}

var fieldLine = regexp.MustCompile(`^([^:]+): (.*)$`)

// listen reads as applications do that know nothing of escapes and take no line for granted: line by line, until the connection ends.
func listen(r io.Reader, each func(event)) error {
	var current event
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" {
			return nil
		}
		if err != nil {
			return fmt.Errorf("in a line: %w", err)
		}
		line = strings.TrimSuffix(line, "\n")
		m := fieldLine.FindStringSubmatch(line)
		switch {
		case line == "FASPMGR 2":
			current = event{}
		case m != nil && current != nil:
			if _, twice := current[m[1]]; twice {
				return fmt.Errorf("%s stands there twice", m[1])
			}
			current[m[1]] = m[2]
		case line == "" && current != nil:
			each(current)
			current = nil
		default:
			return fmt.Errorf("unexpected line %q", line)
		}
	}
}

// manager keeps what two kinds of applications make of frames: progress of TransferBytes and StartByte, and of FileBytes, both against PreTransferBytes, which one kind adds up.
type manager struct {
	session           string
	types             []string
	total, at, atFile int64
	totals            int
	files             map[string]int64 // by STOP and SKIP
	failed            []string
	last              event
	broken            []string
}

func (m *manager) event(e event) {
	complain := func(format string, args ...any) {
		m.broken = append(m.broken, e["Type"]+": "+fmt.Sprintf(format, args...))
	}
	m.types = append(m.types, e["Type"])
	if m.last != nil && (m.last["Type"] == "DONE" || m.last["Type"] == "ERROR") {
		complain("behind the last frame")
	}
	m.last = e
	if m.session == "" {
		m.session = e["SessionId"]
		if e["Type"] != "INIT" {
			complain("comes first")
		}
	}
	if e["SessionId"] != m.session || m.session == "" {
		complain("is of session %q", e["SessionId"])
	}
	switch e["Type"] {
	case "NOTIFICATION":
		m.total += e.int("PreTransferBytes")
		m.totals++
	case "STOP", "SKIP":
		m.files[e["File"]] += e.int("Size")
	case "FILEERROR":
		m.failed = append(m.failed, e["File"])
	case "STATS", "DONE", "ERROR":
		at, file := e.int("TransferBytes")+e.int("StartByte"), e.int("FileBytes")
		switch {
		case at != file:
			complain("TransferBytes and StartByte are %d, FileBytes is %d", at, file)
		case at < m.at:
			complain("progress goes back from %d to %d", m.at, at)
		case e.int("StartByte") < 0 || e.int("TransferBytes") < 0:
			complain("negative numbers")
		case m.totals > 0 && at > m.total:
			complain("%d of %d bytes", at, m.total)
		}
		m.at, m.atFile = at, file
	}
}

// completed checks that a manager is content with the end of a transfer of so many bytes in so many files.
func (m *manager) completed(t *testing.T, bytes int64, files int) {
	t.Helper()
	require.Empty(t, m.broken)
	require.Equal(t, "DONE", m.last["Type"])
	require.Equal(t, 1, m.totals, "totals are told once")
	require.Equal(t, bytes, m.total)
	require.Equal(t, m.total, m.at, "TransferBytes + StartByte")
	require.Equal(t, m.total, m.atFile, "FileBytes")
	require.Len(t, m.files, files)
	sum := int64(0)
	for _, n := range m.files {
		sum += n
	}
	require.Equal(t, bytes, sum, "sizes of STOP and SKIP")
}

// tree makes files of random bytes below a new folder "tree", and returns how many bytes they have.
func tree(t *testing.T, names ...int) (root string, total int64) {
	root = filepath.Join(t.TempDir(), "tree")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "d"), 0o755))
	rng := rand.NewChaCha8([32]byte{1})
	for i, n := range names {
		b := make([]byte, n)
		_, _ = rng.Read(b)
		require.NoError(t, os.WriteFile(filepath.Join(root, "d", fmt.Sprintf("f%02d", i)), b, 0o644))
		total += int64(n)
	}
	return root, total
}

// serve returns a Dial whose sessions are served out of store, each over a link of its own with the options that opt returns.
func serve(store transfer.Store, ended *chan struct{}, opt func() transfertest.Options) func(context.Context, *transfer.Spec) (fasp.Session, error) {
	return func(context.Context, *transfer.Spec) (fasp.Session, error) {
		if *ended != nil {
			<-*ended
		}
		c, s := transfertest.Pair(opt())
		ch := make(chan struct{})
		*ended = ch
		go func() {
			defer close(ch)
			_ = transfer.Serve(context.Background(), s, transfer.ServeConfig{
				Store: store, Limits: transfer.Limits{Read: true, Write: true, List: true, Delete: true}, Sessions: new(transfer.Sessions),
			})
		}()
		return c, nil
	}
}

// TestLostLinks runs transfers over links that are cut, which go on by themselves, and ones that give up and are taken up by a second run. Whatever way the bytes came, a manager
// sees progress that never goes back, and the whole of it at the end.
func TestLostLinks(t *testing.T) {
	root, total := tree(t, 3<<20, 2<<20+12345, 1<<20, 0, 1000, 2000, 3000, 4000, 50_000, 100_000)
	seeds := uint64(40)
	if testing.Short() {
		seeds = 12
	}
	again := 0
	for seed := range seeds {
		for _, up := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d %v", seed, up), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { again += lostLinks(t, seed, up, root, total) })
			})
		}
	}
	require.NotZero(t, again, "nothing was there before in any run: the test shows nothing")
}

func lostLinks(t *testing.T, seed uint64, up bool, root string, total int64) (again int) {
	rng := rand.New(rand.NewPCG(seed, 2))
	dst := t.TempDir()
	spec := transfer.Spec{Direction: transfer.Send, Paths: []transfer.Path{{Source: root}}, Destination: "/", CreateDir: true}
	served := dst
	if !up {
		served = root
		spec = transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: "."}}, Destination: filepath.Join(dst, "tree"), CreateDir: true}
	}
	spec.BlockSize = 64 << 10
	spec.Resume = transfer.ResumeLevel(rng.IntN(4))
	store, err := transfer.OpenDir(served)
	require.NoError(t, err)
	defer store.Close()

	var ended chan struct{}
	cuts := rng.IntN(4)
	givesUp := rng.IntN(2) == 0
	state := t.TempDir()
	run := func(timeout time.Duration) (*manager, error) {
		out := new(strings.Builder)
		p := NewPort(out, Config{Spec: spec})
		require.NoError(t, p.Init())
		res, err := transfer.Run(context.Background(), transfer.Config{
			RetryWait: 10 * time.Millisecond, RetryTimeout: timeout, StateDir: state, Events: p.Event,
			Dial: serve(store, &ended, func() transfertest.Options {
				o := transfertest.Options{Seed: rng.Uint64(), Window: 64<<10 + rng.IntN(1<<20), Reorder: rng.IntN(4), Latency: time.Duration(1+rng.IntN(400)) * time.Millisecond}
				if cuts > 0 {
					cuts--
					o.CutAfter = 1 + rng.Int64N(total)
				}
				return o
			}),
		}, spec)
		require.NoError(t, p.Finish(res, err, transfer.CodeConnectionLost, ""))
		m := &manager{files: map[string]int64{}}
		require.NoError(t, listen(strings.NewReader(out.String()), m.event), "seed %d", seed)
		require.Empty(t, m.broken, "seed %d", seed)
		return m, err
	}
	if givesUp {
		if m, err := run(-1); err != nil { // the first cut ends it; a second run finds what is there
			require.Equal(t, "ERROR", m.last["Type"])
		}
	}
	m, err := run(0)
	<-ended
	require.NoError(t, err, "seed %d", seed)
	m.completed(t, total, 10)
	require.Empty(t, m.failed)
	if m.last.int("StartByte") > 0 {
		again++
	}
	return again
}

// TestOverTCP is an application as a whole: it listens, the transfer connects, and between the frames it changes the rate, asks, and cancels.
func TestOverTCP(t *testing.T) {
	root, _ := tree(t, 1000, 2000)
	store, err := transfer.OpenDir(t.TempDir())
	require.NoError(t, err)
	defer store.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()

	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	spec := transfer.Spec{Paths: []transfer.Path{{Source: root}}, Destination: "/", CreateDir: true}
	p := NewPort(client, Config{Spec: spec, UserStr: "app-1"})
	require.NoError(t, p.Init())
	app, err := l.Accept()
	require.NoError(t, err)
	defer app.Close()
	m := &manager{files: map[string]int64{}}
	heard, answered := make(chan error, 1), make(chan event, 1)
	go func() {
		heard <- listen(app, func(e event) {
			if e["Type"] == "QUERYRSP" {
				answered <- e
			}
			m.event(e)
		})
	}()

	// The transfer begins when the application has said so, and the application is answered before it ends.
	commands := NewReader(client)
	next := func() Command {
		f, err := commands.Next()
		require.NoError(t, err)
		c, err := ParseCommand(f)
		require.NoError(t, err)
		return c
	}
	_, err = io.WriteString(app, "FASPMGR 2\nType: RATE\nRate: 5000\n\nFASPMGR 2\nType: QUERY\nCommandId: 9\n\n")
	require.NoError(t, err)
	rates, err := next().Rates.Apply(spec.Rates)
	require.NoError(t, err)
	require.Equal(t, 5*fasp.Mbps, rates.Target)
	p.SetRates(rates)
	require.NoError(t, p.Answer(next()))
	require.Equal(t, "9", (<-answered)["CommandId"])

	var ended chan struct{}
	res, err := transfer.Run(context.Background(), transfer.Config{
		Events: p.Event, Dial: serve(store, &ended, func() transfertest.Options { return transfertest.Options{} }),
	}, spec)
	require.NoError(t, err)
	<-ended
	require.NoError(t, p.Finish(res, nil, 0, ""))
	require.NoError(t, client.Close())
	require.NoError(t, <-heard)
	m.completed(t, 3000, 2)
	require.Equal(t, "app-1", m.last["UserStr"])
	require.Equal(t, []string{"INIT", "QUERYRSP", "SESSION"}, m.types[:3])
}
