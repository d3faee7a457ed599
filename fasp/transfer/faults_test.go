package transfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
)

// peer speaks the wire by hand.
type peer struct {
	t    *testing.T
	c    *transfertest.Conn
	in   *inbox
	prev string
	err  chan error // of Serve
}

// hostileIs does what a hostile client would, and checks that it is refused for that, and that nothing it sent is kept.
func hostileIs(t *testing.T, do func(p *peer), text string) {
	t.Helper()
	store, err := OpenDir(t.TempDir())
	require.NoError(t, err)
	defer store.Close()
	p := hostileClient(t, store, 0)
	do(p)
	p.refused(text)
	require.Zero(t, p.c.Held())
}

// hostileClient is a peer that has asked a node for an upload into its root.
func hostileClient(t *testing.T, store Store, flags uint64) *peer {
	return hostileOffer(t, store, flags, CompressionOff)
}

// hostileOffer is that for one that offers compression.
func hostileOffer(t *testing.T, store Store, flags uint64, c Compression) *peer {
	return hostileRequest(t, store, &request{
		Version: wireVersion, Direction: Send, Flags: flags | flagCreateDir, BlockSize: minBlockSize, Dest: ".", Symlinks: SymlinksCopy, Compression: c,
	})
}

// hostileRequest is a peer that has asked for what q says.
func hostileRequest(t *testing.T, store Store, q *request) *peer {
	near, s := transfertest.Pair(transfertest.Options{})
	p := &peer{t: t, c: near, in: &inbox{sess: near}, err: make(chan error, 1)}
	go func() {
		p.err <- Serve(context.Background(), s, ServeConfig{Store: store, Limits: Limits{Read: true, Write: true, List: true, Delete: true}})
	}()
	p.put(recRequest, q.encode())
	typ, _, err := p.in.next(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, recAnswer, typ)
	return p
}

func (p *peer) put(typ uint64, body []byte) {
	require.NoError(p.t, p.c.SendMessage(p.t.Context(), appendRecord(nil, typ, body)))
}

func (p *peer) entry(e entry) {
	p.put(recEntry, e.encode(p.prev))
	p.prev = e.Name
}

func (p *peer) block(b []byte) {
	blk, err := p.c.NewBlock(p.t.Context(), len(b))
	require.NoError(p.t, err)
	copy(blk.Data, b)
	require.NoError(p.t, p.c.SendBlock(p.t.Context(), blk))
}

func (p *peer) data(id uint64, off int64, payload string) {
	b := append(make([]byte, blockHeader), payload...)
	putBlockHead(b, blockRange, id, off, extent{})
	p.block(b)
}

// finish reads until done and returns the errors by file id.
func (p *peer) finish() map[uint64]Code {
	out := make(map[uint64]Code)
	for {
		typ, body, err := p.in.next(p.t.Context())
		require.NoError(p.t, err)
		switch typ {
		case recFileError:
			f, err := decodeFailure(body)
			require.NoError(p.t, err)
			out[f.ID] = f.Code
		case recDone:
			require.NoError(p.t, p.c.Close(fasp.CodeDone, ""))
			require.NoError(p.t, <-p.err)
			return out
		}
	}
}

// refused expects the node to end the session for what was sent.
func (p *peer) refused(text string) {
	p.t.Helper()
	err := <-p.err
	var e *Error
	require.ErrorAs(p.t, err, &e)
	require.Equal(p.t, CodeFaspProto, e.Code)
	require.ErrorContains(p.t, err, text)
	_, err = p.c.ReceiveBlock(p.t.Context())
	var pe *fasp.PeerError
	require.ErrorAs(p.t, err, &pe)
	require.Equal(p.t, fasp.CodeProtocol, pe.Code)
}

var badNames = []string{
	"", "/abs", "/etc/passwd", "..", "../x", "a/../../x", "a/..", "a//b", "a/", "./a", "a/./b", "nul\x00byte",
	".x.tw-part", ".x.tw-ckpt", "d/.x.tw-part", strings.Repeat("n", 256),
}

