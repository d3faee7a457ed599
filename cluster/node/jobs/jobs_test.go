package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/state"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// bench is a manager with keys whose places are folders below local, and another node that serves the folder remote.
type bench struct {
	t             testing.TB
	dir           string
	local, remote string
	keys          *accesskey.MemStore
	cfg           Config
	m             *Manager
	stop          func()
	sessions      transfer.Sessions // of the other node: a new session of a job ends the one before

	mu    sync.Mutex                                 // guards what follows
	dial  func(ctx context.Context, to Remote) error // before each session; nil does nothing
	tos   []Remote
	wg    sync.WaitGroup // of sessions served
	fails []error
}

var anna = accesskey.Grant{KeyID: "anna", Tenant: "acme", Rights: accesskey.AllRights(), Root: "anna"}

func newBench(t testing.TB) *bench { return newBenchWith(t, nil, nil) }

// newBenchWith prepares the folder of the state before it is used, and has a clock on the wall; both may be nil.
func newBenchWith(t testing.TB, prepare func(dir string), wall func() time.Time) *bench {
	dir := t.TempDir()
	b := &bench{t: t, dir: dir, local: filepath.Join(dir, "local"), remote: filepath.Join(dir, "remote"), keys: &accesskey.MemStore{}}
	for _, d := range []string{"local/anna", "local/bert", "remote", "state"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	if prepare != nil {
		prepare(filepath.Join(dir, "state"))
	}
	for _, id := range []string{"anna", "bert"} {
		k, _, err := accesskey.NewKey(accesskey.Credential{ID: id, Secret: id + "-0123456789abcdef0123456789"})
		require.NoError(t, err)
		k.Root, k.Tenant = id, map[string]string{"anna": "acme", "bert": "other"}[id]
		require.NoError(t, b.keys.Put(t.Context(), k))
	}
	s, err := state.Open(t.Context(), state.Config{Path: filepath.Join(dir, "state", "state.db"), Now: wall})
	require.NoError(t, err)
	b.cfg = Config{
		State: s, Master: accesskey.NewMaster(), Keys: b.keys, StateDir: filepath.Join(dir, "state"), RetryWait: time.Millisecond, RetryTimeout: -1, Now: wall,
		Open: func(_ context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
			d, err := transfer.OpenDir(filepath.Join(b.local, g.Root))
			return d, func() { _ = d.Close() }, err
		},
		Dial: b.connect,
	}
	b.start()
	t.Cleanup(func() {
		b.stop()
		b.wg.Wait()
		require.NoError(t, s.Close())
	})
	return b
}

// start runs a new manager over what is there.
func (b *bench) start() {
	var err error
	b.m, err = New(b.cfg)
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.m.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(b.t, <-ended)
	})
}

