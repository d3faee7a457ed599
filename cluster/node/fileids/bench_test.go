package fileids

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/api"
)

var entries = flag.Int("entries", 100_000, "files in the folder that the benchmark lists")

// BenchmarkListing lists a page of a large folder; peak-MB is the most that the heap held beyond what it held before. The first pages give ids, the others find them.
func BenchmarkListing(b *testing.B) {
	bed := newBed(b)
	dir := filepath.Join(bed.base, "alpha")
	for i := range *entries {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("file-%07d.mov", i)))
		require.NoError(b, err)
		require.NoError(b, f.Close())
	}
	get := func(auth, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", auth)
		w := httptest.NewRecorder()
		bed.handler.ServeHTTP(w, r)
		require.Equal(b, http.StatusOK, w.Code, w.Body.String())
		return w
	}
	w := get(bed.alpha, "/files/1/files?per_page=1")
	require.Equal(b, fmt.Sprint(*entries), w.Header().Get("X-Total-Count"))
	token := ""
	next := func() {
		w := get(bed.alpha, "/files/1/files?per_page=1000&iteration_token="+token)
		token = w.Header().Get("X-Aspera-Next-Iteration-Token")
	}
	bed.allow("", api.AccessUser, "anna", "list", "read")
	anna := bed.bearer("anna")
	for _, c := range []struct {
		name string
		page func()
	}{
		{"new-ids", next},
		{"known-ids", func() { get(bed.alpha, "/files/1/files?per_page=1000") }},
		{"known-ids-by-permission", func() { get(anna, "/files/1/files?per_page=1000") }},
		{"by-size", func() { get(bed.alpha, "/files/1/files?per_page=1000&sort=-size") }},
		{"deep-page-number", func() { get(bed.alpha, fmt.Sprintf("/files/1/files?per_page=1000&page=%d", min(100, *entries/1000))) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var most uint64
			for range b.N {
				stop := heapWatch()
				c.page()
				most = max(most, stop())
			}
			b.ReportMetric(float64(most)/1e6, "peak-MB")
		})
	}
}

// heapWatch samples the heap until stop, which returns how much it grew at most. The collector runs often meanwhile, so that garbage does not count for much.
func heapWatch() (stop func() uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, uint64(0)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			<-tick.C
		}
	}()
	return func() uint64 {
		cancel()
		<-done
		return most - min(most, before)
	}
}