func TestBadNames(t *testing.T) {
	outer := t.TempDir()
	root := filepath.Join(outer, "root")
	require.NoError(t, os.Mkdir(root, 0o755))
	require.NoError(t, os.Symlink(outer, filepath.Join(root, "way-out")))
	require.NoError(t, os.Symlink("/", filepath.Join(root, "abs-out")))
	require.NoError(t, os.Symlink("../victim", filepath.Join(root, "file-out")))
	write(t, filepath.Join(outer, "victim"), 10, 1)
	before := list(t, outer)
	store, err := OpenDir(root)
	require.NoError(t, err)
	defer store.Close()
	p := hostileClient(t, store, 0)
	all := append([]string{"way-out/x", "abs-out/tmp/x", "file-out", "way-out/new/x"}, badNames...)
	id := uint64(0)
	var packs []packed
	for _, n := range all {
		for _, k := range []kind{kindFile, kindDir, kindLink} {
			if k != kindFile && n == "file-out" {
				continue
			}
			id++
			p.entry(entry{ID: id, Kind: k, Name: n, Size: 100_000, BlockSize: minBlockSize, Target: "x"})
		}
		id++
		packs = append(packs, packed{ID: id, Name: n, Data: []byte("bad")})
	}
	for i, target := range []string{"/etc/passwd", "../victim", "a/../../x", "../../../../etc"} {
		id++
		p.entry(entry{ID: id, Kind: kindLink, Name: fmt.Sprint("link", i), Target: target})
	}
	bad := id
	id++
	packs = append(packs, packed{ID: id, Name: "good", Data: []byte("good")})
	p.block(packBlock(packs...))
	p.put(recEnd, (&totals{LastID: id}).encode())
	errs := p.finish()
	for i := uint64(1); i <= bad; i++ {
		// Two at once of one name are refused for that.
		require.Contains(t, []Code{CodeBadPath, CodePathTooLong, CodeAmbiguousTarget}, errs[i], "id %d", i)
	}
	require.Len(t, errs, int(bad))
	after := list(t, outer)
	require.Contains(t, after, "root/good", "the session goes on")
	delete(after, "root/good")
	require.Equal(t, before, after, "nothing else was touched")
}

// TestSoleFileLate has a node learn that a job may be one file while another one has its name and waits to be confirmed.
func TestSoleFileLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		store, err := OpenDir(root)
		require.NoError(t, err)
		defer store.Close()
		p := hostileClient(t, store, flagSingle)
		p.block(packBlock(packed{ID: 2, Name: "b", Data: []byte("second")}))
		synctest.Wait()
		require.Contains(t, list(t, root), "b")
		p.block(packBlock(packed{ID: 1, Name: "a", Data: []byte("first")}))
		p.put(recEnd, (&totals{LastID: 2}).encode())
		require.Empty(t, p.finish())
		require.Len(t, list(t, root), 3)
	})
}

func TestHostileSender(t *testing.T) {
	file := entry{ID: 1, Name: "f", Size: 40_000, BlockSize: minBlockSize}
	for _, c := range []struct {
		name string
		do   func(p *peer)
		text string
	}{
		{"id twice", func(p *peer) { p.entry(file); p.entry(file) }, "twice"},
		{"id beyond the window", func(p *peer) { e := file; e.ID = idWindow + idPage + 1; p.entry(e) }, "window"},
		{"pack id beyond the window", func(p *peer) { p.block(packBlock(packed{ID: idWindow + idPage + 1, Name: "x"})) }, "window"},
		{"entry after the end", func(p *peer) { p.put(recEnd, (&totals{LastID: 5}).encode()); p.entry(file) }, "after the end"},
		{"two ends", func(p *peer) {
			p.put(recEnd, (&totals{LastID: 5}).encode())
			p.put(recEnd, (&totals{LastID: 5}).encode())
		}, "twice"},
		{"file beyond the end", func(p *peer) { e := file; e.ID = 9; p.entry(e); p.put(recEnd, (&totals{LastID: 5}).encode()) }, "beyond"},
		{"end of nothing", func(p *peer) { p.put(recFileEnd, (&fileEnd{ID: 1}).encode()) }, "not announced"},
		{"same unasked", func(p *peer) { p.entry(file); p.put(recFileEnd, (&fileEnd{ID: 1, Same: true}).encode()) }, "compared"},
		{"two file ends", func(p *peer) {
			p.entry(file)
			p.put(recFileEnd, (&fileEnd{ID: 1}).encode())
			p.put(recFileEnd, (&fileEnd{ID: 1}).encode())
		}, "twice"},
		{"block off the grid", func(p *peer) { p.entry(file); p.data(1, 5, "x") }, "does not fit"},
		{"block beyond the file", func(p *peer) { p.entry(file); p.data(1, 1<<40-1<<40%minBlockSize, "x") }, "does not fit"},
		{"block of a wrong length", func(p *peer) { p.entry(file); p.data(1, 0, "x") }, "does not fit"},
		{"block of a folder", func(p *peer) {
			p.entry(entry{ID: 2, Kind: kindDir, Name: "d"})
			p.entry(file)
			p.data(1, 0, "x")
		}, ""},
		{"block never announced", func(p *peer) { p.put(recEnd, (&totals{LastID: 5}).encode()); p.data(3, 0, "x") }, "never announced"},
		{"block parked, then ruled out", func(p *peer) { p.data(3, 0, "x"); p.put(recEnd, (&totals{LastID: 2}).encode()) }, "never announced"},
		{"wrong block hash", func(p *peer) {
			p.entry(file)
			b := append(make([]byte, blockHeader), make([]byte, minBlockSize)...)
			putBlockHead(b, blockRange, 1, 0, extent{})
			b[len(b)-1] = 1
			p.block(b)
		}, "hash"},
		{"wrong pack hash", func(p *peer) {
			b := packBlock(packed{ID: 1, Name: "x", Data: []byte("data")})
			b[len(b)-1] ^= 1
			p.block(b)
		}, "hash"},
		{"short block", func(p *peer) { p.block([]byte{1, 2, 3}) }, "block"},
		{"garbage record", func(p *peer) { p.put(recEntry, []byte{0xff}) }, "entry"},
		{"garbage message", func(p *peer) { require.NoError(p.t, p.c.SendMessage(p.t.Context(), []byte{4, 200, 1})) }, "message"},
		{"pack that lies about its count", func(p *peer) {
			b := packBlock(packed{ID: 1, Name: "x", Data: []byte("data")})
			putBlockHead(b, blockPack, 1<<40, 0, extent{})
			p.block(b)
		}, "pack"},
	} {
		t.Run(c.name, func(t *testing.T) { hostileIs(t, c.do, c.text) })
	}
}