// connect is the other node.
func (b *bench) connect(ctx context.Context, _ accesskey.Grant, to Remote) (fasp.Session, error) {
	b.mu.Lock()
	b.tos = append(b.tos, to)
	before := b.dial
	b.mu.Unlock()
	if before != nil {
		if err := before(ctx, to); err != nil {
			return nil, err
		}
	}
	c, s := fasp.Pipe()
	if to.Spec.Direction == transfer.Send {
		c.SetRates(to.Spec.Rates)
	}
	b.wg.Go(func() {
		d, err := transfer.OpenDir(b.remote)
		if err == nil {
			defer d.Close()
			err = transfer.Serve(context.Background(), s, transfer.ServeConfig{Store: d, Limits: transfer.Limits{Read: true, Write: true, List: true, Delete: true}, Owner: "x", Sessions: &b.sessions})
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.fails = append(b.fails, err)
	})
	return c, nil
}

func (b *bench) write(name string, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(p) // nothing that compression makes small
	path := filepath.Join(b.dir, name)
	require.NoError(b.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(b.t, os.WriteFile(path, p, 0o644))
	return p
}

// spec is a specification with further fields over a good one.
func spec(fields map[string]any) []byte {
	j := map[string]any{
		"direction": "send", "remote_host": "other.example", "token": "Basic eDp5", "paths": []any{map[string]any{"source": "f"}}, "destination_root": "/in/", "rate_policy": "fair",
	}
	for k, v := range fields {
		if v == nil {
			delete(j, k)
		} else {
			j[k] = v
		}
	}
	b, _ := json.Marshal(j)
	return b
}

// until waits until a job is as ok says.
func (b *bench) until(id string, ok func(api.Transfer) bool) api.Transfer {
	b.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		t, err := b.m.Get(b.t.Context(), anna, id, 1000)
		require.NoError(b.t, err)
		if ok(t) {
			require.NoError(b.t, b.m.rec.flush(b.t.Context()))
			t, err = b.m.Get(b.t.Context(), anna, id, 1000)
			require.NoError(b.t, err)
			return t
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("the job stays %+v", t)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func is(s api.TransferStatus) func(api.Transfer) bool {
	return func(t api.Transfer) bool { return t.Status == s }
}

func (b *bench) create(fields map[string]any) api.Transfer {
	b.t.Helper()
	t, err := b.m.Create(b.t.Context(), anna, spec(fields))
	require.NoError(b.t, err)
	return t
}

func TestSendAndReceive(t *testing.T) {
	b := newBench(t)
	data := b.write("local/anna/f", 300_000)
	tr := b.create(map[string]any{"tags": map[string]any{"a": 1}, "cookie": "c", "delete_source": true, "sshfp": "sha256:ab"})
	require.Equal(t, api.Waiting, tr.Status)
	require.Equal(t, "basic_token", tr.Spec.TokenType)
	got := b.until(tr.ID, is(api.Completed))
	at, err := os.ReadFile(filepath.Join(b.remote, "in/f"))
	require.NoError(t, err)
	require.Equal(t, data, at)
	require.EqualValues(t, 300_000, got.BytesTransferred)
	require.EqualValues(t, 1, got.FilesCompleted)
	require.Equal(t, 1, got.Attempts)
	require.Equal(t, "ready", got.Precalc.Status)
	require.EqualValues(t, 300_000, got.Precalc.BytesExpected)
	require.Positive(t, got.Elapsed)
	require.Len(t, got.Sessions, 1)
	require.Equal(t, "completed", got.Sessions[0].Status)
	require.Len(t, got.Files, 1)
	require.Equal(t, api.TransferFile{ID: 1, Session: got.Sessions[0].ID, Path: "f", Type: "file", Status: "completed", Size: 300_000, BytesWritten: 300_000}, got.Files[0])
	require.Equal(t, []api.Note{{Field: "delete_source", Why: "sources are not removed"}}, got.Notes)
	require.JSONEq(t, `{"a":1}`, string(got.Spec.Tags))
	require.Equal(t, "sha256:ab", b.tos[0].Fingerprint)

	b.write("remote/out/g", 200_000)
	tr = b.create(map[string]any{"direction": "receive", "paths": []any{map[string]any{"source": "out/g"}}, "destination_root": "back", "create_dir": true})
	b.until(tr.ID, is(api.Completed))
	require.FileExists(t, filepath.Join(b.local, "anna/back/g"))

	events, _, err := b.cfg.State.Events(t.Context(), state.EventFilter{Key: "anna"}, state.Page{})
	require.NoError(t, err)
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, e.Type)
	}
	require.Equal(t, []string{"transfer.started", "transfer.ended", "transfer.started", "transfer.ended"}, kinds)
	row, err := b.cfg.State.Job(t.Context(), tr.ID)
	require.NoError(t, err)
	require.NotContains(t, string(row.Doc)+string(row.Report), "eDp5", "the token is sealed")
	sum := state.Usage{}
	list, _, err := b.cfg.State.Usage(t.Context(), state.UsageFilter{Key: "anna"}, state.Page{})
	require.NoError(t, err)
	for _, u := range list {
		sum.BytesIn, sum.BytesOut, sum.Sessions = sum.BytesIn+u.BytesIn, sum.BytesOut+u.BytesOut, sum.Sessions+u.Sessions
	}
	require.Equal(t, state.Usage{BytesIn: 200_000, BytesOut: 300_000, Sessions: 2}, sum)
}

// unheardOf are fields that nobody knows, which a transfer is shown with.
func unheardOf(n int) map[string]any {
	fields := map[string]any{}
	for i := range n {
		fields[fmt.Sprintf("%064d", i)] = 1
	}
	return fields
}

func TestRefused(t *testing.T) {
	b := newBench(t)
	for why, fields := range map[string]map[string]any{
		"remote_host is missing":          {"remote_host": nil},
		"token is missing":                {"token": nil},
		"token: want":                     {"token": "sesame"},
		"nothing to transfer":             {"paths": nil},
		"fasp_port 70000":                 {"fasp_port": 70000},
		"rate_policy":                     {"rate_policy": "reckless"},
		"leads out of the access key's":   {"paths": []any{map[string]any{"source": "a/../../b"}}},
		"policy fixed needs":              {"rate_policy": "fixed"},
		"direction":                       {"direction": "up"},
		`leads out of the access key's p`: {"direction": "receive", "destination_root": "../x"},
		"more than 65536 bytes together":  unheardOf(1000),
		"at most 16384 are taken":         {"tags": map[string]any{"a": strings.Repeat("x", 17_000)}},
	} {
		_, err := b.m.Create(t.Context(), anna, spec(fields))
		var e *api.Error
		require.ErrorAs(t, err, &e, why)
		require.Equal(t, http.StatusBadRequest, e.Code, why)
		require.ErrorContains(t, err, why)
		require.NotContains(t, err.Error(), "sesame")
	}
	for why, g := range map[string]accesskey.Grant{
		"may not read":   {KeyID: "anna", Rights: accesskey.Rights{Write: true}},
		"transfer token": {KeyID: "anna", Rights: accesskey.AllRights(), Within: []string{"x"}},
	} {
		_, err := b.m.Create(t.Context(), g, spec(nil))
		require.ErrorContains(t, err, why)
	}
	_, err := b.m.Create(t.Context(), accesskey.Grant{KeyID: "anna", Rights: accesskey.Rights{Read: true, List: true}}, spec(map[string]any{"direction": "receive"}))
	require.ErrorContains(t, err, "may not write")
	list, _, err := b.m.List(t.Context(), anna, Filter{})
	require.NoError(t, err)
	require.Empty(t, list)
}

// TestTenants: whatever one asks for, a transfer of another key is as one that does not exist.
func TestTenants(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 1000)
	tr := b.create(nil)
	b.until(tr.ID, is(api.Completed))
	bert := accesskey.Grant{KeyID: "bert", Tenant: "other", Rights: accesskey.AllRights()}
	_, errOther := b.m.Get(t.Context(), bert, tr.ID, 0)
	_, errNone := b.m.Get(t.Context(), bert, newID(), 0)
	require.Equal(t, errNone, errOther)
	cancel := "canceled"
	require.Equal(t, errNone, b.m.Change(t.Context(), bert, tr.ID, api.ChangeTransfer{Status: &cancel}))
	for _, f := range []Filter{{}, {Key: "anna"}, {Since: 1}} {
		list, _, err := b.m.List(t.Context(), bert, f)
		require.NoError(t, err)
		require.Empty(t, list)
	}
	master := accesskey.Grant{Master: true, Rights: accesskey.AllRights()}
	list, _, err := b.m.List(t.Context(), master, Filter{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	_, err = b.m.Get(t.Context(), master, tr.ID, 0)
	require.NoError(t, err)
}

// TestTries: what may pass is tried again, as often as allowed, and what may not is not.
func TestTries(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 1000)
	lost := &transfer.Error{Code: transfer.CodeConnectionError, Err: errors.New("no route")}
	left := 2
	b.dial = func(context.Context, Remote) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if left--; left >= 0 {
			return lost
		}
		return nil
	}
	got := b.until(b.create(nil).ID, is(api.Completed))
	require.Equal(t, 3, got.Attempts)
	require.Zero(t, got.ErrorCode)

	b.mu.Lock()
	left = 1000
	b.mu.Unlock()
	got = b.until(b.create(map[string]any{"xfer_max_retries": 1}).ID, is(api.Failed))
	require.Equal(t, 2, got.Attempts)
	require.EqualValues(t, transfer.CodeConnectionError, got.ErrorCode)
	require.Contains(t, got.ErrorDesc, "no route")
	got = b.until(b.create(nil).ID, is(api.Failed))
	require.Equal(t, 4, got.Attempts)

	b.mu.Lock()
	b.dial = func(context.Context, Remote) error {
		return &transfer.Error{Code: transfer.CodeAuth, Err: errors.New("refused")}
	}
	b.mu.Unlock()
	got = b.until(b.create(nil).ID, is(api.Failed))
	require.Equal(t, 1, got.Attempts)
	require.EqualValues(t, transfer.CodeAuth, got.ErrorCode)

	b.mu.Lock()
	b.dial = nil
	b.mu.Unlock()
	got = b.until(b.create(map[string]any{"paths": []any{map[string]any{"source": "f"}, map[string]any{"source": "missing"}}}).ID, is(api.PartiallyCompleted))
	require.EqualValues(t, 1, got.FilesFailed)

	// A key that goes while its job waits takes the job with it.
	b.cfg.Open, b.dial = nil, func(ctx context.Context, _ Remote) error { <-ctx.Done(); return context.Cause(ctx) }
	tr := b.create(nil)
	b.until(tr.ID, is(api.Running))
	paused, running := "paused", "running"
	require.NoError(t, b.m.Change(t.Context(), anna, tr.ID, api.ChangeTransfer{Status: &paused}))
	require.NoError(t, b.keys.Delete(t.Context(), "anna"))
	require.NoError(t, b.m.Change(t.Context(), anna, tr.ID, api.ChangeTransfer{Status: &running}))
	got = b.until(tr.ID, is(api.Failed))
	require.Contains(t, got.ErrorDesc, "does not exist")
}

// TestCancelPauseResume changes jobs that run and jobs that wait.
func TestCancelPauseResume(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 4<<20)
	canceled, paused, running := "canceled", "paused", "running"
	change := func(id string, status string) error {
		return b.m.Change(t.Context(), anna, id, api.ChangeTransfer{Status: &status})
	}
	tr := b.create(map[string]any{"target_rate_kbps": 40_000}) // most of a second
	b.until(tr.ID, func(t api.Transfer) bool { return t.BytesTransferred > 500_000 })
	require.NoError(t, change(tr.ID, paused))
	got := b.until(tr.ID, is(api.Paused))
	require.NoError(t, change(tr.ID, paused), "as it is")
	require.NoFileExists(t, filepath.Join(b.remote, "in/f"))
	require.Equal(t, 1, got.Attempts)
	target := int64(1_000_000)
	require.NoError(t, b.m.Change(t.Context(), anna, tr.ID, api.ChangeTransfer{TargetRate: &target}))
	require.NoError(t, change(tr.ID, running))
	got = b.until(tr.ID, is(api.Completed))
	require.FileExists(t, filepath.Join(b.remote, "in/f"))
	require.Less(t, got.BytesTransferred, int64(2*4<<20))
	require.EqualValues(t, target, got.Spec.TargetRate)
	require.Equal(t, fasp.Rate(target)*fasp.Kbps, b.tos[len(b.tos)-1].Spec.Rates.Target)
	require.Len(t, got.Sessions, 2)
	for _, s := range []string{canceled, paused, running} {
		var e *api.Error
		require.ErrorAs(t, change(tr.ID, s), &e)
		require.Equal(t, http.StatusConflict, e.Code)
	}

	tr = b.create(map[string]any{"target_rate_kbps": 4_000, "destination_root": "/in2/"})
	b.until(tr.ID, func(t api.Transfer) bool { return t.BytesTransferred > 0 })
	fast := int64(8_000)
	require.NoError(t, b.m.Change(t.Context(), anna, tr.ID, api.ChangeTransfer{TargetRate: &fast}), "while it runs")
	require.NoError(t, change(tr.ID, canceled))
	got = b.until(tr.ID, is(api.Canceled))
	require.EqualValues(t, fast, got.Spec.TargetRate)
	require.NoError(t, change(tr.ID, canceled), "as it is")
	require.NoFileExists(t, filepath.Join(b.remote, "in2/f"))

	bad, negative := "sideways", int64(-1)
	require.ErrorContains(t, b.m.Change(t.Context(), anna, tr.ID, api.ChangeTransfer{Status: &bad}), "sideways")
	tr = b.create(map[string]any{"target_rate_kbps": 1_000, "destination_root": "/in3/"})
	require.ErrorContains(t, b.m.Change(t.Context(), anna, tr.ID, api.ChangeTransfer{TargetRate: &negative}), "out of range")
	most := int64(transfer.MaxRate/fasp.Kbps) + 1
	require.ErrorContains(t, b.m.Change(t.Context(), anna, tr.ID, api.ChangeTransfer{TargetRate: &most}), "out of range")
	require.ErrorContains(t, b.m.Change(t.Context(), anna, tr.ID, api.ChangeTransfer{MinRate: &most}), "out of range")
	require.NoError(t, change(tr.ID, canceled))
}

