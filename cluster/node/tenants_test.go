package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

// TestTenTenants: ten tenants with five uploads each at a time, each tenant with a key, a storage and a cap of its own. The caps hold, and no tenant's storage has a byte of another one.
func TestTenTenants(t *testing.T) {
	const (
		tenants, uploads = 10, 5
		limit            = 6 * fasp.Mbps // of a path of 100 Mbit/s
	)
	size, least := 6_000_000, 0.957*0.98
	if testing.Short() { // beginning and end weigh more
		size, least = 1_500_000, 0.9
	}
	host := new(memstore.Host)
	// Each session has 128 MiB of the memory for parts to itself where it can, and waits where it cannot.
	cfg := Config{PartSize: 256 << 10, PartMemory: 16 << 30, OpenStorage: func(ctx context.Context, s accesskey.Storage) (objstore.Driver, string, error) {
		d, _, err := host.Open(ctx, objstore.URI{Scheme: "mem", Host: s.Fields["bucket"]})
		return d, "", err
	}}
	content := func(tenant, upload int) []byte { return bytes.Repeat([]byte{byte(10*tenant + upload)}, size) }
	dir := t.TempDir()
	for i := range tenants {
		for j := range uploads {
			require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i, "-", j)), content(i, j), 0o644))
		}
	}
	inWorld(t, cfg, func(w *world) {
		var all sync.WaitGroup
		took := make([]time.Duration, tenants)
		for i := range tenants {
			c := accesskey.Credential{ID: fmt.Sprint("tenant", i), Secret: fmt.Sprint("secret of tenant ", i, " 0123456789")}
			w.addKey(c, func(k *accesskey.Key) {
				k.Tenant, k.RateCap = c.ID, int64(limit)
				k.Storage = &accesskey.Storage{Type: "ibm-s3", Fields: map[string]string{"bucket": c.ID, "endpoint": "e"}, Credentials: map[string]string{"access_key_id": c.ID, "secret_access_key": "x"}}
			})
			all.Go(func() {
				began := time.Now()
				var mine sync.WaitGroup
				for j := range uploads {
					mine.Go(func() {
						_, err := transfer.Run(w.t.Context(), transfer.Config{Dial: w.dial(c), RetryTimeout: -1}, transfer.Spec{
							Paths: []transfer.Path{{Source: filepath.Join(dir, fmt.Sprint(i, "-", j))}}, Destination: fmt.Sprint("in/", j),
							Rates: fasp.Rates{Policy: fasp.Fixed, Target: 50 * fasp.Mbps}, Compression: transfer.CompressionOff,
						})
						if err != nil {
							w.t.Error(err)
						}
					})
				}
				mine.Wait()
				took[i] = time.Since(began)
			})
		}
		all.Wait()
		for i := range tenants {
			b := objstore.NewBucket(host.Store(fmt.Sprint("tenant", i)), objstore.Config{})
			n := 0
			for o, err := range b.List(w.t.Context(), objstore.ListOptions{}) {
				require.NoError(w.t, err)
				n++
				r, err := b.Open(w.t.Context(), o.Key, objstore.ReadOptions{})
				require.NoError(w.t, err)
				got, err := io.ReadAll(r)
				require.NoError(w.t, err)
				require.NoError(w.t, r.Close())
				var upload int
				_, err = fmt.Sscanf(o.Key, "in/%d", &upload)
				require.NoError(w.t, err)
				require.True(w.t, bytes.Equal(content(i, upload), got), "tenant %d, %s", i, o.Key)
			}
			require.Equal(w.t, uploads, n)
			rate := float64(uploads*size*8) / took[i].Seconds() / float64(limit)
			w.t.Logf("tenant %d: %.3f of its cap as content", i, rate)
			// A packet of 1,500 bytes has 1,440 of blocks, and a block some for its header: 0.957 of the cap is what content can be of it.
			require.Less(w.t, rate, 0.957*1.02, "tenant %d", i)
			require.Greater(w.t, rate, least, "tenant %d", i)
		}
	})
}