// TestRootMismatch: blocks that are whole each for itself but not what the sender's root says fail the
// file, and nothing shows.
func TestRootMismatch(t *testing.T) {
	r := newRig(t)
	store, err := OpenDir(r.root)
	require.NoError(t, err)
	defer store.Close()
	p := hostileClient(t, store, 0)
	p.entry(entry{ID: 1, Name: "f", Size: 3, BlockSize: minBlockSize})
	p.data(1, 0, "abc")
	p.put(recFileEnd, (&fileEnd{ID: 1}).encode())
	p.put(99, []byte("a record of a later version"))
	p.put(recEnd, (&totals{LastID: 1}).encode())
	require.Equal(t, map[uint64]Code{1: CodeTransferError}, p.finish())
	require.Empty(t, names(t, r.root))
}

// TestHugeClaims: sizes and counts that a peer only claims cost nothing.
func TestHugeClaims(t *testing.T) {
	r := newRig(t)
	store, err := OpenDir(r.root)
	require.NoError(t, err)
	defer store.Close()
	p := hostileClient(t, store, 0)
	p.entry(entry{ID: 1, Name: "f", Size: maxFileSize, BlockSize: minBlockSize})
	p.data(1, maxFileSize/minBlockSize/2*minBlockSize, strings.Repeat("x", minBlockSize))
	p.put(recFail, (&failure{ID: 1, Code: CodeDiskRead, Text: "never mind"}).encode())
	p.put(recEnd, (&totals{LastID: 1}).encode())
	_ = p.finish()
	require.Empty(t, names(t, r.root))
}

func TestHostileReceiver(t *testing.T) {
	for _, c := range []struct {
		name string
		typ  uint64
		body []byte
	}{
		{"confirm too early", recConfirm, encodeIDs([]span{{1, 1}})},
		{"confirm of the unknown", recConfirm, encodeIDs([]span{{5, 1 << 40}})},
		{"done too early", recDone, (&done{}).encode()},
		{"have of the unknown", recHave, (&have{ID: 77, Spans: []span{{0, 1}}}).encode()},
		{"have out of range", recHave, (&have{ID: 1, Spans: []span{{0, 1 << 30}}}).encode()},
		{"waits of a file that is not divided", recWaits, (&waits{1, 1}).encode()},
		{"garbage", recWant, []byte{0xff}},
	} {
		t.Run(c.name, func(t *testing.T) {
			local := t.TempDir()
			write(t, filepath.Join(local, "f"), 1<<20, 1)
			cl, sv := transfertest.Pair(transfertest.Options{Window: 1})
			go func() {
				in := &inbox{sess: sv}
				for {
					typ, _, err := in.next(context.Background())
					if err != nil {
						return
					}
					if typ == recEntry {
						break
					}
				}
				m := appendRecord(nil, recAnswer, (&answer{Version: wireVersion}).encode())
				_ = sv.SendMessage(context.Background(), appendRecord(m, c.typ, c.body))
			}()
			cfg := Config{StateDir: t.TempDir(), Dial: func(context.Context, *Spec) (fasp.Session, error) { return cl, nil }}
			_, err := Run(context.Background(), cfg, Spec{Direction: Send, Paths: []Path{{Source: filepath.Join(local, "f")}}, Destination: "x"})
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, CodeFaspProto, e.Code, err.Error())
		})
	}
}