// TestStopAndGoOn: a node that stops while jobs run goes on with them, and so does one that was killed.
func TestStopAndGoOn(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 4<<20)
	tr := b.create(map[string]any{"target_rate_kbps": 40_000})
	b.until(tr.ID, func(t api.Transfer) bool { return t.BytesTransferred > 500_000 })
	b.stop()
	got, err := b.m.Get(t.Context(), anna, tr.ID, 0)
	require.NoError(t, err)
	require.Equal(t, api.Waiting, got.Status)
	require.Zero(t, got.Attempts, "stopping was none of its faults")
	// As a node leaves it that is killed.
	j, err := b.cfg.State.Job(t.Context(), tr.ID)
	require.NoError(t, err)
	j.Status, j.NextTry = string(api.Running), time.Time{}
	_, err = b.cfg.State.UpdateJob(t.Context(), j)
	require.NoError(t, err)
	b.start()
	got = b.until(tr.ID, is(api.Completed))
	require.Less(t, got.BytesTransferred, int64(2*4<<20))
	require.FileExists(t, filepath.Join(b.remote, "in/f"))
}

// TestKilledSessionsCount: what a session moved that a kill cut off counts as far as it was written down, once.
func TestKilledSessionsCount(t *testing.T) {
	b := newBench(t)
	b.stop()
	ctx := t.Context()
	row := func(id, key string, doc jobDoc, bytes int64) {
		d, err := json.Marshal(doc)
		require.NoError(t, err)
		_, err = b.cfg.State.CreateJob(ctx, state.Job{ID: id, Key: key, Status: string(api.Running), Doc: d})
		require.NoError(t, err)
		x, err := json.Marshal(api.TransferSession{ID: id, Status: "running", BytesTransferred: bytes, FilesCompleted: 2, Start: 1_800_000_000_000_000, Elapsed: 5_000_000})
		require.NoError(t, err)
		_, err = b.cfg.State.CreateSession(ctx, state.Session{ID: "s" + id, Job: id, Key: key, Status: "running", Bytes: bytes, Doc: x})
		require.NoError(t, err)
	}
	row("a", "anna", jobDoc{Initiator: initiatorNode, Spec: api.StartSpec{Direction: "send"}, UsageID: "film"}, 1)
	row("b", "anna", jobDoc{Initiator: initiatorNode, Spec: api.StartSpec{Direction: "receive"}}, 20)
	row("c", "anna", jobDoc{Initiator: initiatorClient, Spec: api.StartSpec{Direction: "send"}}, 300)
	row("d", "anna", jobDoc{Initiator: initiatorClient, Spec: api.StartSpec{Direction: "receive"}}, 4000)
	_, err := b.cfg.State.CreateSession(ctx, state.Session{ID: "forgotten", Job: "none", Key: "anna", Status: "running", Doc: []byte(`{"bytes_transferred":50000}`)})
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, b.m.recover(ctx))
		u, err := b.m.usage(ctx, "anna", "")
		require.NoError(t, err)
		require.Equal(t, api.Moved{ID: "anna", BytesIn: 320, BytesOut: 4001, BytesTotal: 4321}, u)
		u, err = b.m.usage(ctx, "anna", "film")
		require.NoError(t, err)
		require.EqualValues(t, 1, u.BytesTotal)
	}
	hours, _, err := b.cfg.State.Usage(ctx, state.UsageFilter{}, state.Page{})
	require.NoError(t, err)
	for _, h := range hours {
		require.True(t, h.Hour.Equal(time.Unix(1_800_000_000, 0).Truncate(time.Hour)), "when it was moved")
	}
	for _, id := range []string{"a", "b", "c", "d"} {
		got, err := b.m.Get(ctx, anna, id, 0)
		require.NoError(t, err)
		require.Equal(t, "failed", got.Sessions[0].Status)
		require.Equal(t, "the node stopped", got.Sessions[0].ErrorDesc)
	}
}

