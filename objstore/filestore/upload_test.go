package filestore

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// pair is an upload of two parts of 4 bytes, in a folder.
func pair(t *testing.T) (dir string, s *Store, u objstore.Upload, parts []objstore.Part) {
	dir = t.TempDir()
	s = open(t, dir)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	u, err := s.Begin(t.Context(), objstore.Upload{Key: "key", Size: 8, Plan: objstore.Plan{First: 4}}, objstore.PutOptions{})
	require.NoError(t, err)
	for n, data := range []string{"aaaa", "bbbb"} {
		spec, _ := u.Spec(n)
		p, err := s.PutPart(t.Context(), u, spec, bodyOf(data))
		require.NoError(t, err)
		parts = append(parts, p)
	}
	return dir, s, u, parts
}

func bodyOf(s string) *io.SectionReader {
	return io.NewSectionReader(strings.NewReader(s), 0, int64(len(s)))
}

func names(t *testing.T, dir string) []string {
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	got := []string{}
	for _, e := range list {
		got = append(got, e.Name())
	}
	return got
}

func files(dir string, u objstore.Upload) (data, state string) {
	return filepath.Join(dir, beside(u.Key, u.ID, dataSuffix)), filepath.Join(dir, beside(u.Key, u.ID, stateSuffix))
}

func noUpload(t *testing.T, s *Store, u objstore.Upload) {
	t.Helper()
	_, err := s.Parts(t.Context(), u)
	require.Equal(t, objstore.NoUpload, objstore.KindOf(err), "%v", err)
	_, err = s.PutPart(t.Context(), u, objstore.PartSpec{}, bodyOf("cccc"))
	require.Equal(t, objstore.NoUpload, objstore.KindOf(err), "%v", err)
}

func holds(t *testing.T, dir, want string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "key"))
	require.NoError(t, err)
	require.Equal(t, want, string(b))
}

// The tests below put the folder into the states that a crash between two steps of Complete leaves.

func TestCrashAfterRename(t *testing.T) {
	dir, s, u, _ := pair(t)
	data, _ := files(dir, u)
	require.NoError(t, os.Rename(data, filepath.Join(dir, "key")))
	noUpload(t, s, u)
	require.Equal(t, []string{"key"}, names(t, dir), "the state is cleaned up")
	holds(t, dir, "aaaabbbb")
}

func TestCrashBetweenLinkAndRemove(t *testing.T) {
	dir, s, u, _ := pair(t)
	data, _ := files(dir, u)
	require.NoError(t, os.Link(data, filepath.Join(dir, "key")))
	noUpload(t, s, u)
	require.Equal(t, []string{"key"}, names(t, dir), "the other name is cleaned up")
	holds(t, dir, "aaaabbbb")
}

func TestCrashInBegin(t *testing.T) {
	for _, n := range []int64{0, 5, 12, 40} {
		dir, s, u, _ := pair(t)
		_, state := files(dir, u)
		require.NoError(t, os.Truncate(state, n))
		noUpload(t, s, u)
		list, _, err := s.Uploads(t.Context(), "", "")
		require.NoError(t, err)
		require.Empty(t, list)
		require.NoError(t, s.Abort(t.Context(), u))
		require.Empty(t, names(t, dir), "Abort cleans up what was not begun to the end")
	}
}

func TestCrashBeforeTheDataFile(t *testing.T) {
	dir, s, u, _ := pair(t)
	data, _ := files(dir, u)
	require.NoError(t, os.Remove(data))
	list, _, err := s.Uploads(t.Context(), "", "")
	require.NoError(t, err)
	require.Len(t, list, 1, "clean-up finds it")
	require.NoError(t, s.Abort(t.Context(), objstore.Upload{Key: list[0].Key, ID: list[0].ID}))
	require.Empty(t, names(t, dir))
}

