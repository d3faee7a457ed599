package state

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sqlExec changes the database behind the store's back.
func sqlExec(t *testing.T, s *Store, query string, args ...any) {
	t.Helper()
	if s.d.rebind != nil {
		query = s.d.rebind(query)
	}
	_, err := s.writer.ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
}

// tampered returns the record that VerifyAudit blames.
func tampered(t *testing.T, s *Store) int64 {
	t.Helper()
	_, err := s.VerifyAudit(t.Context())
	require.ErrorIs(t, err, ErrTampered)
	var e *AuditError
	require.ErrorAs(t, err, &e)
	return e.Seq
}

func testAudit(t *testing.T, s *Store) {
	ctx := t.Context()
	require.Zero(t, must(s.VerifyAudit(ctx))(t).Last)
	var all []Audit
	for i := range 6 {
		a := must(s.AppendAudit(ctx, Audit{Actor: "me", Action: "key.create", Object: fmt.Sprint(i), Tenant: "t", Doc: doc(`{"n":%d}`, i)}))(t)
		require.EqualValues(t, i+1, a.Seq)
		require.Len(t, a.Hash, 32)
		if i > 0 {
			require.Equal(t, all[i-1].Hash, a.Prev)
		}
		all = append(all, a)
	}
	got, _, err := s.Audits(ctx, AuditFilter{Tenant: "t", Actor: "me", Since: 2}, Page{})
	require.NoError(t, err)
	require.Equal(t, all[2:], got)
	chain := must(s.VerifyAudit(ctx))(t)
	require.Equal(t, AuditChain{Last: 6, Head: all[5].Hash}, chain)
	require.ErrorIs(t, s.Update(ctx, func(tx *Tx) error {
		must(tx.AppendAudit(ctx, Audit{Actor: "me", Action: "undone"}))(t)
		return context.Canceled
	}), context.Canceled)
	require.Equal(t, chain, must(s.VerifyAudit(ctx))(t), "a record falls with its transaction")

	t.Run("a byte is flipped", func(t *testing.T) {
		for _, c := range []struct{ col, from, to string }{
			{"actor", "me", "mf"}, {"action", "key.create", "key.creatd"}, {"object", "2", "3"}, {"tenant", "t", "u"}, {"doc", `{"n":2}`, `{"n":3}`},
		} {
			sqlExec(t, s, "UPDATE audit SET "+c.col+" = ? WHERE seq = 3", c.to)
			require.EqualValues(t, 3, tampered(t, s), c.col)
			sqlExec(t, s, "UPDATE audit SET "+c.col+" = ? WHERE seq = 3", c.from)
			must(s.VerifyAudit(ctx))(t)
		}
		for col, was := range map[string]any{"time": micros(all[2].Time), "prev": all[2].Prev, "hash": all[2].Hash} {
			flip := was
			switch v := was.(type) {
			case int64:
				flip = v ^ 1
			case []byte:
				b := bytes.Clone(v)
				b[31] ^= 1
				flip = b
			}
			sqlExec(t, s, "UPDATE audit SET "+col+" = ? WHERE seq = 3", flip)
			require.EqualValues(t, 3, tampered(t, s), col)
			sqlExec(t, s, "UPDATE audit SET "+col+" = ? WHERE seq = 3", was)
			must(s.VerifyAudit(ctx))(t)
		}
	})
	t.Run("one is rewritten with its hash", func(t *testing.T) {
		a := all[2]
		a.Actor = "not me"
		sqlExec(t, s, "UPDATE audit SET actor = ?, hash = ? WHERE seq = 3", a.Actor, a.sum())
		require.EqualValues(t, 4, tampered(t, s), "the next does not follow it")
		sqlExec(t, s, "UPDATE audit SET actor = ?, hash = ? WHERE seq = 3", "me", all[2].Hash)
		last := all[5]
		last.Actor = "not me"
		sqlExec(t, s, "UPDATE audit SET actor = ?, hash = ? WHERE seq = 6", last.Actor, last.sum())
		require.EqualValues(t, 6, tampered(t, s), "the last is known by the head")
		sqlExec(t, s, "UPDATE audit SET actor = ?, hash = ? WHERE seq = 6", "me", all[5].Hash)
		must(s.VerifyAudit(ctx))(t)
	})
	t.Run("some are removed", func(t *testing.T) {
		back := func(as ...Audit) {
			require.NoError(t, s.write(ctx, func(q queries) error { return audits.insert(ctx, q, as) }))
			must(s.VerifyAudit(ctx))(t)
		}
		sqlExec(t, s, "DELETE FROM audit WHERE seq = 4")
		require.EqualValues(t, 4, tampered(t, s))
		back(all[3])
		sqlExec(t, s, "DELETE FROM audit WHERE seq = 1")
		require.EqualValues(t, 1, tampered(t, s))
		back(all[0])
		sqlExec(t, s, "DELETE FROM audit WHERE seq > 4")
		require.EqualValues(t, 5, tampered(t, s), "the last ones")
		back(all[4:]...)
		sqlExec(t, s, "DELETE FROM audit")
		require.EqualValues(t, 1, tampered(t, s), "all of them")
		back(all...)
	})
	t.Run("one is put behind", func(t *testing.T) {
		a := Audit{Seq: 7, Time: clock, Actor: "me", Action: "x", Prev: all[5].Hash}
		a.Hash = a.sum()
		require.NoError(t, s.write(ctx, func(q queries) error { return audits.insert(ctx, q, []Audit{a}) }))
		require.EqualValues(t, 7, tampered(t, s))
		sqlExec(t, s, "DELETE FROM audit WHERE seq = 7")
		must(s.VerifyAudit(ctx))(t)
	})
}