// TestServed: sessions of clients are transfers, too.
func TestServed(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 100_000)
	c, s := fasp.Pipe()
	d, err := transfer.OpenDir(filepath.Join(b.local, "anna"))
	require.NoError(t, err)
	defer d.Close()
	served := b.m.Serve(anna, "192.0.2.1:5")
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = transfer.Serve(context.Background(), s, transfer.ServeConfig{Store: d, Limits: transfer.Limits{Read: true, List: true}, Owner: "anna", Events: served.Event})
	})
	_, err = transfer.Run(t.Context(), transfer.Config{Dial: func(context.Context, *transfer.Spec) (fasp.Session, error) { return c, nil }},
		transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: "f"}}, Destination: t.TempDir()})
	require.NoError(t, err)
	wg.Wait()
	require.NoError(t, b.m.rec.flush(t.Context()))
	list, point, err := b.m.List(t.Context(), anna, Filter{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, api.Completed, list[0].Status)
	require.Equal(t, "client", list[0].Spec.Initiator)
	require.Equal(t, []string{"f"}, list[0].Spec.SourcePaths)
	require.Empty(t, list[0].Spec.DestinationPath)
	got, err := b.m.Get(t.Context(), anna, list[0].ID, 10)
	require.NoError(t, err)
	require.Equal(t, "192.0.2.1", got.Sessions[0].ClientAddress)
	require.EqualValues(t, 100_000, got.BytesTransferred)
	require.Len(t, got.Files, 1)
	list, next, err := b.m.List(t.Context(), anna, Filter{Since: point})
	require.NoError(t, err)
	require.Empty(t, list)
	require.Equal(t, point, next)
	cancel := "canceled"
	require.Error(t, b.m.Change(t.Context(), anna, got.ID, api.ChangeTransfer{Status: &cancel}))
}