// hookStore calls hooks around a Store.
type hookStore struct {
	Store
	read  func(name string, off int64) // before a read of a source
	put   func(name string) error
	write func(name string, off int64) error
}

type hookSource struct {
	Source
	name string
	h    *hookStore
}

func (s hookSource) ReadAt(p []byte, off int64) (int, error) {
	s.h.read(s.name, off)
	return s.Source.ReadAt(p, off)
}

func (h *hookStore) Open(ctx context.Context, name string) (Source, error) {
	s, err := h.Store.Open(ctx, name)
	if err != nil || h.read == nil {
		return s, err
	}
	return hookSource{s, name, h}, nil
}

func (h *hookStore) Put(ctx context.Context, name, tag string, data []byte, a Attr, s Sync) (Sealed, error) {
	if h.put != nil {
		if err := h.put(name); err != nil {
			return nil, err
		}
	}
	return h.Store.Put(ctx, name, tag, data, a, s)
}

type hookTarget struct {
	Target
	name string
	h    *hookStore
}

func (t hookTarget) WriteAt(p []byte, off int64) (int, error) {
	if err := t.h.write(t.name, off); err != nil {
		return 0, err
	}
	return t.Target.WriteAt(p, off)
}

func (h *hookStore) Create(ctx context.Context, name string, a Attr) (Target, error) {
	t, err := h.Store.Create(ctx, name, a)
	if err != nil || h.write == nil {
		return t, err
	}
	return hookTarget{t, name, h}, nil
}

// TestChangingSources changes files while they are read: those fail on both sides, nothing of them shows, and
// the rest arrives.
func TestChangingSources(t *testing.T) {
	for _, ask := range []bool{false, true} {
		r := newRig(t)
		for _, n := range []string{"grow-big", "shrink-big", "touch-big", "good-big", "rewrite-big"} {
			write(t, filepath.Join(r.local, "t", n), 1<<20, 1)
		}
		for _, n := range []string{"grow-small", "shrink-small", "good-small"} {
			write(t, filepath.Join(r.local, "t", n), 20_000, 1)
		}
		r.cfg.Open = func(_ context.Context, paths []string) (Store, []string, error) {
			d, err := OpenDir(r.local)
			return &hookStore{Store: d, read: func(name string, off int64) {
				full := filepath.Join(r.local, name)
				base := filepath.Base(name)
				if strings.HasSuffix(base, "big") && off < 1<<19 {
					return // in the middle
				}
				switch strings.SplitN(base, "-", 2)[0] {
				case "grow":
					f, _ := os.OpenFile(full, os.O_APPEND|os.O_WRONLY, 0)
					_, _ = f.WriteString("more")
					_ = f.Close()
				case "shrink":
					_ = os.Truncate(full, 1000)
				case "touch":
					_ = os.Chtimes(full, time.Now(), time.Now().Add(time.Hour))
				case "rewrite": // content changes and the times are put back: only the ctime tells
					fi, _ := os.Stat(full)
					f, _ := os.OpenFile(full, os.O_WRONLY, 0)
					_, _ = f.WriteAt([]byte("other"), 0)
					_ = f.Close()
					_ = os.Chtimes(full, fi.ModTime(), fi.ModTime())
				}
			}}, paths, err
		}
		if ask {
			r.cfg.StateDir = ""
		}
		res, err := r.run(Spec{Direction: Send, Paths: []Path{{Source: "t"}, {Source: "missing"}}, Destination: "in"})
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, CodeSomeFileErrors, e.Code)
		got := make(map[string]Code)
		for _, e := range res.Errors {
			got[e.Name] = e.Code
		}
		require.Equal(t, map[string]Code{
			"missing": CodeNoSuchFile, "t/grow-big": CodeDiskRead, "t/shrink-big": CodeDiskRead, "t/touch-big": CodeDiskRead,
			"t/rewrite-big": CodeDiskRead, "t/grow-small": CodeDiskRead, "t/shrink-small": CodeDiskRead,
		}, got)
		require.Equal(t, []string{"good-big", "good-small"}, names(t, filepath.Join(r.root, "in/t")))
		require.EqualValues(t, 2, res.FilesDone)
		require.EqualValues(t, 7, res.FilesFailed)
		require.NoError(t, r.errs[0], "the node's session went well")
	}
}

