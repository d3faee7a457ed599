package objstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
	"github.com/tradewind-io/tradewind/objstore/storetest"
)

// cheap is an Encryption for tests.
func cheap(passphrase string) objstore.Encryption {
	return objstore.Encryption{Passphrase: passphrase, Time: 1, Memory: 8 << 10, Threads: 1}
}

func encrypted(t testing.TB, d objstore.Driver) objstore.Driver {
	t.Helper()
	w, err := objstore.WithEncryption(d, cheap("correct horse"))
	require.NoError(t, err)
	return w
}

// TestWrappersConform runs the suite of drivers on each wrapper.
func TestWrappersConform(t *testing.T) {
	for name, wrap := range map[string]func(testing.TB, objstore.Driver) objstore.Driver{
		"prefix": func(_ testing.TB, d objstore.Driver) objstore.Driver { return objstore.WithPrefix(d, "some/pre fix/") },
		"limit": func(_ testing.TB, d objstore.Driver) objstore.Driver {
			return objstore.WithLimit(d, objstore.Limits{Up: 1 << 32, Down: 1 << 32, Requests: 32, PerSecond: 1e6})
		},
		"retry":   func(_ testing.TB, d objstore.Driver) objstore.Driver { return objstore.WithRetry(d, time.Minute, nil) },
		"encrypt": encrypted,
		"all": func(t testing.TB, d objstore.Driver) objstore.Driver {
			d = objstore.WithRetry(objstore.WithLimit(d, objstore.Limits{Requests: 32}), 0, nil)
			return objstore.WithPrefix(encrypted(t, objstore.WithPrefix(d, "below/")), "above/")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var host memstore.Host
			places := map[objstore.Driver]string{}
			open := func(t testing.TB, place string) objstore.Driver {
				d := wrap(t, host.Store(place))
				places[d] = place
				return d
			}
			storetest.Run(t, storetest.Target{
				Open:     func(t testing.TB) objstore.Driver { return open(t, t.Name()) },
				Again:    func(t testing.TB, d objstore.Driver) objstore.Driver { return open(t, places[d]) },
				PartSize: 64 << 10,
			})
		})
	}
}
