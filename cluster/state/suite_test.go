package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// suite is what every dialect must pass. open makes an empty store that is closed when the test ends.
func suite(t *testing.T, open func(t *testing.T) *Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *Store)
	}{
		{"tenants", testTenants},
		{"keys", testKeys},
		{"users", testUsers},
		{"jobs", testJobs},
		{"job specifications", testJobSpecs},
		{"sessions", testSessions},
		{"files", testFiles},
		{"events", testEvents},
		{"events of keys of one id", testEventKeys},
		{"usage", testUsage},
		{"file ids", testFileIDs},
		{"permissions", testPermissions},
		{"meta", testMeta},
		{"pages", testPages},
		{"input", testInput},
		{"transactions", testTransactions},
		{"concurrent changes", testConcurrent},
		{"iterations of concurrent writers", testIterOrder},
		{"clock steps", testClockSteps},
		{"audit", testAudit},
		{"audit of concurrent writers", testAuditConcurrent},
		{"prune", testPrune},
		{"prune jobs", testPruneJobs},
		{"prune in batches", testPruneMany},
		{"forget", testForget},
		{"prune audit", testPruneAudit},
		{"backup", func(t *testing.T, s *Store) { testBackup(t, s, open(t), open(t)) }},
		{"backup beside writers", func(t *testing.T, s *Store) { testBackupBeside(t, s, open(t)) }},
		{"closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// must returns the value, or fails the test.
func must[V any](v V, err error) func(t testing.TB) V {
	return func(t testing.TB) V {
		t.Helper()
		require.NoError(t, err)
		return v
	}
}

func doc(format string, args ...any) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(format, args...))
}

func testPages(t *testing.T, s *Store) {
	ctx := t.Context()
	for i := range 10 {
		must(s.CreateUser(ctx, User{Kind: fmt.Sprint("kind", i%2), Name: fmt.Sprint("n", i)}))(t)
		must(s.CreateSession(ctx, Session{ID: fmt.Sprint(i), Tenant: "t"}))(t)
	}
	var names []string
	cursor, pages := "", 0
	for more := true; more; more = cursor != "" {
		us, next, err := s.Users(ctx, UserFilter{}, Page{After: cursor, Limit: 3})
		require.NoError(t, err)
		for _, u := range us {
			names = append(names, u.Name)
		}
		cursor = next
		pages++
	}
	require.Equal(t, strings.Fields("n0 n2 n4 n6 n8 n1 n3 n5 n7 n9"), names)
	require.Equal(t, 4, pages)

	first, cursor, err := s.Sessions(ctx, SessionFilter{Newest: true}, Page{Limit: 5})
	require.NoError(t, err)
	require.Equal(t, "5", first[4].ID)
	must(s.UpdateSession(ctx, first[0]))(t) // while somebody pages
	rest, next, err := s.Sessions(ctx, SessionFilter{Newest: true}, Page{After: cursor, Limit: 5})
	require.NoError(t, err)
	require.Equal(t, "4", rest[0].ID)
	require.Len(t, rest, 5)
	require.Empty(t, next)

	_, _, err = s.Sessions(ctx, SessionFilter{}, Page{After: cursor})
	require.ErrorIs(t, err, ErrInvalid, "another order")
	for _, bad := range []string{"x", "!", cursor + "A", cursor[:len(cursor)-4], strings.Repeat("A", maxCursor+1), "bnVsbA"} {
		_, _, err = s.Sessions(ctx, SessionFilter{Newest: true}, Page{After: bad})
		require.ErrorIs(t, err, ErrInvalid, bad)
	}
	for _, limit := range []int{-1, 1001} {
		_, _, err = s.Sessions(ctx, SessionFilter{}, Page{Limit: limit})
		require.ErrorIs(t, err, ErrInvalid)
	}
}