// TestVanishing removes files between the walk and the reading.
func TestVanishing(t *testing.T) {
	r := newRig(t)
	for i := range 50 {
		write(t, filepath.Join(r.local, "t", fmt.Sprint("s", i)), 100, 1)
		write(t, filepath.Join(r.local, "t", fmt.Sprint("b", i)), 100_000, 1)
	}
	var once atomic.Bool
	r.cfg.Open = func(_ context.Context, paths []string) (Store, []string, error) {
		d, err := OpenDir(r.local)
		return &hookStore{Store: d, read: func(string, int64) {
			if !once.Swap(true) {
				for i := range 50 {
					_ = os.Remove(filepath.Join(r.local, "t", fmt.Sprint("s", i)))
					_ = os.Remove(filepath.Join(r.local, "t", fmt.Sprint("b", i)))
				}
			}
		}}, paths, err
	}
	res, err := r.run(Spec{Direction: Send, Paths: []Path{{Source: "t"}}, Destination: "in"})
	require.Error(t, err)
	require.LessOrEqual(t, res.FilesDone+res.FilesFailed, int64(100)) // fewer if some go before they are listed
	require.NotZero(t, res.FilesFailed)
	require.Len(t, names(t, r.root), int(res.FilesDone))
}

func TestDiskFull(t *testing.T) {
	t.Run("some files", func(t *testing.T) {
		r := newRig(t)
		for _, n := range []string{"a-big", "b-big", "c-big"} {
			write(t, filepath.Join(r.local, "t", n), 1<<20, 1)
		}
		for i := range 20 {
			write(t, filepath.Join(r.local, "t", fmt.Sprint("s", i)), 100, 1)
		}
		d, err := OpenDir(r.root)
		require.NoError(t, err)
		defer d.Close()
		var full atomic.Bool
		full.Store(true)
		r.serve.Store = &hookStore{Store: d, write: func(name string, off int64) error {
			if full.Load() && strings.HasSuffix(name, "b-big") && off > 1<<19 {
				return &os.PathError{Op: "write", Path: "/secret/path", Err: syscall.ENOSPC}
			}
			return nil
		}}
		spec := Spec{Direction: Send, Paths: []Path{{Source: filepath.Join(r.local, "t")}}, Destination: "in"}
		res, err := r.run(spec)
		require.Error(t, err)
		require.Len(t, res.Errors, 1)
		require.Equal(t, FileError{"t/b-big", CodeNoSpace, "no space left on device"}, res.Errors[0])
		require.EqualValues(t, 22, res.FilesDone)
		// What was received is kept, and the next run goes on from there.
		full.Store(false)
		res, err = r.run(spec)
		require.NoError(t, err)
		require.NotZero(t, res.BytesResumed)
		require.Equal(t, list(t, filepath.Join(r.local, "t")), list(t, filepath.Join(r.root, "in/t")))
	})
	t.Run("everything", func(t *testing.T) {
		r := newRig(t)
		for i := range 500 {
			write(t, filepath.Join(r.local, "t", fmt.Sprint("s", i)), 100, 1)
		}
		d, err := OpenDir(r.root)
		require.NoError(t, err)
		defer d.Close()
		r.serve.Store = &hookStore{Store: d, put: func(string) error { return syscall.ENOSPC }}
		_, err = r.run(r.send("t"))
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, CodeNoSpace, e.Code, "the session is given up")
		require.Equal(t, 1, len(r.conns), "and not tried again")
	})
	t.Run("not enough free", func(t *testing.T) {
		r := newRig(t)
		write(t, filepath.Join(r.local, "f"), 100, 1)
		r.limits.MinFree = 1 << 60
		_, err := r.run(r.send("f"))
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, CodeNoSpace, e.Code)
	})
}

func TestPermissions(t *testing.T) {
	r := newRig(t)
	for _, n := range []string{"a", "denied", "readonly"} {
		write(t, filepath.Join(r.local, "t", n), 100, 1)
	}
	d, err := OpenDir(r.root)
	require.NoError(t, err)
	defer d.Close()
	// Errors as the system gives them; tests may run as root, whom nothing is denied.
	r.serve.Store = &hookStore{Store: d, put: func(name string) error {
		switch filepath.Base(name) {
		case "denied":
			return &os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}
		case "readonly":
			return &os.PathError{Op: "open", Path: "x", Err: syscall.EROFS}
		}
		return nil
	}}
	res, err := r.run(r.send("t"))
	require.Error(t, err)
	got := make(map[string]Code)
	for _, e := range res.Errors {
		got[e.Name] = e.Code
		require.NotContains(t, e.Text, r.root)
	}
	require.Equal(t, map[string]Code{"t/denied": CodeNoPerms, "t/readonly": CodeReadOnlyFS}, got)
	require.Equal(t, []string{"a"}, names(t, filepath.Join(r.root, "in/t")))
}

