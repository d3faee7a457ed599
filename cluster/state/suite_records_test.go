package state

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func testTenants(t *testing.T, s *Store) {
	ctx := t.Context()
	_, err := s.Tenant(ctx, "a")
	require.ErrorIs(t, err, ErrNotFound)

	a := must(s.CreateTenant(ctx, Tenant{ID: "a", Name: "Ä", Doc: doc(`{ "b":1,  "a":"<é>" }`), Rev: 7}))(t)
	require.Equal(t, Tenant{ID: "a", Name: "Ä", Doc: doc(`{ "b":1,  "a":"<é>" }`), Created: clock, Updated: clock, Rev: 1}, a, "the document is kept to the byte")
	require.Equal(t, a, must(s.Tenant(ctx, "a"))(t))
	_, err = s.CreateTenant(ctx, Tenant{ID: "a"})
	require.ErrorIs(t, err, ErrExists)
	require.ErrorContains(t, err, `create tenant "a"`)
	_, err = s.CreateTenant(ctx, Tenant{ID: "A"})
	require.NoError(t, err, "ids are compared byte by byte")

	b := a
	b.Name, b.Doc, b.Created = "B", nil, time.Time{}
	b = must(s.UpdateTenant(ctx, b))(t)
	require.Equal(t, Tenant{ID: "a", Name: "B", Created: clock, Updated: clock, Rev: 2}, b)
	require.Equal(t, b, must(s.Tenant(ctx, "a"))(t))

	_, err = s.UpdateTenant(ctx, a)
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, `update tenant "a"`)
	require.ErrorContains(t, err, "it is at revision 2, not 1")
	_, err = s.UpdateTenant(ctx, Tenant{ID: "none", Rev: 1})
	require.ErrorIs(t, err, ErrNotFound)

	require.ErrorIs(t, s.DeleteTenant(ctx, "a", 1), ErrConflict)
	require.NoError(t, s.DeleteTenant(ctx, "a", 2))
	require.ErrorIs(t, s.DeleteTenant(ctx, "a", 2), ErrNotFound)
	require.NoError(t, s.DeleteTenant(ctx, "A", 0))
	require.ErrorIs(t, s.DeleteTenant(ctx, "A", 0), ErrNotFound)

	for _, id := range []string{"x", "y"} {
		must(s.CreateTenant(ctx, Tenant{ID: id, Name: "same"}))(t)
	}
	all, next, err := s.Tenants(ctx, TenantFilter{Name: "same"}, Page{})
	require.NoError(t, err)
	require.Empty(t, next)
	require.Len(t, all, 2)
}

func testKeys(t *testing.T, s *Store) {
	ctx := t.Context()
	_, err := s.CreateKey(ctx, Key{ID: "k", Tenant: "t"})
	require.ErrorIs(t, err, ErrReference, "without its tenant")
	must(s.CreateTenant(ctx, Tenant{ID: "t"}))(t)
	k := must(s.CreateKey(ctx, Key{ID: "k", Tenant: "t", Status: "new", Disabled: true, Secret: []byte{0, 1, 255}, Storage: []byte{}}))(t)
	require.Equal(t, Key{ID: "k", Tenant: "t", Status: "new", Disabled: true, Secret: []byte{0, 1, 255}, Created: clock, Updated: clock, Rev: 1}, k)
	require.Equal(t, k, must(s.Key(ctx, "k"))(t))
	k.Disabled, k.Storage, k.Secret = false, []byte("sealed"), nil
	k = must(s.UpdateKey(ctx, k))(t)
	require.Equal(t, k, must(s.Key(ctx, "k"))(t))
	require.Equal(t, int64(2), k.Rev)
	require.ErrorIs(t, s.DeleteTenant(ctx, "t", 0), ErrReference, "it has a key")
	moved := k
	moved.Tenant = "none"
	_, err = s.UpdateKey(ctx, moved)
	require.ErrorIs(t, err, ErrReference)

	must(s.CreateKey(ctx, Key{ID: "l", Tenant: "t"}))(t)
	got, _, err := s.Keys(ctx, KeyFilter{Tenant: "t", Status: "new"}, Page{})
	require.NoError(t, err)
	require.Equal(t, []Key{k}, got)
	got, _, err = s.Keys(ctx, KeyFilter{Tenant: "none"}, Page{})
	require.NoError(t, err)
	require.Empty(t, got)
	require.NoError(t, s.DeleteKey(ctx, "k", 2))
	require.NoError(t, s.DeleteKey(ctx, "l", 0))
	require.NoError(t, s.DeleteTenant(ctx, "t", 1))
}