func testAuditConcurrent(t *testing.T, s *Store) {
	ctx := t.Context()
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for w := range 4 {
		wg.Go(func() {
			for range 10 {
				if _, err := s.AppendAudit(ctx, Audit{Actor: fmt.Sprint(w), Action: "x"}); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	require.NoError(t, <-errs)
	require.EqualValues(t, 40, must(s.VerifyAudit(ctx))(t).Last)
}

func testPruneAudit(t *testing.T, s *Store) {
	ctx := t.Context()
	for i := range 10 {
		must(s.AppendAudit(ctx, Audit{Actor: "a", Action: "x", Time: clock.Add(time.Duration(i) * time.Hour)}))(t)
	}
	head := must(s.AuditChain(ctx))(t).Head
	p := must(s.Prune(ctx, clock.Add(4*time.Hour), HistoryAudit))(t)
	require.EqualValues(t, 4, p.Audit)
	require.Equal(t, AuditChain{Cut: 4, Last: 10, Head: head}, must(s.VerifyAudit(ctx))(t))
	sqlExec(t, s, "DELETE FROM audit WHERE seq = 5")
	require.EqualValues(t, 5, tampered(t, s), "cut by someone else")
	_, err := s.Prune(ctx, clock.Add(8*time.Hour), HistoryAudit)
	require.ErrorIs(t, err, ErrTampered, "retention does not cover it up")
}

func testPruneAuditAll(t *testing.T, s *Store) {
	ctx := t.Context()
	for range 3 {
		must(s.AppendAudit(ctx, Audit{Actor: "a", Action: "x"}))(t)
	}
	require.EqualValues(t, 3, must(s.Prune(ctx, clock.Add(time.Hour), HistoryAudit))(t).Audit)
	require.EqualValues(t, 3, must(s.VerifyAudit(ctx))(t).Last)
	require.EqualValues(t, 4, must(s.AppendAudit(ctx, Audit{Actor: "a", Action: "x"}))(t).Seq)
	must(s.VerifyAudit(ctx))(t)
}

func testPrune(t *testing.T, s *Store) {
	ctx := t.Context()
	for i, end := range []time.Time{{}, clock, clock.Add(time.Hour), clock.Add(2 * time.Hour)} {
		id := fmt.Sprint(i)
		must(s.CreateSession(ctx, Session{ID: id, Started: clock, Ended: end}))(t)
		require.NoError(t, s.AddFiles(ctx, []File{{Session: id}, {Session: id}}))
		must(s.AddEvents(ctx, []Event{{Type: id, Time: clock.Add(time.Duration(i) * time.Hour)}}))(t)
		require.NoError(t, s.AddUsage(ctx, []Usage{{Key: "k", Hour: clock.Add(time.Duration(i) * time.Hour), BytesIn: 1}, {Key: "l", Hour: clock}}))
	}
	p := must(s.Prune(ctx, clock.Add(time.Minute), HistoryFiles))(t)
	require.Equal(t, Pruned{Files: 2}, p)
	must(s.Session(ctx, "1"))(t)
	p = must(s.Prune(ctx, clock.Add(90*time.Minute), HistorySessions, HistoryEvents, HistoryUsage))(t)
	require.Equal(t, Pruned{Sessions: 2, Files: 2, Events: 2, Usage: 3}, p)
	ss, _, err := s.Sessions(ctx, SessionFilter{}, Page{})
	require.NoError(t, err)
	require.Len(t, ss, 2)
	require.Equal(t, []string{"0", "3"}, []string{ss[0].ID, ss[1].ID}, "what still runs stays")
	p = must(s.Prune(ctx, clock.Add(90*time.Minute), HistorySessions, HistoryFiles, HistoryEvents, HistoryUsage, HistoryAudit))(t)
	require.Zero(t, p)
	_, err = s.Prune(ctx, clock, "everything")
	require.ErrorIs(t, err, ErrInvalid)
	require.Equal(t, int64(5), must(s.AddEvents(ctx, []Event{{Type: "x"}}))(t), "numbers go on")
	t.Run("all audit records", func(t *testing.T) { testPruneAuditAll(t, s) })
}

// testPruneJobs: what is over goes, what would go on stays, however old it is.
func testPruneJobs(t *testing.T, s *Store) {
	ctx := t.Context()
	n := pruneRows + 10
	require.NoError(t, s.Update(ctx, func(tx *Tx) error {
		for i := range n {
			j, err := tx.CreateJob(ctx, Job{ID: fmt.Sprintf("old-%04d", i), Status: "completed"})
			if err == nil && i%100 == 0 {
				err = tx.SetJobSpec(ctx, j.ID, []byte("sealed"))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}))
	must(s.CreateSession(ctx, Session{ID: "x", Job: "old-0001", Ended: clock}))(t)
	require.Zero(t, must(s.Prune(ctx, clock, HistoryJobs))(t), "they are not older than that")
	later := clock.Add(time.Hour)
	p := must(s.Prune(ctx, later, HistoryJobs))(t)
	stay := (n + 99) / 100
	require.Equal(t, Pruned{Jobs: int64(n - stay)}, p)
	left, _, err := s.Jobs(ctx, JobFilter{}, Page{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, left, stay)
	must(s.Session(ctx, "x"))(t)
	require.NoError(t, s.SetJobSpec(ctx, "old-0000", nil))
	require.Equal(t, Pruned{Jobs: 1}, must(s.Prune(ctx, later, HistoryJobs))(t))
}

// testPruneMany removes more than a transaction takes.
func testPruneMany(t *testing.T, s *Store) {
	ctx := t.Context()
	must(s.CreateSession(ctx, Session{ID: "a", Ended: clock}))(t)
	must(s.CreateSession(ctx, Session{ID: "b", Ended: clock}))(t)
	must(s.CreateSession(ctx, Session{ID: "c"}))(t)
	n := 2*pruneRows + 500
	fs := make([]File, 0, n)
	es := make([]Event, n)
	for i := range n {
		fs = append(fs, File{Session: string("abc"[i%3])})
		es[i] = Event{Type: "x", Time: clock}
	}
	require.NoError(t, s.AddFiles(ctx, fs))
	must(s.AddEvents(ctx, es))(t)
	require.NoError(t, s.Update(ctx, func(tx *Tx) error {
		for range pruneRows + 1 {
			must(tx.AppendAudit(ctx, Audit{Actor: "a", Action: "x"}))(t)
		}
		return nil
	}))
	p := must(s.Prune(ctx, clock.Add(time.Hour), HistorySessions, HistoryEvents, HistoryAudit))(t)
	require.Equal(t, Pruned{Sessions: 2, Files: int64(n+2)/3 + int64(n+1)/3, Events: int64(n), Audit: pruneRows + 1}, p)
	left, _, err := s.Files(ctx, FileFilter{Session: "c"}, Page{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, left, n/3)
	must(s.VerifyAudit(ctx))(t)
}

func testForget(t *testing.T, s *Store) {
	ctx := t.Context()
	for _, k := range []string{"k", "l"} {
		must(s.CreateJob(ctx, Job{ID: k, Key: k}))(t)
		must(s.CreateSession(ctx, Session{ID: k, Key: k}))(t)
		require.NoError(t, s.AddFiles(ctx, []File{{Session: k}}))
		must(s.AddEvents(ctx, []Event{{Type: "x", Key: k}}))(t)
		require.NoError(t, s.AddUsage(ctx, []Usage{{Key: k, Hour: clock}}))
	}
	require.Equal(t, Pruned{Jobs: 1, Sessions: 1, Files: 1, Events: 1, Usage: 1}, must(s.Forget(ctx, "k"))(t))
	require.Zero(t, must(s.Forget(ctx, "k"))(t))
	require.Equal(t, Pruned{Jobs: 1, Sessions: 1, Files: 1, Events: 1, Usage: 1}, must(s.Forget(ctx, "l"))(t))
}

// fill adds some of everything.
func fill(t testing.TB, s *Store) {
	t.Helper()
	ctx := t.Context()
	must(s.CreateTenant(ctx, Tenant{ID: "t", Name: "<T & \u2028>", Doc: doc("{\n\t\"a\": \"\\u0000é\" }")}))(t)
	must(s.CreateKey(ctx, Key{ID: "k", Tenant: "t", Secret: []byte{0, 1, 2, 255}, Disabled: true}))(t)
	must(s.CreateUser(ctx, User{Kind: "node", Name: "admin"}))(t)
	must(s.CreateUser(ctx, User{Kind: "node", Name: "other", Tenant: "t"}))(t)
	must(s.CreateJob(ctx, Job{ID: "j", Tenant: "t", Key: "k", NextTry: clock, Report: doc(`[1]`)}))(t)
	require.NoError(t, s.SetJobSpec(ctx, "j", []byte{9, 0, 8}))
	must(s.CreateSession(ctx, Session{ID: "s", Job: "j", Started: clock, Bytes: 1 << 62}))(t)
	fs := make([]File, 3*restoreRows+1)
	for i := range fs {
		fs[i] = File{Session: "s", Path: fmt.Sprint("p/\xff", i), Size: int64(i)}
	}
	require.NoError(t, s.AddFiles(ctx, fs))
	must(s.AddEvents(ctx, []Event{{Type: "x"}, {Type: "y", Doc: doc(`{}`)}}))(t)
	for range 3 {
		must(s.AppendAudit(ctx, Audit{Actor: "a", Action: "x", Doc: doc(`{ "a" : "<" }`)}))(t)
	}
	require.NoError(t, s.AddUsage(ctx, []Usage{{Key: "k", Tenant: "t", Hour: clock, BytesIn: 5}, {Key: "k", Tenant: "t", ID: "i", Hour: clock, BytesIn: 6}}))
	f := must(s.EnsureFileID(ctx, "place", RootFile, "\xfe\x00"))(t)
	must(s.CreatePermission(ctx, Permission{Place: "place", File: f.ID, Key: "k"}))(t)
	require.NoError(t, s.SetMeta(ctx, "name", "value"))
}

func testBackup(t *testing.T, s, into, other *Store) {
	ctx := t.Context()
	fill(t, s)
	var b bytes.Buffer
	require.NoError(t, s.Backup(ctx, &b))
	lines := strings.SplitAfter(strings.TrimSuffix(b.String(), "\n"), "\n")
	require.True(t, json.Valid([]byte(lines[0])))

	require.ErrorIs(t, s.Restore(ctx, bytes.NewReader(b.Bytes())), ErrNotEmpty)
	join := func(ls ...string) string { return strings.Join(ls, "") }
	mid := len(lines) / 2
	for name, bad := range map[string]string{
		"empty":              "",
		"not a backup":       "hello\n",
		"header alone":       lines[0],
		"no trailer":         join(lines[:len(lines)-1]...),
		"cut in a line":      b.String()[:b.Len()-10],
		"a row is missing":   join(append(append([]string{}, lines[:mid]...), lines[mid+1:]...)...),
		"a row is twice":     join(append(append([]string{}, lines[:mid+1]...), lines[mid:]...)...),
		"a value is changed": strings.Replace(b.String(), `"other"`, `"othes"`, 1),
		"a secret is cut":    strings.Replace(b.String(), `"AAEC/w=="`, `"AAEC"`, 1),
		"something follows":  b.String() + "\n",
		"unknown table":      lines[0] + "[\"nothing\",1]\n",
		"too few values":     lines[0] + "[\"tenants\",\"x\"]\n",
		"a wrong type":       strings.Replace(b.String(), `["meta","name","value"]`, `["meta",1,"value"]`, 1),
		"null":               strings.Replace(b.String(), `["meta","name","value"]`, `["meta",null,"value"]`, 1),
	} {
		err := into.Restore(ctx, strings.NewReader(bad))
		require.ErrorIs(t, err, ErrBackup, name)
	}
	schema := fmt.Sprintf(`"schema":%d`, s.schema)
	err := into.Restore(ctx, strings.NewReader(strings.Replace(b.String(), schema, fmt.Sprintf(`"schema":%d`, s.schema+1), 1)))
	require.ErrorIs(t, err, ErrNewer)
	err = into.Restore(ctx, strings.NewReader(strings.Replace(b.String(), schema, fmt.Sprintf(`"schema":%d`, s.schema-1), 1)))
	require.ErrorIs(t, err, ErrBackup)
	_, err = into.Tenant(ctx, "t")
	require.ErrorIs(t, err, ErrNotFound, "nothing of what failed is there")

	require.NoError(t, into.Restore(ctx, bytes.NewReader(b.Bytes())))
	var again bytes.Buffer
	require.NoError(t, into.Backup(ctx, &again))
	require.Equal(t, b.String(), again.String(), "the same clock, the same rows")
	must(into.VerifyAudit(ctx))(t)
	require.Equal(t, must(s.Iter(ctx))(t)+1, must(into.CreateJob(ctx, Job{ID: "next"}))(t).Iter, "numbers go on")
	require.Equal(t, must(s.Key(ctx, "k"))(t), must(into.Key(ctx, "k"))(t))

	// A reader that breaks off, and a writer that does.
	require.ErrorIs(t, other.Restore(ctx, &brokenReader{strings.NewReader(b.String()[:b.Len()/2])}), errBroken)
	require.ErrorIs(t, s.Backup(ctx, brokenWriter{}), errBroken)
	must(other.CreateTenant(ctx, Tenant{ID: "t"}))(t)
}

// testBackupBeside backs up while others write: each of their transactions is in the backup as a whole, or not at all.
func testBackupBeside(t *testing.T, s, into *Store) {
	ctx := t.Context()
	stop := make(chan struct{})
	errs := make(chan error, 3)
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := s.Update(ctx, func(tx *Tx) error {
					r, err := tx.CreateSession(ctx, Session{ID: fmt.Sprint(w, "-", i)})
					if err != nil {
						return err
					}
					if err := tx.AddFiles(ctx, []File{{Session: r.ID}, {Session: r.ID}}); err != nil {
						return err
					}
					_, err = tx.AppendAudit(ctx, Audit{Actor: "a", Action: "x", Object: r.ID})
					return err
				}); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	var b bytes.Buffer
	for begun := int64(0); begun < 50; { // so that there is something in it
		begun = must(s.Iter(ctx))(t)
	}
	require.NoError(t, s.Backup(ctx, &b))
	close(stop)
	wg.Wait()
	close(errs)
	require.NoError(t, <-errs)
	require.NoError(t, into.Restore(ctx, &b))
	iter := must(into.Iter(ctx))(t)
	require.GreaterOrEqual(t, iter, int64(50))
	require.Equal(t, iter, must(into.VerifyAudit(ctx))(t).Last)
	seen, cursor := int64(0), ""
	for more := true; more; more = cursor != "" {
		ss, next, err := into.Sessions(ctx, SessionFilter{}, Page{After: cursor})
		require.NoError(t, err)
		for _, r := range ss {
			fs, _, err := into.Files(ctx, FileFilter{Session: r.ID}, Page{})
			require.NoError(t, err)
			require.Len(t, fs, 2)
			seen++
		}
		cursor = next
	}
	require.Equal(t, iter, seen)
}