func TestLimits(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.local, "f"), 100, 1)
	write(t, filepath.Join(r.root, "in/f"), 100, 2)
	code := func(err error) Code {
		var e *Error
		require.ErrorAs(t, err, &e)
		return e.Code
	}
	r.limits = Limits{}
	_, err := r.run(r.send("f"))
	require.Equal(t, CodeNoPerms, code(err))
	down := Spec{Direction: Receive, Paths: []Path{{Source: "in"}}, Destination: filepath.Join(r.local, "got")}
	_, err = r.run(down)
	require.Equal(t, CodeNoPerms, code(err))
	r.limits = Limits{Write: true, MaxRate: fasp.Mbps}
	res, err := r.run(r.send("f"))
	require.Equal(t, CodeSomeFileErrors, code(err))
	require.Equal(t, CodeNoPerms, res.Errors[0].Code, "without Delete nothing is replaced, and that is said")
	r.limits = Limits{Read: true}
	_, err = r.run(down)
	require.Equal(t, CodeNoPerms, code(err), "without List folders cannot be had")
	down.Paths[0].Source = "in/f"
	_, err = r.run(down)
	require.NoError(t, err, "but files can")
}

func TestKindConflicts(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.local, "t/is-dir"), 100, 1)
	write(t, filepath.Join(r.local, "t/is-dir-big"), 100_000, 1)
	write(t, filepath.Join(r.local, "t/is-file/x"), 100, 1)
	write(t, filepath.Join(r.local, "t/ok"), 100, 1)
	require.NoError(t, os.MkdirAll(filepath.Join(r.root, "in/t/is-dir/sub"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(r.root, "in/t/is-dir-big"), 0o755))
	write(t, filepath.Join(r.root, "in/t/is-file"), 5, 1)
	res, err := r.run(r.send("t"))
	require.Error(t, err)
	got := make(map[string]Code)
	for _, e := range res.Errors {
		got[e.Name] = e.Code
	}
	require.Equal(t, map[string]Code{"t/is-dir": CodeIsDir, "t/is-dir-big": CodeIsDir, "t/is-file": CodeNotDir, "t/is-file/x": CodeNotDir}, got)
}

func TestSpecialFiles(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.local, "t/f"), 100, 1)
	require.NoError(t, makeFifo(filepath.Join(r.local, "t/pipe")))
	res, err := r.run(r.send("t"))
	require.Error(t, err)
	require.Equal(t, CodeNotRegular, res.Errors[0].Code)
	spec := r.send("t")
	spec.SkipSpecial = true
	_, err = r.run(spec)
	require.NoError(t, err)
}

func TestTwoSourcesOneName(t *testing.T) {
	r := newRig(t)
	for _, n := range []string{"a/f", "b/f", "c/f"} {
		write(t, filepath.Join(r.local, n), 300_000, uint64(n[0]))
	}
	res, _ := r.run(r.send("a/f", "b/f", "c/f"))
	require.EqualValues(t, 3, res.FilesDone+res.FilesFailed+res.FilesSkipped)
	require.NotZero(t, res.FilesDone)
	got := list(t, filepath.Join(r.root, "in"))["f"]
	require.Contains(t, []string{list(t, filepath.Join(r.local, "a"))["f"], list(t, filepath.Join(r.local, "b"))["f"], list(t, filepath.Join(r.local, "c"))["f"]}, got,
		"one of them, whole")
	noPartials(t, r.root)
}

// TestCancel ends the client's context in the middle; a later run resumes.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opt = transfertest.Options{Latency: 50 * time.Millisecond, Window: 300 << 10}
		write(t, filepath.Join(r.local, "f"), 10<<20, 1)
		ctx, cancel := context.WithCancel(t.Context())
		r.cfg.Events = func(e Event) {
			if e.Session.BytesSent > 4<<20 {
				cancel()
			}
		}
		_, err := r.runContext(ctx, r.send("f"))
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, CodeUserCancel, e.Code)
		require.Len(t, covered(t, r.root), 1)
		r.cfg.Events = nil
		res, err := r.run(r.send("f"))
		require.NoError(t, err)
		require.Greater(t, res.BytesResumed, int64(3<<20))
		require.EqualValues(t, 10<<20, res.BytesResumed+res.BytesSent)
		noPartials(t, r.root)
	})
}

