package fileids

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

var entries = flag.Int("entries", 100_000, "files in the folder that the benchmark lists")

// BenchmarkListing lists a page of a large folder; peak-MB is the most that the heap held beyond what it held before. The first pages give ids, the others find them.
func BenchmarkListing(b *testing.B) {
	bed := newBed(b)
	dir := filepath.Join(bed.Base, "alpha")
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
	w := get(bed.Alpha, "/files/1/files?per_page=1")
	require.Equal(b, fmt.Sprint(*entries), w.Header().Get("X-Total-Count"))
	token := ""
	next := func() {
		w := get(bed.Alpha, "/files/1/files?per_page=1000&iteration_token="+token)
		token = w.Header().Get("X-Aspera-Next-Iteration-Token")
	}
	bed.allow("", api.AccessUser, "anna", "list", "read")
	anna := bed.Bearer("anna")
	for _, c := range []struct {
		name string
		page func()
	}{
		{"new-ids", next},
		{"known-ids", func() { get(bed.Alpha, "/files/1/files?per_page=1000") }},
		{"known-ids-by-permission", func() { get(anna, "/files/1/files?per_page=1000") }},
		{"by-size", func() { get(bed.Alpha, "/files/1/files?per_page=1000&sort=-size") }},
		{"deep-page-number", func() { get(bed.Alpha, fmt.Sprintf("/files/1/files?per_page=1000&page=%d", min(100, *entries/1000))) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var most uint64
			for range b.N {
				stop := apibed.HeapWatch()
				c.page()
				most = max(most, stop())
			}
			b.ReportMetric(float64(most)/1e6, "peak-MB")
		})
	}
}