// session serves one session of a client that transfers spec with what g allows, and returns the transfer that came of it.
func (b *bench) session(g accesskey.Grant, spec transfer.Spec) api.Transfer {
	b.t.Helper()
	c, s := fasp.Pipe()
	d, err := transfer.OpenDir(filepath.Join(b.local, g.Root))
	require.NoError(b.t, err)
	defer d.Close()
	served := b.m.Serve(g, "192.0.2.1:5")
	var wg sync.WaitGroup
	var id string
	wg.Go(func() {
		_ = transfer.Serve(context.Background(), s, transfer.ServeConfig{Store: d, Limits: transfer.Limits{Read: true, Write: true, List: true, Delete: true}, Owner: g.KeyID, Events: func(e transfer.Event) {
			id = e.Session.ID
			served.Event(e)
		}})
	})
	_, err = transfer.Run(b.t.Context(), transfer.Config{Dial: func(context.Context, *transfer.Spec) (fasp.Session, error) { return c, nil }}, spec)
	require.NoError(b.t, err)
	wg.Wait()
	require.NoError(b.t, b.m.rec.flush(b.t.Context()))
	got, err := b.m.Get(b.t.Context(), g, id, 10)
	require.NoError(b.t, err)
	return got
}

// TestServedPaths: what a client asked for is shown, up to a bound.
func TestServedPaths(t *testing.T) {
	b := newBench(t)
	var up, down []transfer.Path
	for i := range 2 * transfer.MaxRecordPaths {
		name := strings.Repeat("x", 200) + strconv.Itoa(i)
		b.write("source/"+name, 10)
		up, down = append(up, transfer.Path{Source: filepath.Join(b.dir, "source", name)}), append(down, transfer.Path{Source: "in/deep/" + name})
	}
	got := b.session(anna, transfer.Spec{Paths: up, Destination: "in/deep", CreateDir: true})
	require.EqualValues(t, len(up), got.FilesCompleted)
	require.Equal(t, "in/deep", got.Spec.DestinationPath)
	require.Len(t, got.Spec.SourcePaths, transfer.MaxRecordPaths)
	require.Equal(t, filepath.Base(up[0].Source), got.Spec.SourcePaths[0])
	got = b.session(anna, transfer.Spec{Direction: transfer.Receive, Paths: down, Destination: t.TempDir()})
	require.Len(t, got.Spec.SourcePaths, transfer.MaxRecordPaths)
	require.Equal(t, down[0].Source, got.Spec.SourcePaths[0])
}