// TestDamagedPartial: what resume levels promise about a partial file that was changed on disk.
func TestDamagedPartial(t *testing.T) {
	for level := range 4 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.opt = transfertest.Options{Latency: 50 * time.Millisecond, Window: 300 << 10, CutAfter: 6 << 20}
			write(t, filepath.Join(r.local, "f"), 10<<20, 1)
			spec := r.send("f")
			spec.Resume, _ = ResumeFromLevel(level)
			r.cfg.RetryTimeout = -1
			_, err := r.run(spec)
			require.Error(t, err)
			part := filepath.Join(r.root, "in/.f.tw-part")
			f, err := os.OpenFile(part, os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("damage"), 5) // in the first block, which level 2 samples
			require.NoError(t, err)
			require.NoError(t, f.Close())
			r.opt.CutAfter = 0
			res, err := r.run(spec)
			require.NoError(t, err)
			want := list(t, r.local)["f"]
			switch level {
			case 0:
				require.Zero(t, res.BytesResumed, "level 0 starts afresh")
				require.Equal(t, want, list(t, r.root)["in/f"])
			case 1:
				require.NotZero(t, res.BytesResumed)
				require.NotEqual(t, want, list(t, r.root)["in/f"], "level 1 trusts; the test would not notice damage otherwise")
			default:
				require.NotZero(t, res.BytesResumed)
				require.Equal(t, want, list(t, r.root)["in/f"])
			}
		})
	}
}

// TestTakeover: a new session of the same job ends the old one, whose link died without a word, before it
// touches the files.
func TestTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, local := t.TempDir(), t.TempDir()
		write(t, filepath.Join(local, "f"), 8<<20, 1)
		store, err := OpenDir(root)
		require.NoError(t, err)
		defer store.Close()
		sessions := new(Sessions)
		var served []chan error
		n := 0
		cfg := Config{StateDir: t.TempDir(), Dial: func(context.Context, *Spec) (fasp.Session, error) {
			n++
			c, s := transfertest.Pair(transfertest.Options{Latency: 20 * time.Millisecond, Window: 300 << 10})
			ch := make(chan error, 1)
			served = append(served, ch)
			go func() {
				ch <- Serve(context.Background(), s, ServeConfig{Store: store, Limits: Limits{Write: true, Delete: true}, Sessions: sessions})
			}()
			if n == 1 {
				return &halfDead{Session: c, after: 40}, nil
			}
			return c, nil
		}}
		res, err := Run(t.Context(), cfg, Spec{Direction: Send, Paths: []Path{{Source: filepath.Join(local, "f")}}, Destination: "f"})
		require.NoError(t, err)
		require.Equal(t, 2, res.Attempts)
		require.NotZero(t, res.BytesResumed, "the old session kept what it had before the new one began")
		require.ErrorIs(t, <-served[0], errReplaced)
		require.NoError(t, <-served[1])
		require.Equal(t, list(t, local), list(t, root))
	})
}

// halfDead loses the link after some blocks, but only this end notices, and its close does not get through.
type halfDead struct {
	fasp.Session
	after int32
	n     atomic.Int32
}

func (h *halfDead) SendBlock(ctx context.Context, b *fasp.Block) error {
	if h.n.Add(1) > h.after {
		b.Release()
		return fasp.ErrIdleTimeout
	}
	return h.Session.SendBlock(ctx, b)
}

func (h *halfDead) Close(fasp.Code, string) error { return nil }

// TestBusy: two different jobs never write the same partial file at the same time.
func TestBusy(t *testing.T) {
	d, err := OpenDir(t.TempDir())
	require.NoError(t, err)
	defer d.Close()
	one, err := d.Create(t.Context(), "f", Attr{Size: 3, Mode: 0o644})
	require.NoError(t, err)
	_, err = d.Create(t.Context(), "f", Attr{Size: 3, Mode: 0o644})
	if haveSyncfs {
		require.ErrorIs(t, err, ErrBusy)
	}
	_, err = one.WriteAt([]byte("abc"), 0)
	require.NoError(t, err)
	sealed, err := one.Seal(t.Context(), Attr{Size: 3, Mode: 0o644}, SyncLater)
	require.NoError(t, err)
	_, err = d.Create(t.Context(), "f", Attr{Size: 3, Mode: 0o644})
	if haveSyncfs {
		require.ErrorIs(t, err, ErrBusy, "not before it has its name")
	}
	require.NoError(t, sealed.Publish(t.Context(), SyncNow, true))
	two, err := d.Create(t.Context(), "f", Attr{Size: 3, Mode: 0o644})
	require.NoError(t, err)
	require.Zero(t, two.Partial())
	require.NoError(t, two.Discard(t.Context()))
	noPartials(t, d.path)
}

