package transfer

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore/memstore"
)

// TestFolderOfSpec: where the id of the folder at the server stands.
func TestFolderOfSpec(t *testing.T) {
	for _, c := range []struct{ folder, tags, want, err string }{
		{"", "", "", ""},
		{"5", "", "5", ""},
		{"", `{"aspera":{"node":{"access_key":"ak","file_id":"2"}}}`, "2", ""},
		{"", `{"aspera":{"node":{"file_id":2}}}`, "2", ""},
		{"2", `{"aspera":{"node":{"file_id":"2"}}}`, "2", ""},
		{"3", `{"aspera":{"node":{"file_id":"2"}}}`, "", "given twice"},
		{"", `{"aspera":{"node":{"file_id":null}}}`, "", ""},
		{"", `{"aspera":{"node":[2]}}`, "", ""},
		{"", `{"aspera":{"node":{"file_id":[2]}}}`, "", "want a text or a number"},
		{"", `{"aspera":{"node":{"file_id":"2\u0000"}}}`, "", "a line of at most"},
		{"", `{"aspera":{"node":{"file_id":"` + strings.Repeat("x", maxFolder+1) + `"}}}`, "", "a line of at most"},
		{strings.Repeat("x", maxFolder+1), "", "", "a line of at most"},
		{"", `[]`, "", "want a JSON object"},
		{"", `{"a":`, "", "want a JSON object"},
		{"", "{\"a\":\"\xff\"}", "", "want UTF-8"},
		{"", `{"a":"` + strings.Repeat("x", MaxTags) + `"}`, "", "at most 16384 are taken"},
	} {
		s := Spec{Paths: []Path{{Source: "a"}}, Destination: "/", Folder: c.folder, Tags: json.RawMessage(c.tags)}
		err := s.Check()
		if c.err != "" {
			require.ErrorContains(t, err, c.err, "%s %s", c.folder, c.tags)
			continue
		}
		require.NoError(t, err, "%s %s", c.folder, c.tags)
		id, err := s.FolderID()
		require.NoError(t, err)
		require.Equal(t, c.want, id, "%s %s", c.folder, c.tags)
	}
	s := Spec{Paths: []Path{{Source: "a"}}, Destination: "/", Cookie: strings.Repeat("x", MaxLabel+1)}
	require.ErrorContains(t, s.Check(), "cookie and title")

	n, _, err := ReadSpec([]byte(`{"destination_root_id":12}`))
	require.NoError(t, err)
	require.Equal(t, "12", n.Folder)
	_, _, err = ReadSpec([]byte(`{"destination_root_id":1.5}`))
	require.ErrorContains(t, err, "destination_root_id: want a text or a whole number")

	// In JSON the field says which side it is about.
	for _, d := range []Direction{Send, Receive} {
		b, err := json.Marshal(Spec{Direction: d, Folder: "7"})
		require.NoError(t, err)
		require.Equal(t, d == Send, strings.Contains(string(b), `"destination_root_id":"7"`), "%s", b)
		require.Equal(t, d == Receive, strings.Contains(string(b), `"source_root_id":"7"`), "%s", b)
		again, x, err := ReadSpec(b)
		require.NoError(t, err)
		require.Equal(t, "7", again.Folder)
		require.Empty(t, x.Notes)
	}
}

