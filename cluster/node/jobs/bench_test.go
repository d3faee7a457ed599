package jobs

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkList lists 200 jobs that wait, as many as a key may have, each with a specification of 500 KB.
func BenchmarkList(b *testing.B) {
	w := newBench(b)
	w.stop() // so that they wait
	paths := []any{}
	for range 5000 {
		paths = append(paths, map[string]any{"source": strings.Repeat("x", 80)})
	}
	fields := map[string]any{"paths": paths, "cookie": "c"}
	for range maxWaiting {
		w.create(fields)
	}
	get := w.m.Routes()["GET /ops/transfers"]
	for _, view := range []string{"id", "summary", "all"} {
		b.Run(view, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				answer := httptest.NewRecorder()
				require.NoError(b, get(answer, httptest.NewRequest(http.MethodGet, "/ops/transfers?count=1000&view="+view, nil), anna))
			}
		})
	}
}