func testInput(t *testing.T, s *Store) {
	ctx := t.Context()
	for name, bad := range map[string]Tenant{
		"no id":       {},
		"long id":     {ID: strings.Repeat("x", 256)},
		"not UTF-8":   {ID: "\xff"},
		"zero byte":   {ID: "a\x00b"},
		"no JSON":     {ID: "a", Doc: doc(`{"a":`)},
		"two":         {ID: "a", Doc: doc(`{} {}`)},
		"text in doc": {ID: "a", Doc: doc("\"\xff\"")},
		"large":       {ID: "a", Doc: doc(`"%s"`, strings.Repeat("x", maxDoc))},
	} {
		_, err := s.CreateTenant(ctx, bad)
		require.ErrorIs(t, err, ErrInvalid, name)
	}
	_, err := s.CreateTenant(ctx, Tenant{ID: strings.Repeat("é", 127), Doc: doc(`"%s"`, strings.Repeat("x", maxDoc-2))})
	require.NoError(t, err)
	_, err = s.CreateSession(ctx, Session{ID: "a", Started: time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC)})
	require.ErrorIs(t, err, ErrInvalid)
	must(s.CreateTenant(ctx, Tenant{ID: "x'; DROP TABLE tenants; --"}))(t)
	must(s.Tenant(ctx, "x'; DROP TABLE tenants; --"))(t)
}

func testTransactions(t *testing.T, s *Store) {
	ctx := t.Context()
	boom := errors.New("boom")
	require.ErrorIs(t, s.Update(ctx, func(tx *Tx) error {
		must(tx.CreateTenant(ctx, Tenant{ID: "a"}))(t)
		must(tx.Tenant(ctx, "a"))(t)
		must(tx.CreateJob(ctx, Job{ID: "j"}))(t)
		_, err := s.Tenant(ctx, "a")
		require.ErrorIs(t, err, ErrNotFound, "others do not see it yet")
		return boom
	}), boom)
	_, err := s.Tenant(ctx, "a")
	require.ErrorIs(t, err, ErrNotFound)
	require.Zero(t, must(s.Iter(ctx))(t))

	require.NoError(t, s.Update(ctx, func(tx *Tx) error {
		must(tx.CreateTenant(ctx, Tenant{ID: "a"}))(t)
		must(tx.CreateKey(ctx, Key{ID: "k", Tenant: "a"}))(t)
		_, err := tx.Tenant(ctx, "none")
		require.ErrorIs(t, err, ErrNotFound, "what is not there spoils nothing")
		_, err = tx.UpdateKey(ctx, Key{ID: "k", Tenant: "a", Rev: 9})
		require.ErrorIs(t, err, ErrConflict, "nor does a conflict")
		return nil
	}))
	err = s.Update(ctx, func(tx *Tx) error {
		must(tx.CreateTenant(ctx, Tenant{ID: "b"}))(t)
		_, err := tx.CreateTenant(ctx, Tenant{ID: "a"})
		require.ErrorIs(t, err, ErrExists)
		_, err = tx.CreateTenant(ctx, Tenant{ID: "c"})
		require.Error(t, err, "the transaction is lost")
		return nil
	})
	require.Error(t, err, "what the database refused cannot be passed over")
	_, err = s.Tenant(ctx, "b")
	require.ErrorIs(t, err, ErrNotFound)

	require.NoError(t, s.View(ctx, func(tx *Tx) error {
		before, _, err := tx.Tenants(ctx, TenantFilter{}, Page{})
		require.NoError(t, err)
		must(s.CreateTenant(ctx, Tenant{ID: "later"}))(t)
		after, _, err := tx.Tenants(ctx, TenantFilter{}, Page{})
		require.NoError(t, err)
		require.Equal(t, before, after, "a view is of one moment")
		_, err = tx.CreateTenant(ctx, Tenant{ID: "x"})
		require.ErrorIs(t, err, ErrReadOnly)
		return nil
	}))
	require.Panics(t, func() { _ = s.Update(ctx, func(*Tx) error { panic("in fn") }) })
	must(s.CreateTenant(ctx, Tenant{ID: "after the panic"}))(t)

	// A caller that gives up in the middle.
	ended, cancel := context.WithCancel(ctx)
	require.ErrorIs(t, s.Update(ended, func(tx *Tx) error {
		must(tx.CreateTenant(ended, Tenant{ID: "x"}))(t)
		cancel()
		return nil
	}), context.Canceled)
	must(s.CreateTenant(ctx, Tenant{ID: "x"}))(t)
	_, err = s.CreateTenant(ended, Tenant{ID: "y"})
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Tenant(ended, "a")
	require.ErrorIs(t, err, context.Canceled)
}