func testUsers(t *testing.T, s *Store) {
	ctx := t.Context()
	_, err := s.CreateUser(ctx, User{Kind: "ssh", Name: "xfer", Tenant: "t"})
	require.ErrorIs(t, err, ErrReference)
	must(s.CreateTenant(ctx, Tenant{ID: "t"}))(t)
	u := must(s.CreateUser(ctx, User{Kind: "ssh", Name: "xfer", Tenant: "t", Secret: []byte("x")}))(t)
	n := must(s.CreateUser(ctx, User{Kind: "node", Name: "xfer"}))(t)
	_, err = s.CreateUser(ctx, User{Kind: "node", Name: "xfer"})
	require.ErrorIs(t, err, ErrExists)
	require.ErrorContains(t, err, "node/xfer")
	require.Equal(t, u, must(s.User(ctx, "ssh", "xfer"))(t))
	require.Equal(t, n, must(s.User(ctx, "node", "xfer"))(t))
	all, _, err := s.Users(ctx, UserFilter{}, Page{})
	require.NoError(t, err)
	require.Equal(t, []User{n, u}, all, "by kind and name")
	one, _, err := s.Users(ctx, UserFilter{Kind: "ssh", Tenant: "t"}, Page{})
	require.NoError(t, err)
	require.Equal(t, []User{u}, one)
	u.Tenant = ""
	u = must(s.UpdateUser(ctx, u))(t)
	require.Equal(t, u, must(s.User(ctx, "ssh", "xfer"))(t))
	require.NoError(t, s.DeleteUser(ctx, "ssh", "xfer", u.Rev))
	require.NoError(t, s.DeleteTenant(ctx, "t", 0))
}

func testJobSpecs(t *testing.T, s *Store) {
	ctx := t.Context()
	_, err := s.JobSpec(ctx, "j")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, s.SetJobSpec(ctx, "j", []byte("x")), ErrReference)
	j := must(s.CreateJob(ctx, Job{ID: "j", Key: "k"}))(t)
	require.NoError(t, s.SetJobSpec(ctx, "j", []byte("x")))
	require.NoError(t, s.SetJobSpec(ctx, "j", []byte("y\xff")))
	j = must(s.UpdateJob(ctx, j))(t)
	require.Equal(t, []byte("y\xff"), must(s.JobSpec(ctx, "j"))(t), "it stays when the job changes")
	require.ErrorIs(t, s.SetJobSpec(ctx, "j", make([]byte, maxBlob+1)), ErrInvalid)
	require.NoError(t, s.SetJobSpec(ctx, "j", nil))
	_, err = s.JobSpec(ctx, "j")
	require.ErrorIs(t, err, ErrNotFound)
	require.NoError(t, s.SetJobSpec(ctx, "j", nil), "what is not there is removed")
	require.NoError(t, s.SetJobSpec(ctx, "j", []byte("z")))
	require.NoError(t, s.DeleteJob(ctx, "j", j.Rev))
	_, err = s.JobSpec(ctx, "j")
	require.ErrorIs(t, err, ErrNotFound, "it goes with the job")
	must(s.CreateJob(ctx, Job{ID: "j", Key: "k"}))(t)
	require.NoError(t, s.SetJobSpec(ctx, "j", []byte("z")))
	must(s.Forget(ctx, "k"))(t)
	_, err = s.JobSpec(ctx, "j")
	require.ErrorIs(t, err, ErrNotFound, "and with the key")
}