func TestSweep(t *testing.T) {
	dir, s, u, _ := pair(t)
	for _, name := range []string{"a/b/.x." + newID() + tempSuffix, ".y." + newID() + tempSuffix, ".z." + newID() + stateSuffix} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
	}
	n, err := s.Sweep(t.Context(), time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Zero(t, n, "what is young may be in use")
	n, err = s.Sweep(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 3, n, "the state of an upload that was killed before it was written, too")
	require.Len(t, names(t, dir), 2, "the upload, and no empty folder")
	_, err = s.Parts(t.Context(), u)
	require.NoError(t, err)
}

func TestCrashWhileARecordIsWritten(t *testing.T) {
	dir, s, u, parts := pair(t)
	_, state := files(dir, u)
	fi, err := os.Stat(state)
	require.NoError(t, err)
	for _, cut := range []int64{1, 17, recordSize - 1} {
		require.NoError(t, os.Truncate(state, fi.Size()-cut))
		got, err := s.Parts(t.Context(), u)
		require.NoError(t, err)
		require.Equal(t, parts[:1], got, "half a record is none")
	}
	_, err = s.Complete(t.Context(), u, parts, objstore.PutOptions{})
	require.Equal(t, objstore.BadPart, objstore.KindOf(err))
	spec, _ := u.Spec(1)
	parts[1], err = s.PutPart(t.Context(), u, spec, bodyOf("dddd"))
	require.NoError(t, err)
	_, err = s.Complete(t.Context(), u, parts, objstore.PutOptions{})
	require.NoError(t, err)
	holds(t, dir, "aaaadddd")
}

// failing is a body that cannot be read to its end.
type failing struct{}

func (failing) ReadAt(b []byte, _ int64) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestPartIsStruckOutBeforeItIsOverwritten(t *testing.T) {
	_, s, u, parts := pair(t)
	spec, _ := u.Spec(0)
	_, err := s.PutPart(t.Context(), u, spec, io.NewSectionReader(failing{}, 0, 4))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	got, err := s.Parts(t.Context(), u)
	require.NoError(t, err)
	require.Equal(t, parts[1:], got, "its bytes may be half new")
}

func TestPartsThatDoNotFitThePlan(t *testing.T) {
	_, s, u, _ := pair(t)
	for _, c := range []struct {
		spec objstore.PartSpec
		data string
	}{
		{objstore.PartSpec{N: 0, Off: 1}, "aaaa"},
		{objstore.PartSpec{N: 1, Off: 0}, "aaaa"},
		{objstore.PartSpec{N: 0, Off: 0}, "aaaaa"},
		{objstore.PartSpec{N: -1, Off: -4}, "aaaa"},
		{objstore.PartSpec{N: maxParts, Off: 4 * maxParts}, "aaaa"},
	} {
		_, err := s.PutPart(t.Context(), u, c.spec, bodyOf(c.data))
		require.Equal(t, objstore.Invalid, objstore.KindOf(err), "%+v: %v", c, err)
	}
	spec, _ := u.Spec(0)
	short, err := s.PutPart(t.Context(), u, spec, bodyOf("aa"))
	require.NoError(t, err, "it may be the last, for all the store knows")
	parts, err := s.Parts(t.Context(), u)
	require.NoError(t, err)
	require.Equal(t, short, parts[0])
	_, err = s.Complete(t.Context(), u, parts, objstore.PutOptions{})
	require.Equal(t, objstore.BadPart, objstore.KindOf(err))
}

// blocking is a body that waits to be released.
type blocking struct {
	reached, release chan struct{}
	data             *bytes.Reader
}

func (b *blocking) ReadAt(p []byte, off int64) (int, error) {
	close(b.reached)
	<-b.release
	return b.data.ReadAt(p, off)
}

