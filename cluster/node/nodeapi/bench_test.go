package nodeapi

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

var entries = flag.Int("entries", 100_000, "files in the folder that the benchmarks of listings list")

// serve is a request without a network.
func (b *bed) serve(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", b.Alpha)
	w := httptest.NewRecorder()
	b.srv.ServeHTTP(w, r)
	return w
}

// BenchmarkSelf is an authenticated request without a network.
func BenchmarkSelf(b *testing.B) {
	bed := newBed(b)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if w := bed.serve(http.MethodGet, "/access_keys/self", ""); w.Code != http.StatusOK {
				panic(w.Body.String())
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkListing lists a large folder; peak-MB is the most that the heap held beyond what it held before, in one more run that is not timed.
func BenchmarkListing(b *testing.B) {
	bed := newBed(b)
	dir := filepath.Join(bed.Base, "alpha")
	for i := range *entries {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("file-%07d.mov", i)))
		require.NoError(b, err)
		require.NoError(b, f.Close())
	}
	for _, c := range []struct{ name, path, body string }{
		{"page", "/files/page", `{"path":"/","count":1000}`},
		{"browse", "/files/browse", `{"path":"/","count":1000,"sort":"mtime_d"}`},
		{"browse-size", "/files/browse", `{"path":"/","count":1000,"sort":"size_d"}`},
		{"browse-name", "/files/browse", `{"path":"/","count":1000}`},
		{"browse-deep-page", "/files/browse", `{"path":"/","skip":50000,"count":1000}`},
		{"search", "/files/search", `{"path":"/","count":1000,"filters":{"basenames":["*99*"]}}`},
		{"du", "/files/du", `{"path":"/"}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			list := func() {
				w := bed.serve(http.MethodPost, c.path, c.body)
				require.Equal(b, http.StatusOK, w.Code, w.Body.String())
			}
			for range b.N {
				list()
			}
			b.StopTimer()
			stop := apibed.HeapWatch()
			list()
			most := stop()
			b.ReportMetric(float64(most)/1e6, "peak-MB")
		})
	}
}
