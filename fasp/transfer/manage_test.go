package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer/transfertest"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

var allRights = Limits{Read: true, Write: true, List: true, Delete: true}

// manageRemote serves store to a Remote.
func manageRemote(t *testing.T, store Store, limits Limits) *Remote {
	c, s := transfertest.Pair(transfertest.Options{})
	served := make(chan error, 1)
	go func() { served <- Serve(context.Background(), s, ServeConfig{Store: store, Limits: limits}) }()
	r, err := Manage(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, r.Close())
		require.NoError(t, <-served)
	})
	return r
}

// managePlaces are a folder and a bucket with the same files.
func managePlaces(t *testing.T) map[string]Manager {
	dir, err := OpenDir(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = dir.Close() })
	b := objstore.NewBucket(memstore.New(), objstore.Config{PartSize: testPart})
	places := map[string]Manager{"folder": dir, "bucket": NewBucketStore(b, "root", 0, nil)}
	for _, m := range places {
		for i := range 20 {
			p, err := m.Put(t.Context(), fmt.Sprintf("a/b%d/f%d.txt", i%3, i), "tag", make([]byte, 10*i), Attr{Size: int64(10 * i), Mode: 0o644}, SyncNone)
			require.NoError(t, err)
			require.NoError(t, p.Publish(t.Context(), SyncNone, true))
		}
	}
	return places
}

func listed(t *testing.T, r *Remote, name string, o WalkOptions) []string {
	t.Helper()
	var out []string
	for in, err := range r.List(t.Context(), name, o) {
		require.NoError(t, err)
		out = append(out, in.Name)
	}
	sort.Strings(out)
	return out
}

func codeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestManage(t *testing.T) {
	for place, m := range managePlaces(t) {
		t.Run(place, func(t *testing.T) {
			r := manageRemote(t, m, allRights)
			ctx := t.Context()
			require.Equal(t, []string{"a"}, listed(t, r, "/", WalkOptions{}))
			require.Equal(t, []string{"b0", "b1", "b2"}, listed(t, r, "/a", WalkOptions{}))
			require.Equal(t, []string{"f1.txt", "f10.txt", "f13.txt", "f16.txt", "f19.txt"}, listed(t, r, "a/b1", WalkOptions{Match: "F1"}))
			require.Len(t, listed(t, r, "a", WalkOptions{Deep: true, Match: "F1"}), 11)
			require.Contains(t, listed(t, r, "a", WalkOptions{Deep: true}), "b2/f2.txt")

			in, err := r.Stat(ctx, "a/b1/f19.txt")
			require.NoError(t, err)
			require.EqualValues(t, 190, in.Size)
			require.True(t, in.Mode.IsRegular())
			in, err = r.Stat(ctx, "a/b1")
			require.NoError(t, err)
			require.True(t, in.Mode.IsDir())
			files, bytes, err := r.Usage(ctx, "a")
			require.NoError(t, err)
			require.EqualValues(t, 20, files)
			require.EqualValues(t, 1900, bytes)

			require.NoError(t, r.Mkdir(ctx, "new/inner"))
			require.NoError(t, r.Mkdir(ctx, "new/inner"))
			_, err = r.Rename(ctx, "a/b0/f0.txt", "new/inner/g.txt", false)
			require.NoError(t, err)
			_, err = r.Rename(ctx, "a/b1/f1.txt", "new/inner/g.txt", false)
			require.Equal(t, CodeAlreadyExists, codeOf(err), "%v", err)
			_, err = r.Rename(ctx, "a/b1/f1.txt", "new/inner/g.txt", true)
			require.NoError(t, err)
			_, err = r.Rename(ctx, "a", "moved", false)
			require.NoError(t, err)
			files, _, err = r.Usage(ctx, "moved")
			require.NoError(t, err)
			require.EqualValues(t, 18, files)
			_, err = r.Stat(ctx, "a")
			require.Equal(t, CodeNoSuchFile, codeOf(err))

			_, err = r.Remove(ctx, "moved", false)
			require.Error(t, err, "it is not empty")
			n, err := r.Remove(ctx, "moved", true)
			require.NoError(t, err)
			require.GreaterOrEqual(t, n, int64(18))
			_, err = r.Remove(ctx, "moved", true)
			require.Equal(t, CodeNoSuchFile, codeOf(err))
			require.Equal(t, []string{"new"}, listed(t, r, ".", WalkOptions{}))
		})
	}
}