// TestFolderByID: a client that names a folder by its id is served in that folder, or not at all.
func TestFolderByID(t *testing.T) {
	r := newRig(t)
	write(t, filepath.Join(r.local, "f"), 1000, 1)
	write(t, filepath.Join(r.root, "deep/er/g"), 1000, 2)
	up := r.send("f")
	up.Destination, up.Folder = "/", "17"
	_, err := r.run(up)
	require.ErrorContains(t, err, "there are no folders by ids here")
	require.Equal(t, CodeNoSuchFile, sessionError(err).Code)
	require.NoFileExists(t, filepath.Join(r.root, "f"))

	whole, err := OpenDir(r.root)
	require.NoError(t, err)
	defer whole.Close()
	var asked []Asked
	var started []SessionRecord
	released := 0
	r.serve.Store = whole
	r.serve.Place = func(ctx context.Context, a Asked) (Place, error) {
		asked = append(asked, a)
		if a.Folder != "17" {
			return Place{}, failf(CodeNoSuchFile, "", "no such id")
		}
		sub, err := whole.Folder(ctx, "deep/er")
		return Place{Store: sub, Limits: r.limits, Path: "deep/er", Release: func() {
			released++
			require.NoError(t, sub.Close())
		}}, err
	}
	r.serve.Events = func(e Event) {
		if e.Kind == EventSessionStarted {
			started = append(started, e.Session)
		}
	}
	up.Cookie, up.Title, up.Tags = "biscuit", "title", json.RawMessage(`{"a":{"b":1}}`)
	_, err = r.run(up)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(r.root, "deep/er/f"))
	require.NoFileExists(t, filepath.Join(r.root, "f"))
	require.Equal(t, []Asked{{Direction: Send, Folder: "17", Tags: up.Tags}}, asked)
	require.Equal(t, 1, released)
	require.Equal(t, "/deep/er", started[0].Dest)
	require.Equal(t, "biscuit title", started[0].Cookie+" "+started[0].Title)
	require.JSONEq(t, string(up.Tags), string(started[0].Tags))

	down := Spec{Direction: Receive, Paths: []Path{{Source: "g"}}, Destination: filepath.Join(r.local, "back"), CreateDir: true, Tags: json.RawMessage(`{"aspera":{"node":{"file_id":17}}}`)}
	_, err = r.run(down)
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(r.local, "back/g"))
	require.Equal(t, []string{"/deep/er/g"}, started[1].Paths)
	require.Equal(t, 2, released)

	down.Tags, down.Folder = nil, "18"
	_, err = r.run(down)
	require.ErrorContains(t, err, "no such id")
	require.Equal(t, CodeNoSuchFile, sessionError(err).Code)

	// The same paths below another folder are other work.
	one, two := client{spec: up, folder: "1"}, client{spec: up, folder: "2"}
	require.NotEqual(t, one.jobID(), two.jobID())
}

// TestFolderOfPlace: what is opened as a place of its own is a folder, not a link to one, and nothing leads out of it.
func TestFolderOfPlace(t *testing.T) {
	d, root := openTestDir(t)
	ctx := t.Context()
	write(t, filepath.Join(root, "a/b/f"), 10, 1)
	write(t, filepath.Join(root, "secret"), 10, 1)
	require.NoError(t, os.Symlink("a", filepath.Join(root, "link")))
	require.NoError(t, os.Symlink("../../secret", filepath.Join(root, "a/b/out")))
	for _, bad := range []string{"link", "link/b", "a/b/f", "a/b/out", "none", "..", "a/../.."} {
		_, err := d.Folder(ctx, bad)
		require.Error(t, err, bad)
	}
	top, err := d.Folder(ctx, ".")
	require.NoError(t, err)
	require.NoError(t, top.Close())
	sub, err := d.Folder(ctx, "a/b")
	require.NoError(t, err)
	defer func() { require.NoError(t, sub.Close()) }()
	_, err = sub.Stat(ctx, "out", true)
	require.Error(t, err)
	_, err = sub.Open(ctx, "out")
	require.Error(t, err)
	// It stays the same folder, whatever stands at its name.
	require.NoError(t, os.Rename(filepath.Join(root, "a"), filepath.Join(root, "moved")))
	write(t, filepath.Join(root, "a/b/other"), 10, 1)
	_, err = sub.Stat(ctx, "f", false)
	require.NoError(t, err)
	_, err = sub.Stat(ctx, "other", false)
	require.Error(t, err)
}

// TestFolderOfBucket: a folder of a store is a place of its own, which shares with the whole what is being written.
func TestFolderOfBucket(t *testing.T) {
	r := newBucketRig(t, memstore.New(), defaultPool)
	ctx := t.Context()
	whole := r.serve.Store.(*BucketStore)
	require.NoError(t, whole.Mkdir(ctx, "a/b"))
	sealed, err := whole.Put(ctx, "a/b/f", "", []byte("x"), Attr{Size: 1}, SyncNow)
	require.NoError(t, err)
	require.NoError(t, sealed.Publish(ctx, SyncNow, true))
	for _, bad := range []string{"a/b/f", "none", "..", "a/../.."} {
		_, err := whole.Folder(ctx, bad)
		require.Error(t, err, bad)
	}
	sub, err := whole.Folder(ctx, "a/b")
	require.NoError(t, err)
	in, err := sub.Stat(ctx, "f", false)
	require.NoError(t, err)
	require.EqualValues(t, 1, in.Size)
	_, err = sub.Stat(ctx, "../../a/b/f", false)
	require.Error(t, err)
	target, err := sub.Create(ctx, "big", Attr{Size: 3 * testPart, Block: minBlockSize})
	require.NoError(t, err)
	_, err = whole.Create(ctx, "a/b/big", Attr{Size: 3 * testPart, Block: minBlockSize})
	require.ErrorIs(t, err, ErrBusy)
	require.NoError(t, target.Discard(ctx))
	require.NoError(t, sub.Close())
	_, err = whole.Stat(ctx, "a/b/f", false)
	require.NoError(t, err, "the store is still open")
}