func testJobs(t *testing.T, s *Store) {
	ctx := t.Context()
	require.Zero(t, must(s.Iter(ctx))(t))
	j := must(s.CreateJob(ctx, Job{ID: "j", Tenant: "t", Key: "k", Status: "waiting", Doc: doc(`{"a":1}`), NextTry: clock.Add(time.Minute)}))(t)
	require.Equal(t, int64(1), j.Iter)
	require.Equal(t, j, must(s.Job(ctx, "j"))(t))
	due, err := s.DueJobs(ctx, clock, 0)
	require.NoError(t, err)
	require.Empty(t, due)
	due, err = s.DueJobs(ctx, clock.Add(time.Minute), 0)
	require.NoError(t, err)
	require.Equal(t, []Job{j}, due)

	other := must(s.CreateJob(ctx, Job{ID: "o", Tenant: "u", Key: "l", Status: "waiting"}))(t)
	was := j.Iter
	j.Status, j.NextTry, j.Report = "running", time.Time{}, doc(`{"bytes":5}`)
	j = must(s.UpdateJob(ctx, j))(t)
	require.Equal(t, int64(3), j.Iter)
	due, err = s.DueJobs(ctx, clock.Add(time.Hour), 0)
	require.NoError(t, err)
	require.Empty(t, due, "no next try is never due")

	list := func(f JobFilter) []Job {
		t.Helper()
		js, next, err := s.Jobs(ctx, f, Page{})
		require.NoError(t, err)
		require.Empty(t, next)
		return js
	}
	require.Equal(t, []Job{other, j}, list(JobFilter{}))
	for _, c := range []struct {
		f       JobFilter
		most, n int
	}{{JobFilter{}, 10, 2}, {JobFilter{}, 1, 1}, {JobFilter{Key: "k"}, 10, 1}, {JobFilter{Key: "k", Status: "waiting"}, 10, 0}, {JobFilter{Since: j.Iter}, 10, 0}} {
		require.Equal(t, c.n, must(s.CountJobs(ctx, c.f, c.most))(t), c)
	}
	require.Equal(t, []Job{j, other}, list(JobFilter{Newest: true}))
	require.Equal(t, []Job{j}, list(JobFilter{Tenant: "t", Since: was}))
	require.Empty(t, list(JobFilter{Tenant: "u", Since: other.Iter}))
	require.Equal(t, []Job{j}, list(JobFilter{Key: "k", Status: "running"}))
	require.Empty(t, list(JobFilter{Key: "k", Status: "waiting"}))
	require.Equal(t, int64(3), must(s.Iter(ctx))(t))
	require.NoError(t, s.DeleteJob(ctx, "j", j.Rev))
	require.NoError(t, s.DeleteJob(ctx, "o", 0))
}

func testSessions(t *testing.T, s *Store) {
	ctx := t.Context()
	must(s.CreateJob(ctx, Job{ID: "j"}))(t)
	a := must(s.CreateSession(ctx, Session{ID: "a", Job: "j", Tenant: "t", Key: "k", Status: "running", Started: clock.In(time.FixedZone("x", 3600)).Add(7)}))(t)
	require.Equal(t, Session{ID: "a", Job: "j", Tenant: "t", Key: "k", Status: "running", Started: clock, Rev: 1, Iter: 2}, a,
		"times are UTC in microseconds, and jobs and sessions count together")
	b := must(s.CreateSession(ctx, Session{ID: "b", Tenant: "u", Status: "running"}))(t)
	a.Ended, a.Bytes, a.Status = clock.Add(time.Hour), 1<<40, "completed"
	was := a.Iter
	a = must(s.UpdateSession(ctx, a))(t)
	require.Greater(t, a.Iter, b.Iter)
	require.Equal(t, a, must(s.Session(ctx, "a"))(t))

	list := func(f SessionFilter) []Session {
		t.Helper()
		ss, next, err := s.Sessions(ctx, f, Page{})
		require.NoError(t, err)
		require.Empty(t, next)
		return ss
	}
	require.Equal(t, []Session{a, b}, list(SessionFilter{Newest: true}))
	require.Equal(t, []Session{b}, list(SessionFilter{Status: "running"}))
	require.Equal(t, []Session{a}, list(SessionFilter{Job: "j"}))
	require.Equal(t, []Session{a}, list(SessionFilter{Key: "k", Since: was}))
	require.Equal(t, []Session{a}, list(SessionFilter{Tenant: "t", Status: "completed"}))
	require.Empty(t, list(SessionFilter{Tenant: "t", Since: a.Iter}))
	require.NoError(t, s.DeleteSession(ctx, "b", 1))
}