func TestManageRights(t *testing.T) {
	for place, m := range managePlaces(t) {
		t.Run(place, func(t *testing.T) {
			ctx := t.Context()
			calls := map[string]func(r *Remote) error{
				"stat":   func(r *Remote) error { _, err := r.Stat(ctx, "a"); return err },
				"list":   func(r *Remote) error { return listError(r.List(ctx, "a", WalkOptions{})) },
				"usage":  func(r *Remote) error { _, _, err := r.Usage(ctx, "a"); return err },
				"mkdir":  func(r *Remote) error { return r.Mkdir(ctx, "n") },
				"rename": func(r *Remote) error { _, err := r.Rename(ctx, "a/b0/f0.txt", "a/b0/f00.txt", false); return err },
				"remove": func(r *Remote) error { _, err := r.Remove(ctx, "a/b0/f3.txt", false); return err },
				"clean":  func(r *Remote) error { return listError(r.Clean(ctx, ".", time.Hour, true)) },
			}
			for name, allowed := range map[string]Limits{
				"stat": {Read: true}, "list": {List: true}, "usage": {List: true}, "mkdir": {Write: true},
				"rename": {Write: true, Delete: true}, "remove": {Delete: true}, "clean": {Delete: true},
			} {
				require.NoError(t, calls[name](manageRemote(t, m, allowed)), name)
				denied := allRights
				switch {
				case allowed.Delete:
					denied.Delete = false
				case allowed.Write:
					denied.Write = false
				default:
					denied.List, denied.Read = false, false
				}
				require.Equal(t, CodeNoPerms, codeOf(calls[name](manageRemote(t, m, denied))), name)
			}
		})
	}
}

func listError[T any](seq func(func(T, error) bool)) (err error) {
	seq(func(_ T, e error) bool { err = e; return e == nil })
	return err
}

func TestManageKeepsWithinThePlace(t *testing.T) {
	for place, m := range managePlaces(t) {
		t.Run(place, func(t *testing.T) {
			r := manageRemote(t, m, allRights)
			for _, name := range []string{"../x", "a/../../x", "a\x00b", "a/.f.tw-part", "a/f.tradewind-upload"} {
				_, err := r.Stat(t.Context(), name)
				require.Equal(t, CodeBadPath, codeOf(err), "%q", name)
				_, err = r.Remove(t.Context(), name, true)
				require.Equal(t, CodeBadPath, codeOf(err), "%q", name)
				_, err = r.Rename(t.Context(), "a", name, true)
				require.Equal(t, CodeBadPath, codeOf(err), "%q", name)
			}
			for _, root := range []string{"", "/", ".", "a/.."} {
				_, err := r.Remove(t.Context(), root, true)
				require.Equal(t, CodeBadPath, codeOf(err), "%q", root)
				_, err = r.Rename(t.Context(), root, "b", true)
				require.Equal(t, CodeBadPath, codeOf(err), "%q", root)
			}
			_, err := r.do(t.Context(), &op{Kind: 200, Name: "a"}, nil)
			require.Equal(t, CodeUsage, codeOf(err))
			require.NotEmpty(t, listed(t, r, "a", WalkOptions{}), "and the session lives on")
		})
	}
}