// testConcurrent has many writers add to one record, each by reading it and replacing what it read.
func testConcurrent(t *testing.T, s *Store) {
	ctx := t.Context()
	const writers, each = 8, 25
	must(s.CreateSession(ctx, Session{ID: "a"}))(t)
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for range writers {
		wg.Go(func() {
			for range each {
				for {
					r, err := s.Session(ctx, "a")
					if err == nil {
						r.Bytes++
						_, err = s.UpdateSession(ctx, r)
					}
					if errors.Is(err, ErrConflict) {
						continue
					}
					if err != nil {
						errs <- err
						return
					}
					break
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	require.NoError(t, <-errs)
	got := must(s.Session(ctx, "a"))(t)
	require.EqualValues(t, writers*each, got.Bytes)
	require.EqualValues(t, 1+writers*each, got.Rev)
	require.Equal(t, got.Iter, must(s.Iter(ctx))(t))
}

// testIterOrder has a reader follow what writers change by the iteration alone: it must not miss a change.
func testIterOrder(t *testing.T, s *Store) {
	ctx := t.Context()
	const writers, each = 6, 20
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := s.CreateSession(ctx, Session{ID: fmt.Sprint(w, "-", i), Tenant: "t"}); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	seen, since := 0, int64(0)
	for last := false; ; {
		ss, _, err := s.Sessions(ctx, SessionFilter{Tenant: "t", Since: since}, Page{Limit: 7})
		require.NoError(t, err)
		for _, x := range ss {
			require.Greater(t, x.Iter, since)
			since = x.Iter
			seen++
		}
		if len(ss) == 0 {
			if last {
				break
			}
			select {
			case <-done:
				last = true // one more look, at what came before the last had ended
			default:
			}
		}
	}
	close(errs)
	require.NoError(t, <-errs)
	require.Equal(t, writers*each, seen)
}

// testClockSteps sets the clock back: no order changes.
func testClockSteps(t *testing.T, s *Store) {
	ctx := t.Context()
	now := clock
	s.ops.now = func() time.Time { return now }
	for i := range 4 {
		must(s.CreateSession(ctx, Session{ID: fmt.Sprint(i), Started: now}))(t)
		must(s.AddEvents(ctx, []Event{{Type: fmt.Sprint(i)}}))(t)
		must(s.AppendAudit(ctx, Audit{Actor: "a", Action: fmt.Sprint(i)}))(t)
		now = now.Add(-time.Hour)
	}
	ss, _, err := s.Sessions(ctx, SessionFilter{Newest: true}, Page{})
	require.NoError(t, err)
	require.Equal(t, "3", ss[0].ID)
	es, _, err := s.Events(ctx, EventFilter{Since: 2}, Page{})
	require.NoError(t, err)
	require.Equal(t, []string{"2", "3"}, []string{es[0].Type, es[1].Type})
	as, _, err := s.Audits(ctx, AuditFilter{Newest: true}, Page{})
	require.NoError(t, err)
	require.Equal(t, "3", as[0].Action)
	must(s.VerifyAudit(ctx))(t)
}

func testClosed(t *testing.T, s *Store) {
	ctx := t.Context()
	started, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- s.Update(ctx, func(tx *Tx) error {
			_, err := tx.CreateTenant(ctx, Tenant{ID: "a"})
			close(started)
			<-s.closing.Done()
			return err
		})
	}()
	<-started
	waiting := make(chan error)
	go func() {
		_, err := s.CreateTenant(ctx, Tenant{ID: "b"})
		waiting <- err
	}()
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	require.ErrorIs(t, <-ended, ErrClosed)
	require.ErrorIs(t, <-waiting, ErrClosed)
	require.NoError(t, <-closed)
	require.NoError(t, s.Close())
	_, err := s.Tenant(ctx, "a")
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.View(ctx, func(*Tx) error { return nil }), ErrClosed)
}