// TestMissingSource: a source that is not there is named, though it is found missing before the other node has answered.
func TestMissingSource(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 1000)
	for i, others := range [][]any{{}, {map[string]any{"source": "f"}}} {
		want := []api.TransferStatus{api.Failed, api.PartiallyCompleted}[i] // whether anything came through
		got := b.until(b.create(map[string]any{"paths": append(others, map[string]any{"source": "gone/missing"})}).ID, is(want))
		require.EqualValues(t, 1, got.FilesFailed)
		require.EqualValues(t, transfer.CodeSomeFileErrors, got.ErrorCode)
		i := slices.IndexFunc(got.Files, func(f api.TransferFile) bool { return f.Status == "failed" })
		require.GreaterOrEqual(t, i, 0, "%+v", got.Files)
		f := got.Files[i]
		require.Equal(t, "missing", f.Path)
		require.EqualValues(t, transfer.CodeNoSuchFile, f.ErrorCode)
		require.NotEmpty(t, f.ErrorDesc)
		require.NotContains(t, f.ErrorDesc, b.dir, "paths of the host are nobody's business")
		require.Equal(t, got.Sessions[0].ID, f.Session)
		require.Len(t, got.Files, len(others)+1)
	}
}

// TestManyMissingSources: more of them than are written at a time are found missing before the other node has answered.
func TestManyMissingSources(t *testing.T) {
	b := newBench(t)
	const missing = fileBatch + 100
	paths := []any{}
	for i := range missing {
		paths = append(paths, map[string]any{"source": fmt.Sprint("gone", i)})
	}
	tr := &track{rec: newRecorder(b.cfg.State, b.m.bad, b.m.paces), row: "s", job: "j", maxFiles: 1000}
	for range missing {
		tr.event(transfer.Event{Kind: transfer.EventFileFailed, Time: time.Now(), File: transfer.FileRecord{Name: "f"}})
	}
	require.True(t, tr.rec.round(t.Context()), "nothing to write yet")
	require.Len(t, tr.files, missing)
	got := b.until(b.create(map[string]any{"paths": paths}).ID, is(api.Failed)) // for nothing came through
	require.EqualValues(t, missing, got.FilesFailed)
	require.Len(t, got.Files, missing)
}

// TestUsageIDs: what an application wants to be counted together is, of jobs and of the sessions of clients that have its token, for the key that it belongs to.
func TestUsageIDs(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 3000)
	b.write("local/bert/f", 500)
	tags := func(id any) map[string]any {
		return map[string]any{"tags": map[string]any{"aspera": map[string]any{"usage_id": id}}}
	}
	b.until(b.create(tags("film")).ID, is(api.Completed))
	numbered := tags(17)
	numbered["destination_root"] = "/in17/" // elsewhere, or there would be nothing to transfer
	b.until(b.create(numbered).ID, is(api.Completed))
	b.until(b.create(map[string]any{"destination_root": "/other/"}).ID, is(api.Completed))
	for _, bad := range []any{true, []any{"x"}, strings.Repeat("x", 256), "a\x00"} {
		_, err := b.m.Create(t.Context(), anna, spec(tags(bad)))
		require.ErrorContains(t, err, "tags.aspera.usage_id")
	}
	get := transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: "f"}}, Destination: t.TempDir()}
	with := anna
	with.UsageID = "film"
	b.session(with, get)
	bert := accesskey.Grant{KeyID: "bert", Tenant: "other", Rights: accesskey.AllRights(), Root: "bert", UsageID: "film"}
	b.session(bert, get)
	ask := func(g accesskey.Grant, id, query string) api.Moved {
		t.Helper()
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/usage/x"+query, nil)
		r.SetPathValue("id", id)
		require.NoError(t, b.m.Routes()["GET /usage/{id}"](w, r, g))
		var m api.Moved
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &m))
		require.Equal(t, id, m.ID)
		require.Equal(t, m.BytesTotal, m.BytesIn+m.BytesOut)
		return m
	}
	master := accesskey.Grant{Master: true}
	require.EqualValues(t, 6000, ask(anna, "film", "").BytesOut)
	require.EqualValues(t, 3000, ask(anna, "17", "").BytesOut)
	require.EqualValues(t, 500, ask(bert, "film", "").BytesOut)
	require.Zero(t, ask(bert, "film", "?access_key=anna").BytesOut, "not its to see")
	require.EqualValues(t, 500, ask(bert, "film", "?access_key=bert").BytesOut)
	require.Zero(t, ask(bert, "17", "").BytesTotal)
	require.Zero(t, ask(anna, "other", "").BytesTotal)
	require.EqualValues(t, 6500, ask(master, "film", "").BytesOut)
	require.EqualValues(t, 500, ask(master, "film", "?access_key=bert").BytesOut)
	all, err := b.m.usage(t.Context(), "anna", "")
	require.NoError(t, err)
	require.EqualValues(t, 12_000, all.BytesOut, "with those without an id")
	require.NoError(t, b.m.Forget(t.Context(), "anna"))
	require.Zero(t, ask(anna, "film", "").BytesTotal)
	require.EqualValues(t, 500, ask(master, "film", "").BytesOut)
}