func TestRemoveDoesNotFollowLinks(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "precious"), 10, 1)
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "d"), 0o755))
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "d/link")))
	dir, err := OpenDir(root)
	require.NoError(t, err)
	defer dir.Close()
	r := manageRemote(t, dir, allRights)
	_, err = r.Remove(t.Context(), "d", true)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(outside, "precious"))
	require.NoDirExists(t, filepath.Join(root, "d"))
}

func TestCleanFolder(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.local, "big"), 20<<20, 1)
	r.cfg.RetryTimeout = -1
	r.opt = transfertest.Options{CutAfter: 12 << 20}
	_, err := r.run(r.send("big"))
	require.Error(t, err)
	d, err := OpenDir(r.root)
	require.NoError(t, err)
	defer d.Close()
	require.Empty(t, clean(t, d, time.Hour, false), "it is young")
	found := clean(t, d, 0, true)
	require.NotEmpty(t, found)
	held, err := d.Create(t.Context(), "in/big", Attr{Size: 20 << 20})
	require.NoError(t, err)
	for _, l := range clean(t, d, 0, true) {
		require.NotContains(t, l.Name, partSuffix, "it is being written")
	}
	require.NoError(t, held.Close())
	require.Equal(t, len(found), len(clean(t, d, 0, false)))
	noPartials(t, r.root)
}

func clean(t *testing.T, m Manager, age time.Duration, dry bool) (out []Leftover) {
	require.NoError(t, m.Clean(t.Context(), ".", age, dry, func(l Leftover) error { out = append(out, l); return nil }))
	return out
}

func TestCleanBucket(t *testing.T) {
	r := newBucketRig(t, memstore.New(), defaultPool)
	write(t, filepath.Join(r.local, "big"), 20<<20, 1)
	r.cfg.RetryTimeout = -1
	r.opt = transfertest.Options{CutAfter: 12 << 20}
	_, err := r.run(r.send("big"))
	require.Error(t, err)
	store := r.serve.Store.(*BucketStore)
	require.Empty(t, clean(t, store, time.Hour, false), "it is young")
	kinds := map[string]string{}
	for _, l := range clean(t, store, 0, true) {
		kinds[l.Kind] = l.Name
	}
	require.Equal(t, map[string]string{"upload": "in/big", "note": "in/big"}, kinds)
	clean(t, store, 0, false)
	r.settled()
	require.Empty(t, clean(t, store, 0, true))
}

// TestManageOldNode: a node that does not manage says so.
func TestManageWithoutManager(t *testing.T) {
	c, s := transfertest.Pair(transfertest.Options{})
	served := make(chan error, 1)
	go func() {
		served <- Serve(context.Background(), s, ServeConfig{Store: NewStreamStore(nil, "x"), Limits: allRights})
	}()
	_, err := Manage(t.Context(), c)
	require.Equal(t, CodeUsage, codeOf(err), "%v", err)
	require.NoError(t, c.Close(fasp.CodeDone, ""))
	require.Error(t, <-served)
}

func FuzzManageRecords(f *testing.F) {
	f.Add((&op{ID: 1, Kind: opRename, Name: "a", To: "b", Flag: true, Age: 5}).encode())
	f.Add((&opItem{ID: 1, Name: "n", Kind: "k", Mode: fs.ModeDir | 0o755, Size: 3, Mtime: -1, ETag: "e", Class: "c"}).encode())
	f.Add((&opEnded{ID: 1, Code: 4, Text: "t", Count: 1, Bytes: 2}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := decodeOp(b); err == nil {
			again, err := decodeOp(o.encode())
			require.NoError(t, err)
			require.Equal(t, o, again)
		}
		if i, err := decodeOpItem(b); err == nil {
			again, err := decodeOpItem(i.encode())
			require.NoError(t, err)
			require.Equal(t, i, again)
		}
		if e, err := decodeOpEnded(b); err == nil {
			again, err := decodeOpEnded(e.encode())
			require.NoError(t, err)
			require.Equal(t, e, again)
		}
	})
}
