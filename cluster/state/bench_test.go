package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchDoc is a document of 500 bytes.
var benchDoc = doc(`{"x":"%s"}`, strings.Repeat("a", 492))

func benchID(i int) string {
	h := sha256.Sum256(fmt.Append(nil, i))
	return hex.EncodeToString(h[:16])
}

// perSecond reports how many of n things each operation did a second.
func perSecond(b *testing.B, n int, what string) {
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), what+"/s")
}

// BenchmarkUpdate changes one session, durably, from the revision before; alone and with 16 who change one each.
func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			s := openNew(b)
			var n atomic.Int64
			b.SetParallelism((writers + 1) / 2)
			run := func(next func() bool) {
				r := must(s.CreateSession(b.Context(), Session{ID: benchID(int(n.Add(1))), Tenant: "t", Key: "k", Status: "running", Doc: benchDoc}))(b)
				for next() {
					r.Bytes++
					var err error
					if r, err = s.UpdateSession(b.Context(), r); err != nil {
						b.Error(err)
						return
					}
				}
			}
			if writers == 1 {
				run(b.Loop)
			} else {
				b.RunParallel(func(p *testing.PB) { run(p.Next) })
			}
			perSecond(b, 1, "updates")
		})
	}
}

// BenchmarkAdd appends batches of 1000.
func BenchmarkAdd(b *testing.B) {
	b.Run("files", func(b *testing.B) {
		s := openNew(b)
		must(s.CreateSession(b.Context(), Session{ID: benchID(0)}))(b)
		fs := make([]File, 1000)
		for i := range fs {
			fs[i] = File{Session: benchID(0), Path: "some/folder/with/" + benchID(i), Size: 1 << 20, Bytes: 1 << 20, Status: "completed", Doc: doc(`{"sum":"%s"}`, benchID(i))}
		}
		for b.Loop() {
			require.NoError(b, s.AddFiles(b.Context(), fs))
		}
		perSecond(b, len(fs), "rows")
	})
	b.Run("events", func(b *testing.B) {
		s := openNew(b)
		es := make([]Event, 1000)
		for i := range es {
			es[i] = Event{Tenant: "t", Key: "k", Type: "transfer.ended", Doc: benchDoc}
		}
		for b.Loop() {
			must(s.AddEvents(b.Context(), es))(b)
		}
		perSecond(b, len(es), "rows")
	})
}

// BenchmarkGet reads single sessions of 10,000.
func BenchmarkGet(b *testing.B) {
	s := openNew(b)
	fillSessions(b, s, 10_000)
	b.Run("one reader", func(b *testing.B) {
		i := 0
		for b.Loop() {
			must(s.Session(b.Context(), benchID(i%10_000)))(b)
			i++
		}
		perSecond(b, 1, "reads")
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(p *testing.PB) {
			for i := 0; p.Next(); i++ {
				if _, err := s.Session(b.Context(), benchID(i%10_000)); err != nil {
					b.Error(err)
				}
			}
		})
		perSecond(b, 1, "reads")
	})
}

// fillSessions adds n sessions, one of a hundred of the tenant t0.
func fillSessions(b *testing.B, s *Store, n int) {
	for i := 0; i < n; {
		require.NoError(b, s.write(b.Context(), func(q queries) error {
			rows := make([]Session, min(20_000, n-i))
			last, err := q.next(b.Context(), "iter", int64(len(rows)))
			if err != nil {
				return err
			}
			for j := range rows {
				rows[j] = Session{
					ID: benchID(i), Tenant: fmt.Sprint("t", i%100), Key: fmt.Sprint("k", i%300), Status: "completed",
					Started: clock, Ended: clock.Add(time.Duration(i) * time.Second), Bytes: int64(i), Doc: benchDoc, Rev: 1, Iter: last - int64(len(rows)-1-j),
				}
				i++
			}
			return sessions.insert(b.Context(), q, rows)
		}))
	}
}

// BenchmarkMillion asks a store of 1,000,000 sessions (10,000 with -short).
func BenchmarkMillion(b *testing.B) {
	n := 1_000_000
	if testing.Short() {
		n = 10_000
	}
	s := openNew(b)
	begin := time.Now()
	fillSessions(b, s, n)
	b.Logf("filled in %v", time.Since(begin))
	page := func(b *testing.B, f SessionFilter, limit, want int) {
		var took []time.Duration
		for b.Loop() {
			begin := time.Now()
			ss, _, err := s.Sessions(b.Context(), f, Page{Limit: limit})
			took = append(took, time.Since(begin))
			require.NoError(b, err)
			require.Len(b, ss, want)
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	}
	since := int64(n - 50*100)
	b.Run("newest 50 of a tenant", func(b *testing.B) { page(b, SessionFilter{Tenant: "t0", Newest: true}, 50, 50) })
	b.Run("newest 1000 of a tenant", func(b *testing.B) { page(b, SessionFilter{Tenant: "t0", Newest: true}, 1000, min(1000, n/100)) })
	b.Run("50 changed since, of a tenant", func(b *testing.B) { page(b, SessionFilter{Tenant: "t0", Since: since}, 100, 50) })
	b.Run("none running, of a tenant", func(b *testing.B) { page(b, SessionFilter{Tenant: "t0", Status: "running", Newest: true}, 50, 0) })
	b.Run("update", func(b *testing.B) {
		i := 0
		for b.Loop() {
			r := must(s.Session(b.Context(), benchID(i*7919%n)))(b)
			must(s.UpdateSession(b.Context(), r))(b)
			i++
		}
		perSecond(b, 1, "updates")
	})
	b.Run("backup", func(b *testing.B) {
		var size counter
		for b.Loop() {
			size = 0
			require.NoError(b, s.Backup(b.Context(), &size))
		}
		b.SetBytes(int64(size))
		b.ReportMetric(float64(size)/1e6, "MB")
	})
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// BenchmarkRestore restores 20,000 sessions.
func BenchmarkRestore(b *testing.B) {
	from := openNew(b)
	fillSessions(b, from, 20_000)
	var backup bytes.Buffer
	require.NoError(b, from.Backup(b.Context(), &backup))
	b.SetBytes(int64(backup.Len()))
	for b.Loop() {
		b.StopTimer()
		s := openNew(b)
		b.StartTimer()
		require.NoError(b, s.Restore(b.Context(), io.Reader(bytes.NewReader(backup.Bytes()))))
	}
	perSecond(b, 20_000, "rows")
}
