package s3

import (
	"testing"

	"github.com/tradewind-io/tradewind/internal/testservers"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/storetest"
)

func conformance(t *testing.T, s *testservers.Server, profile Profile, checksum Checksum, refuses ...string) {
	storetest.Run(t, storetest.Target{
		Open: func(t testing.TB) objstore.Driver {
			cfg := place(t, s, profile)
			cfg.Checksum = checksum
			d, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Again: func(t testing.TB, d objstore.Driver) objstore.Driver {
			again, err := New(d.(*driver).cfg)
			if err != nil {
				t.Fatal(err)
			}
			return again
		},
		Refuses: refuses,
		Skips:   quirks[s.Name],
		Big:     !testing.Short(),
	})
}

// quirks are the parts of the suite that a server, not the driver, does not pass, by the server's name.
var quirks = map[string]map[string]string{
	"minio": {"name and folder": "its listings hide a/b while there is an a"},
	"versitygw": {
		"name and folder":         "it keeps objects as files, and refuses a/b while there is an a",
		"upload part after abort": "it answers before it has read the part and cuts the connection, which at times comes before the answer",
	},
	"moto": {"upload part after abort": "it answers 500, as for a failure that may pass"},
}

// genericRefuses are the cases of keys that the Generic profile does not write.
var genericRefuses = [...]string{"not utf-8", "dot segment", "dot dot segment", "double slash", "trailing slash", "tab", "newline", "control"}

func TestMinIO(t *testing.T) {
	conformance(t, servers.MinIO(t), MinIO, AutoChecksum, "not utf-8", "dot segment", "dot dot segment", "double slash", "trailing slash")
}

func TestVersityGW(t *testing.T) {
	conformance(t, servers.VersityGW(t), Generic, AutoChecksum, genericRefuses[:]...)
}

func TestMoto(t *testing.T) {
	conformance(t, servers.Moto(t), Generic, AutoChecksum, genericRefuses[:]...)
}