// TestSessionsCountOnce: when a link is lost within one try, what the session before it moved is not counted again.
func TestSessionsCountOnce(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.cfg.RetryTimeout = 30 * time.Second
	b.start()
	b.write("local/anna/f", 4<<20)
	var first fasp.Session
	dial := b.cfg.Dial
	b.stop()
	b.cfg.Dial = func(ctx context.Context, g accesskey.Grant, to Remote) (fasp.Session, error) {
		s, err := dial(ctx, g, to)
		if first == nil {
			first = s
		}
		return s, err
	}
	b.start()
	tr := b.create(map[string]any{"target_rate_kbps": 40_000})
	b.until(tr.ID, func(t api.Transfer) bool { return t.BytesTransferred > 1<<20 })
	_ = first.Close(fasp.CodeShutdown, "gone") // as a peer that goes
	got := b.until(tr.ID, is(api.Completed))
	require.Equal(t, 1, got.Attempts)
	require.Len(t, got.Sessions, 2)
	sum := int64(0)
	for _, s := range got.Sessions {
		sum += s.BytesTransferred
	}
	require.Equal(t, got.BytesTransferred, sum)
	u, err := b.m.usage(t.Context(), "anna", "")
	require.NoError(t, err)
	require.Equal(t, sum, u.BytesOut)
}

// TestManyFiles: of a session with many files some are kept, and all are counted.
func TestManyFiles(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.cfg.MaxFiles = 700
	b.start()
	for i := range 1500 {
		b.write(filepath.Join("local/anna/many", time.Duration(i).String()), 10)
	}
	got := b.until(b.create(map[string]any{"paths": []any{map[string]any{"source": "many"}}}).ID, is(api.Completed))
	require.EqualValues(t, 1500, got.FilesCompleted)
	require.Len(t, got.Files, 700)
}

// TestForget: with a key goes what it did, and a key of the same id that comes later sees nothing of it, even if nobody told the manager.
func TestForget(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 4<<20)
	done := b.create(nil)
	b.until(done.ID, is(api.Completed))
	later := anna
	later.Created = time.Now().Add(time.Second)
	_, err := b.m.Get(t.Context(), later, done.ID, 0)
	require.Equal(t, errUnknown(), err)
	list, _, err := b.m.List(t.Context(), later, Filter{})
	require.NoError(t, err)
	require.Empty(t, list)

	tr := b.create(map[string]any{"target_rate_kbps": 4_000, "destination_root": "/in2/"})
	b.until(tr.ID, func(t api.Transfer) bool { return t.BytesTransferred > 0 })
	require.NoError(t, b.m.Forget(t.Context(), "anna"))
	require.NoError(t, b.m.rec.flush(t.Context()))
	for _, id := range []string{done.ID, tr.ID} {
		_, err := b.m.Get(t.Context(), anna, id, 0)
		require.Equal(t, errUnknown(), err)
	}
	u, err := b.m.usage(t.Context(), "anna", "")
	require.NoError(t, err)
	require.Zero(t, u.BytesTotal)
	require.Empty(t, b.m.snapshots())
}