func TestCompleteWhileAPartIsPut(t *testing.T) {
	if busy, err := lockTwice(t); err != nil || !busy {
		require.NotEqual(t, "linux", runtime.GOOS, "locks must work here: %v", err)
		t.Skip("no locks here")
	}
	dir, s, u, parts := pair(t)
	body := &blocking{make(chan struct{}), make(chan struct{}), bytes.NewReader([]byte("cccc"))}
	done := make(chan error)
	go func() {
		spec, _ := u.Spec(0)
		_, err := s.PutPart(t.Context(), u, spec, io.NewSectionReader(body, 0, 4))
		done <- err
	}()
	<-body.reached
	other := open(t, dir) // as another process would
	defer other.Close()
	_, err := other.Complete(t.Context(), u, parts, objstore.PutOptions{})
	require.Equal(t, objstore.Busy, objstore.KindOf(err))
	require.Equal(t, objstore.Busy, objstore.KindOf(other.Abort(t.Context(), u)))
	_, err = other.Parts(t.Context(), u)
	require.NoError(t, err)

	// A second put of the part waits for the first, as long as its context lasts.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	unlock, err := s.parts.lock(ctx, partID{u.ID, 0})
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, unlock)

	close(body.release)
	require.NoError(t, <-done)
	parts, err = other.Parts(t.Context(), u)
	require.NoError(t, err)
	_, err = other.Complete(t.Context(), u, parts, objstore.PutOptions{})
	require.NoError(t, err)
	holds(t, dir, "ccccbbbb")
}

func lockTwice(t *testing.T) (busy bool, err error) {
	name := filepath.Join(t.TempDir(), "lock")
	var opened [2]*os.File
	for i := range opened {
		f, err := os.Create(name)
		require.NoError(t, err)
		defer f.Close()
		opened[i] = f
	}
	if busy, err = lock(opened[0], false); err != nil || busy {
		return false, err
	}
	return lock(opened[1], true)
}

func TestFailedPutLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	_, err := s.Put(t.Context(), "a/b/key", io.NewSectionReader(failing{}, 0, 4), objstore.PutOptions{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Empty(t, names(t, dir))
}

func TestReadOfAFileThatOthersChange(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	name := filepath.Join(dir, "key")
	read := func(change func()) error {
		require.NoError(t, os.WriteFile(name, []byte("0123456789"), 0o600))
		r, _, err := s.Read(t.Context(), "key", 0, -1, "")
		require.NoError(t, err)
		defer r.Close()
		_, err = io.ReadFull(r, make([]byte, 5))
		require.NoError(t, err)
		change()
		_, err = io.ReadAll(r)
		return err
	}
	require.ErrorIs(t, read(func() { require.NoError(t, os.Truncate(name, 7)) }), objstore.ErrChanged)
	require.ErrorIs(t, read(func() { require.NoError(t, os.WriteFile(name, []byte("abcdefghijklm"), 0o600)) }), objstore.ErrChanged)
	require.NoError(t, read(func() { require.NoError(t, os.Remove(name)) }), "what was open stays")
	require.NoError(t, read(func() {
		_, err := s.Put(t.Context(), "key", bodyOf("new"), objstore.PutOptions{})
		require.NoError(t, err)
	}))
}

func FuzzState(f *testing.F) {
	h := stateHeader{Upload: objstore.Upload{Key: "a\xffb", ID: newID(), Size: -1, Plan: objstore.Plan{First: 4}}}
	b, err := h.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(append(b, record{size: 3, nonce: 4, sum: 5}.encode(0)...))
	f.Add(append(b, make([]byte, 40)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, at, err := readHeader(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := h.encode()
		if err != nil {
			return // escapes make it longer than it may be
		}
		h2, _, err := readHeader(bytes.NewReader(again))
		if err != nil || h2.Upload != h.Upload {
			t.Fatalf("%+v became %+v: %v", h, h2, err)
		}
		records, err := readRecords(bytes.NewReader(b[at:]))
		if err != nil {
			t.Fatal(err)
		}
		for n, r := range records {
			if !bytes.Equal(r.encode(n), b[at+int64(n)*recordSize:][:recordSize]) {
				t.Fatalf("record %d does not encode to its bytes", n)
			}
		}
	})
}
