package node

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/cluster/api"
)

var benchClients = flag.Int("api-clients", 16, "clients at a time in BenchmarkTransferStatus")

// BenchmarkTransferStatus asks a node on loopback, over HTTPS, what has become of a transfer, with an access key, by clients that keep their connections; they share the
// processors with it.
//
//	go test -run '^$' -bench TransferStatus -benchtime 5s ./cluster/node
func BenchmarkTransferStatus(b *testing.B) {
	a, other := startReal(b, "a", nil), startReal(b, "b", nil)
	anna, bert := a.key("anna"), other.key("bert")
	a.file("anna/f", 100_000)
	c := a.client(anna)
	tr, err := c.StartTransfer(b.Context(), job(other, bert, nil))
	require.NoError(b, err)
	waitFor(b, c, tr.ID, func(x api.Transfer) bool { return x.Status == api.Completed })
	for _, proto := range []string{"http1", "http2"} {
		b.Run(proto, func(b *testing.B) {
			tr1 := a.plain.Clone()
			tr1.MaxIdleConnsPerHost = *benchClients
			if proto == "http1" {
				tr1.ForceAttemptHTTP2 = false
				tr1.TLSClientConfig.NextProtos = []string{"http/1.1"}
			}
			defer tr1.CloseIdleConnections()
			client := &http.Client{Transport: tr1}
			var next atomic.Int64
			times := make([]time.Duration, b.N)
			var wg sync.WaitGroup
			b.ResetTimer()
			for range *benchClients {
				wg.Go(func() {
					for {
						i := next.Add(1) - 1
						if i >= int64(b.N) {
							return
						}
						began := time.Now()
						req, err := http.NewRequest(http.MethodGet, c.URL+"/ops/transfers/"+tr.ID, nil)
						if err != nil {
							b.Error(err)
							return
						}
						req.Header.Set("Authorization", c.Authorization)
						resp, err := client.Do(req)
						if err != nil {
							b.Error(err)
							return
						}
						_, err = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
						if err != nil || resp.StatusCode != http.StatusOK {
							b.Error(fmt.Sprint(resp.Status, err))
							return
						}
						times[i] = time.Since(began)
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
			slices.Sort(times)
			b.ReportMetric(times[b.N*99/100].Seconds()*1000, "p99-ms")
			b.ReportMetric(times[b.N/2].Seconds()*1000, "p50-ms")
		})
	}
}