func TestRetryRules(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{fasp.ErrIdleTimeout, true},
		{fasp.ErrHandshakeTimeout, true},
		{&fasp.PeerError{Code: fasp.CodeBusy}, true},
		{&fasp.PeerError{Code: fasp.CodeShutdown}, true},
		{&fasp.PeerError{Code: fasp.CodeAuth}, false},
		{&fasp.PeerError{Code: fasp.CodeCancelled}, false},
		{&fasp.PeerError{Code: fasp.CodeApplication + fasp.Code(CodeNoSpace)}, false},
		{&fasp.PeerError{Code: fasp.CodeApplication + fasp.Code(CodeDiskWrite)}, true},
		{fasp.ErrIdentity, false},
		{fasp.ErrPathMTU, false},
		{&fasp.ProtocolError{}, false},
		{os.ErrNotExist, false},
		{fmt.Errorf("connect: %w", syscall.ENETUNREACH), true},
	} {
		require.Equal(t, c.want, retryable(c.err), "%v", c.err)
	}
	t.Run("a server never reached is not tried again", func(t *testing.T) {
		n := 0
		cfg := Config{Dial: func(context.Context, *Spec) (fasp.Session, error) { n++; return nil, fasp.ErrHandshakeTimeout }}
		_, err := Run(t.Context(), cfg, Spec{Paths: []Path{{Source: "x"}}, Destination: "y"})
		require.ErrorIs(t, err, fasp.ErrHandshakeTimeout)
		require.Equal(t, 1, n)
	})
	t.Run("a busy one is, for a while", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			cfg := Config{Dial: func(context.Context, *Spec) (fasp.Session, error) {
				n++
				return nil, &fasp.PeerError{Code: fasp.CodeBusy}
			}}
			start := time.Now()
			_, err := Run(t.Context(), cfg, Spec{Paths: []Path{{Source: "x"}}, Destination: "y"})
			require.Error(t, err)
			require.Greater(t, n, 10)
			require.InDelta(t, defaultRetryTimeout.Seconds(), time.Since(start).Seconds(), 60)
		})
	})
	t.Run("a link cut for 20 s", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			write(t, filepath.Join(r.local, "f"), 4<<20, 1)
			r.cfg.RetryWait = 0
			store, err := OpenDir(r.root)
			require.NoError(t, err)
			defer store.Close()
			var down time.Time
			cfg := r.cfg
			cfg.Dial = func(context.Context, *Spec) (fasp.Session, error) {
				if !down.IsZero() && time.Since(down) < 20*time.Second {
					return nil, fasp.ErrHandshakeTimeout
				}
				opt := transfertest.Options{Latency: 10 * time.Millisecond}
				if down.IsZero() {
					opt.CutAfter = 2 << 20
					down = time.Now()
				}
				c, s := transfertest.Pair(opt)
				go func() { _ = Serve(context.Background(), s, ServeConfig{Store: store, Limits: Limits{Write: true}}) }()
				return c, nil
			}
			_, err = Run(t.Context(), cfg, r.send("f"))
			require.NoError(t, err)
			require.Equal(t, list(t, r.local), list(t, filepath.Join(r.root, "in")))
			time.Sleep(lingerTime + time.Second) // virtual; the node's last session ends
		})
	})
}

func TestUsageErrors(t *testing.T) {
	cfg := Config{Dial: func(context.Context, *Spec) (fasp.Session, error) { return nil, errors.New("not to be called") }}
	for _, s := range []Spec{
		{},
		{Paths: []Path{{Source: "a"}}},
		{Paths: []Path{{Source: ""}}, Destination: "x"},
		{Paths: []Path{{"a", "b"}, {"c", ""}}, Destination: "x"},
		{Paths: []Path{{Source: "a"}}, Destination: "x", BlockSize: 5},
		{Paths: []Path{{Source: "a"}}, Destination: "x", BlockSize: -4096},
		{Paths: []Path{{Source: "a"}}, Destination: "x", Rates: fasp.Rates{Policy: fasp.Fixed}},
		{Paths: []Path{{Source: "../x"}}, Destination: "x", Direction: Receive},
	} {
		_, err := Run(t.Context(), cfg, s)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.NotContains(t, err.Error(), "not to be called")
	}
}