func testFiles(t *testing.T, s *Store) {
	ctx := t.Context()
	require.ErrorIs(t, s.AddFiles(ctx, []File{{Session: "a", Path: "x"}}), ErrReference)
	for _, id := range []string{"a", "b"} {
		must(s.CreateSession(ctx, Session{ID: id}))(t)
	}
	in := []File{
		{Session: "a", Path: "x/\xff\x00y", Size: 5, Bytes: 5, Status: "completed", Doc: doc(`{"sum":"x"}`)},
		{Session: "b", Path: "", Status: "failed", Code: -3},
		{Session: "a", Path: "é", Status: "failed"},
	}
	require.NoError(t, s.AddFiles(ctx, in))
	require.Zero(t, in[0].Seq, "the caller's are left alone")
	require.NoError(t, s.AddFiles(ctx, in[2:]))
	require.NoError(t, s.AddFiles(ctx, nil))
	got, _, err := s.Files(ctx, FileFilter{Session: "a"}, Page{})
	require.NoError(t, err)
	want := []File{in[0], in[2], in[2]}
	for i := range want {
		want[i].Seq = int64(i + 1)
	}
	require.Equal(t, want, got)
	got, _, err = s.Files(ctx, FileFilter{Session: "a", Status: "failed"}, Page{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, want[1:2], got)
	_, _, err = s.Files(ctx, FileFilter{}, Page{})
	require.ErrorIs(t, err, ErrInvalid)

	require.ErrorIs(t, s.AddFiles(ctx, []File{{Session: "a"}, {Session: "a", Path: strings.Repeat("x", maxPath+1)}}), ErrInvalid)
	require.ErrorIs(t, s.AddFiles(ctx, make([]File, maxBatch+1)), ErrInvalid)
	got, _, err = s.Files(ctx, FileFilter{Session: "a"}, Page{})
	require.NoError(t, err)
	require.Len(t, got, 3, "all or none")
	require.ErrorIs(t, s.DeleteSession(ctx, "a", 0), ErrReference)
	require.NoError(t, s.DeleteFiles(ctx, "a"))
	require.NoError(t, s.DeleteSession(ctx, "a", 0))
	got, _, err = s.Files(ctx, FileFilter{Session: "b"}, Page{})
	require.NoError(t, err)
	require.Len(t, got, 1)
}

func testEvents(t *testing.T, s *Store) {
	ctx := t.Context()
	last := must(s.AddEvents(ctx, []Event{
		{Tenant: "t", Key: "k", Type: "a", Doc: doc(`1`)}, {Tenant: "u", Type: "b", Time: clock.Add(time.Hour)}, {Tenant: "t", Key: "l", Type: "c"},
	}))(t)
	require.Equal(t, int64(3), last)
	require.Equal(t, int64(4), must(s.AddEvents(ctx, []Event{{Tenant: "t", Key: "k", Type: "b"}}))(t))
	require.Zero(t, must(s.AddEvents(ctx, nil))(t))
	_, err := s.AddEvents(ctx, []Event{{Type: "fine"}, {Type: "bad", Doc: doc(`{`)}})
	require.ErrorIs(t, err, ErrInvalid)
	seqs := func(f EventFilter) (all []int64) {
		t.Helper()
		es, _, err := s.Events(ctx, f, Page{})
		require.NoError(t, err)
		for _, e := range es {
			all = append(all, e.Seq)
		}
		return all
	}
	require.Equal(t, []int64{1, 2, 3, 4}, seqs(EventFilter{}))
	require.Equal(t, []int64{4, 3, 1}, seqs(EventFilter{Tenant: "t", Newest: true}))
	require.Equal(t, []int64{4}, seqs(EventFilter{Key: "k", Since: 1}))
	require.Equal(t, []int64{2, 3, 4}, seqs(EventFilter{Types: []string{"b", "c"}}))
	require.Equal(t, []int64{2}, seqs(EventFilter{From: clock.Add(time.Hour)}))
	require.Equal(t, []int64{1, 3, 4}, seqs(EventFilter{From: clock, To: clock.Add(time.Hour)}))
	es, _, err := s.Events(ctx, EventFilter{}, Page{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, []Event{{Seq: 1, Time: clock, Tenant: "t", Key: "k", Type: "a", Doc: doc(`1`)}}, es)
	_, _, err = s.Events(ctx, EventFilter{Types: make([]string, 101)}, Page{})
	require.ErrorIs(t, err, ErrInvalid)
}

// testEventKeys: the events of one key and of another one that had the same id, whatever the clock said.
func testEventKeys(t *testing.T, s *Store) {
	ctx := t.Context()
	first, second := clock, clock.Add(time.Hour)
	must(s.AddEvents(ctx, []Event{
		{Type: "a", Key: "k", KeyMade: first},
		{Type: "b", Key: "k", KeyMade: second, Time: clock.Add(-time.Hour)},
		{Type: "c", Key: "k", Time: clock.Add(time.Minute)},
		{Type: "d", Key: "k", Time: clock.Add(2 * time.Hour)},
		{Type: "e", Key: "l", KeyMade: second},
	}))(t)
	types := func(f EventFilter) (list []string) {
		es, _, err := s.Events(ctx, f, Page{})
		require.NoError(t, err)
		for _, e := range es {
			list = append(list, e.Type)
		}
		return list
	}
	require.Equal(t, []string{"a", "c", "d"}, types(EventFilter{Key: "k", KeyMade: first}))
	require.Equal(t, []string{"b", "d"}, types(EventFilter{Key: "k", KeyMade: second}))
	require.Equal(t, []string{"a", "b", "c", "d"}, types(EventFilter{Key: "k"}))
	require.Equal(t, []string{"d"}, types(EventFilter{Key: "k", KeyMade: second, From: clock}))
}

func testUsage(t *testing.T, s *Store) {
	ctx := t.Context()
	hour := clock.Truncate(time.Hour)
	require.NoError(t, s.AddUsage(ctx, []Usage{
		{Key: "k", Tenant: "t", Hour: clock, BytesIn: 1, BytesOut: 2, FilesIn: 3, FilesOut: 4, Sessions: 5},
		{Key: "k", Tenant: "t", Hour: clock.Add(time.Minute), BytesIn: 10},
		{Key: "k", Tenant: "t", Hour: clock.Add(time.Hour), BytesOut: 7},
		{Key: "l", Tenant: "t", Hour: clock, BytesOut: 100},
	}))
	require.NoError(t, s.AddUsage(ctx, []Usage{
		{Key: "l", Tenant: "u", ID: "i", Hour: clock, BytesOut: 20},
		{Key: "l", Tenant: "u", ID: "i", Hour: clock.Add(time.Hour), BytesOut: 3},
		{Key: "k2", Tenant: "u", ID: "i", Hour: clock, BytesOut: 400},
	}))
	require.NoError(t, s.AddUsage(ctx, []Usage{{Key: "k", Tenant: "t", Hour: clock, Sessions: -1}}))
	got, _, err := s.Usage(ctx, UsageFilter{Key: "k"}, Page{})
	require.NoError(t, err)
	require.Equal(t, []Usage{
		{Key: "k", Tenant: "t", Hour: hour, BytesIn: 11, BytesOut: 2, FilesIn: 3, FilesOut: 4, Sessions: 4},
		{Key: "k", Tenant: "t", Hour: hour.Add(time.Hour), BytesOut: 7},
	}, got)
	sum := must(s.UsageTotal(ctx, UsageFilter{Tenant: "t"}))(t)
	require.Equal(t, Usage{Tenant: "t", BytesIn: 11, BytesOut: 109, FilesIn: 3, FilesOut: 4, Sessions: 4}, sum)
	sum = must(s.UsageTotal(ctx, UsageFilter{Tenant: "t", From: hour, To: hour.Add(time.Hour)}))(t)
	require.Equal(t, int64(102), sum.BytesOut)
	require.Zero(t, must(s.UsageTotal(ctx, UsageFilter{Key: "none"}))(t).BytesOut)
	require.EqualValues(t, 23, must(s.UsageTotal(ctx, UsageFilter{Key: "l", ID: "i"}))(t).BytesOut)
	require.EqualValues(t, 423, must(s.UsageTotal(ctx, UsageFilter{ID: "i"}))(t).BytesOut)
	require.EqualValues(t, 123, must(s.UsageTotal(ctx, UsageFilter{Key: "l"}))(t).BytesOut, "a key's sum is that of all ids")
	require.Zero(t, must(s.UsageTotal(ctx, UsageFilter{Key: "k", ID: "i"}))(t).BytesOut)
	require.ErrorIs(t, s.AddUsage(ctx, []Usage{{Key: "k"}}), ErrInvalid)
}

func testFileIDs(t *testing.T, s *Store) {
	ctx := t.Context()
	_, err := s.FileID(ctx, "p", RootFile)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = s.EnsureFileID(ctx, "p", 2, "x")
	require.ErrorIs(t, err, ErrReference)
	a := must(s.EnsureFileID(ctx, "p", RootFile, "a"))(t)
	require.Equal(t, FileID{Place: "p", ID: 2, Parent: RootFile, Name: "a"}, a)
	require.Equal(t, a, must(s.EnsureFileID(ctx, "p", RootFile, "a"))(t), "the same again")
	require.Equal(t, FileID{Place: "p", ID: RootFile}, must(s.FileID(ctx, "p", RootFile))(t))
	require.Equal(t, int64(2), must(s.EnsureFileID(ctx, "q", RootFile, "\xff"))(t).ID, "each place counts for itself")
	fs := must(s.EnsureFileIDs(ctx, "p", a.ID, []string{"z", "b", "z", "A"}))(t)
	require.Equal(t, []int64{3, 4, 3, 5}, []int64{fs[0].ID, fs[1].ID, fs[2].ID, fs[3].ID})
	more := must(s.EnsureFileIDs(ctx, "p", a.ID, []string{"c", "b"}))(t)
	require.Equal(t, []int64{6, 4}, []int64{more[0].ID, more[1].ID})
	require.ErrorIs(t, s.View(ctx, func(tx *Tx) error {
		_, err := tx.EnsureFileIDs(ctx, "p", a.ID, []string{"b"}) // nothing to write
		require.NoError(t, err)
		_, err = tx.EnsureFileIDs(ctx, "p", a.ID, []string{"new"})
		return err
	}), ErrReadOnly)
	for _, name := range []string{"", "a/b", strings.Repeat("x", maxName+1)} {
		_, err = s.EnsureFileID(ctx, "p", RootFile, name)
		require.ErrorIs(t, err, ErrInvalid)
	}

	names := func(parent int64) (all []string) {
		t.Helper()
		fs, _, err := s.FileIDs(ctx, FileIDFilter{Place: "p", Parent: parent}, Page{})
		require.NoError(t, err)
		for _, f := range fs {
			all = append(all, f.Name)
		}
		return all
	}
	require.Equal(t, []string{"A", "b", "c", "z"}, names(a.ID), "byte by byte")

	deep := must(s.EnsureFileID(ctx, "p", 4, "deep"))(t)
	d := must(s.EnsureFileID(ctx, "p", RootFile, "d"))(t)
	require.ErrorIs(t, s.MoveFileID(ctx, "p", a.ID, deep.ID, "a"), ErrInvalid, "into itself")
	require.ErrorIs(t, s.MoveFileID(ctx, "p", a.ID, a.ID, "a"), ErrInvalid, "into itself")
	require.ErrorIs(t, s.MoveFileID(ctx, "p", RootFile, d.ID, "a"), ErrInvalid)
	require.ErrorIs(t, s.MoveFileID(ctx, "p", d.ID, RootFile, "a"), ErrExists)
	require.ErrorIs(t, s.MoveFileID(ctx, "p", d.ID, 99, "a"), ErrReference)
	require.ErrorIs(t, s.MoveFileID(ctx, "p", 99, RootFile, "x"), ErrNotFound)
	require.NoError(t, s.MoveFileID(ctx, "p", 4, d.ID, "moved"))
	path := must(s.FilePath(ctx, "p", deep.ID))(t)
	require.Len(t, path, 4)
	require.Equal(t, []string{"", "d", "moved", "deep"}, []string{path[0].Name, path[1].Name, path[2].Name, path[3].Name})
	require.Equal(t, []int64{RootFile, d.ID, 4, deep.ID}, []int64{path[0].ID, path[1].ID, path[2].ID, path[3].ID}, "ids stay")
	require.Equal(t, []string{"A", "c", "z"}, names(a.ID))

	require.NoError(t, s.DeleteFileID(ctx, "p", d.ID))
	_, err = s.FileID(ctx, "p", deep.ID)
	require.ErrorIs(t, err, ErrNotFound, "what was below is gone too")
	_, err = s.FilePath(ctx, "p", deep.ID)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, s.DeleteFileID(ctx, "p", d.ID), ErrNotFound)
	require.NoError(t, s.DeleteFileID(ctx, "p", RootFile))
	require.Empty(t, names(RootFile))
	require.Equal(t, int64(9), must(s.EnsureFileID(ctx, "p", RootFile, "a"))(t).ID, "no id is given twice")
	require.NoError(t, must(s.FileID(ctx, "q", 2))(t).check())

	many := make([]string, 1500)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	all := must(s.EnsureFileIDs(ctx, "m", RootFile, many))(t)
	require.Equal(t, int64(1501), all[1499].ID)
	require.NoError(t, s.DeleteFileID(ctx, "m", RootFile))
}

func (f FileID) check() error { return fileIDs.check(&f) }

func testPermissions(t *testing.T, s *Store) {
	ctx := t.Context()
	_, err := s.CreatePermission(ctx, Permission{Place: "p", File: 1})
	require.ErrorIs(t, err, ErrReference)
	require.Empty(t, must(s.EnsureFileIDs(ctx, "bare", RootFile, nil))(t))
	require.Equal(t, FileID{Place: "bare", ID: RootFile}, must(s.FindFileID(ctx, "bare"))(t))
	a := must(s.EnsureFileID(ctx, "p", RootFile, "a"))(t)
	in := must(s.EnsureFileID(ctx, "p", a.ID, "in"))(t)
	require.Equal(t, in, must(s.FindFileID(ctx, "p", "a", "in"))(t))
	for _, names := range [][]string{{"in"}, {"a", "b"}, {"a", "in", "in"}} {
		_, err := s.FindFileID(ctx, "p", names...)
		require.ErrorIs(t, err, ErrNotFound)
	}
	_, err = s.FindFileID(ctx, "nowhere")
	require.ErrorIs(t, err, ErrNotFound)
	p := must(s.CreatePermission(ctx, Permission{Place: "p", File: a.ID, Tenant: "t", Key: "k", Access: "user:u", Doc: doc(`["read"]`)}))(t)
	q := must(s.CreatePermission(ctx, Permission{Place: "p", File: RootFile, Tenant: "t"}))(t)
	require.Greater(t, q.ID, p.ID)
	p.Doc = doc(`["read","write"]`)
	p = must(s.UpdatePermission(ctx, p))(t)
	require.Equal(t, p, must(s.Permission(ctx, p.ID))(t))
	got, _, err := s.Permissions(ctx, PermissionFilter{Place: "p", Files: []int64{RootFile, a.ID}}, Page{})
	require.NoError(t, err)
	require.Equal(t, []Permission{p, q}, got)
	for access, want := range map[string][]Permission{"user:u": {p}, "group:u": nil} {
		got, _, err = s.Permissions(ctx, PermissionFilter{Place: "p", Access: []string{access, "user:nobody"}}, Page{})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	got, _, err = s.Permissions(ctx, PermissionFilter{Key: "k"}, Page{})
	require.NoError(t, err)
	require.Equal(t, []Permission{p}, got)
	require.Equal(t, int64(2), must(s.CountPermissions(ctx, PermissionFilter{Tenant: "t"}))(t))
	_, err = s.CountPermissions(ctx, PermissionFilter{Files: make([]int64, 1001)})
	require.ErrorIs(t, err, ErrInvalid)
	require.NoError(t, s.DeleteFileID(ctx, "p", a.ID))
	_, err = s.Permission(ctx, p.ID)
	require.ErrorIs(t, err, ErrNotFound, "gone with its file")
	require.NoError(t, s.DeletePermission(ctx, q.ID, 1))
	require.Greater(t, must(s.CreatePermission(ctx, Permission{Place: "p", File: RootFile}))(t).ID, q.ID, "no id is given twice")
}

func testMeta(t *testing.T, s *Store) {
	ctx := t.Context()
	_, err := s.Meta(ctx, "x")
	require.ErrorIs(t, err, ErrNotFound)
	require.NoError(t, s.SetMeta(ctx, "x", "1"))
	require.NoError(t, s.SetMeta(ctx, "x", ""))
	require.Empty(t, must(s.Meta(ctx, "x"))(t))
	require.ErrorIs(t, s.SetMeta(ctx, "", "1"), ErrInvalid)
	require.NoError(t, s.DeleteMeta(ctx, "x"))
	require.ErrorIs(t, s.DeleteMeta(ctx, "x"), ErrNotFound)
}