// TestTurns: a key whose jobs do not get on leaves slots to others.
func TestTurns(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.cfg.MaxRunning = 4
	b.start()
	b.write("local/anna/f", 1000)
	b.write("local/bert/f", 1000)
	b.dial = func(ctx context.Context, to Remote) error {
		if to.Spec.Destination == "/stuck/" {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		return nil
	}
	for range 6 {
		b.create(map[string]any{"destination_root": "/stuck/"})
	}
	bert := accesskey.Grant{KeyID: "bert", Tenant: "other", Rights: accesskey.AllRights(), Root: "bert"}
	tr, err := b.m.Create(t.Context(), bert, spec(nil))
	require.NoError(t, err)
	for tr.Status != api.Completed {
		time.Sleep(2 * time.Millisecond)
		tr, err = b.m.Get(t.Context(), bert, tr.ID, 0)
		require.NoError(t, err)
	}
	if r := b.m.runOf(tr.ID); r != nil { // its row says completed a moment before its slot is free
		<-r.done
	}
	require.Len(t, b.m.snapshots(), 2)
	require.NoError(t, b.m.Disable(t.Context(), "anna"))
	list, _, err := b.m.List(t.Context(), anna, Filter{})
	require.NoError(t, err)
	failed := 0
	for _, x := range list {
		if x.Status == api.Failed {
			failed++
			require.EqualValues(t, transfer.CodeAuth, x.ErrorCode)
		}
	}
	require.GreaterOrEqual(t, failed, 2)
	require.NoError(t, b.m.Forget(t.Context(), "anna"))
}

// TestKeyMadeAnew: a job does not run with another key that has the id of its own.
func TestKeyMadeAnew(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.write("local/anna/f", 1000)
	tr := b.create(nil)
	k, err := b.keys.Key(t.Context(), "anna")
	require.NoError(t, err)
	k.Created = time.Now().Add(time.Second)
	require.NoError(t, b.keys.Put(t.Context(), k))
	b.start()
	got := b.until(tr.ID, is(api.Failed))
	require.EqualValues(t, transfer.CodeAuth, got.ErrorCode)
	require.Contains(t, got.ErrorDesc, "does not exist any more")
	require.NoFileExists(t, filepath.Join(b.remote, "in/f"))
}

// TestRecordsThatCannotBeKept: a session that the store will never take keeps nobody else's waiting, and no memory.
func TestRecordsThatCannotBeKept(t *testing.T) {
	b := newBench(t)
	b.stop()
	r := newRecorder(b.cfg.State, b.m.bad, b.m.paces)
	bad := &track{rec: r, row: "\xff", job: "j", maxFiles: 100}
	for _, k := range []transfer.EventKind{transfer.EventSessionStarted, transfer.EventFileDone, transfer.EventSessionEnded} {
		bad.event(transfer.Event{Kind: k, Time: time.Now(), Session: transfer.SessionRecord{ID: bad.row, Started: paceBegin}, File: transfer.FileRecord{Name: "f"}})
	}
	require.True(t, r.round(t.Context()))
	require.Empty(t, r.dirty)
	require.Zero(t, r.files.Load())
}

// TestRecordsThatWait: while sessions cannot be written down, a bounded number of them and of their files waits in memory, and those that still run are not forgotten.
func TestRecordsThatWait(t *testing.T) {
	b := newBench(t)
	b.stop()
	s, err := state.Open(t.Context(), state.Config{Path: filepath.Join(t.TempDir(), "state.db")})
	require.NoError(t, err)
	require.NoError(t, s.Close()) // so that nothing can be written
	r := newRecorder(s, b.m.bad, b.m.paces)
	r.mostSessions, r.mostFiles = 30, 1000
	const sessions, files = 60, 21
	event := func(tr *track, k transfer.EventKind) {
		tr.event(transfer.Event{Kind: k, Time: time.Now(), Session: transfer.SessionRecord{ID: tr.row, Started: paceBegin}, File: transfer.FileRecord{Name: "f"}})
	}
	var running []*track
	for i := range sessions {
		tr := &track{rec: r, row: strconv.Itoa(i), job: "j", maxFiles: 100}
		event(tr, transfer.EventSessionStarted)
		for range files {
			event(tr, transfer.EventFileDone)
		}
		if i%6 == 0 {
			running = append(running, tr)
		} else {
			event(tr, transfer.EventSessionEnded)
		}
	}
	require.EqualValues(t, r.mostFiles, r.files.Load())
	require.Len(t, r.dirty, sessions)
	require.False(t, r.round(t.Context()))
	require.Len(t, r.dirty, r.mostSessions)
	for _, tr := range running {
		require.Contains(t, r.dirty, tr)
	}
	left := 0
	for tr := range r.dirty {
		left += len(tr.files)
	}
	require.EqualValues(t, left, r.files.Load())

	// What is written does not wait any more.
	r.store = b.cfg.State
	require.True(t, r.round(t.Context()))
	require.Zero(t, r.files.Load())
	require.Empty(t, r.dirty)
	n := 0
	for _, tr := range running {
		fs, _, err := b.cfg.State.Files(t.Context(), state.FileFilter{Session: tr.row}, state.Page{})
		require.NoError(t, err)
		n += len(fs)
	}
	require.EqualValues(t, 8*files, n, "those of the first 1,000 files")
}

// FuzzStartTime: what is taken is a time that the answer can have.
func FuzzStartTime(f *testing.F) {
	for _, s := range []string{"", "1", "1800000000", "-1", "99999999999999", "2026-01-31T12:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := startTime(url.Values{"start_time": {text}})
		if err != nil || text == "" {
			return
		}
		b := newBandwidth()
		got := b.show(paceBegin, at, time.Hour, everyone)
		require.LessOrEqual(t, got.StartTime, got.EndTime)
		require.GreaterOrEqual(t, got.StartTime, int64(0))
	})
}

// TestChangedBeforeItBegan: a job that was changed after it had been chosen to run does not run, and nobody is told that it does.
func TestChangedBeforeItBegan(t *testing.T) {
	b := newBench(t)
	b.write("local/anna/f", 10)
	canceled, paused := "canceled", "paused"
	tr := b.create(map[string]any{"target_rate_kbps": 1})
	require.NoError(t, b.m.Change(t.Context(), anna, tr.ID, api.ChangeTransfer{Status: &paused}))
	stale, err := b.cfg.State.Job(t.Context(), tr.ID)
	require.NoError(t, err)
	require.NoError(t, b.m.Change(t.Context(), anna, tr.ID, api.ChangeTransfer{Status: &canceled}))

	stop, asked := make(chan struct{}), make(chan struct{})
	var seen []api.TransferStatus
	go func() {
		defer close(asked)
		for {
			select {
			case <-stop:
				return
			default:
			}
			got, err := b.m.Get(t.Context(), anna, tr.ID, 0)
			list, _, errList := b.m.List(t.Context(), anna, Filter{})
			target := int64(5)
			errRate := b.m.Change(t.Context(), anna, tr.ID, api.ChangeTransfer{TargetRate: &target})
			var e *api.Error
			if err != nil || errList != nil || len(list) != 1 || !errors.As(errRate, &e) || e.Code != http.StatusConflict {
				t.Errorf("%v, %v, %v, %v", err, errList, list, errRate)
				return
			}
			seen = append(seen, got.Status, list[0].Status)
		}
	}()
	for range 300 {
		require.NoError(t, b.m.begin(t.Context(), stale))
	}
	close(stop)
	<-asked
	require.Equal(t, []api.TransferStatus{api.Canceled}, slices.Compact(seen))
}
