package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

var bob = accesskey.Credential{ID: "bob", Secret: "bob-0123456789-0123456789-abcdefgh"}

// put sends a file with the credentials, and returns what came of it.
func (w *world) put(c accesskey.Credential, file, dest string) (*transfer.Result, error) {
	return transfer.Run(w.t.Context(), transfer.Config{Dial: w.dial(c)}, transfer.Spec{Paths: []transfer.Path{{Source: file}}, Destination: dest, Compression: transfer.CompressionOff})
}

func objects(t *testing.T, s *memstore.Store) (keys []string) {
	b := objstore.NewBucket(s, objstore.Config{})
	for o, err := range b.List(context.Background(), objstore.ListOptions{}) {
		require.NoError(t, err)
		keys = append(keys, fmt.Sprintf("%s %d", o.Key, o.Size))
	}
	return keys
}

func TestDocrootAndKeysInStores(t *testing.T) {
	host := new(memstore.Host)
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, make([]byte, 3<<20), 0o644))
	cfg := Config{DocRoot: "mem://one/base", Stores: objstore.Schemes{"mem": host.Open}, PartSize: 256 << 10, PartMemory: 64 << 20}
	inWorld(t, cfg, func(w *world) {
		w.addKey(bob, func(k *accesskey.Key) { k.Root = "mem://two/bob?part-size=1M" })
		carol := accesskey.Credential{ID: "carol", Secret: "carol-0123456789-0123456789-abcdef"}
		w.addKey(carol, func(k *accesskey.Key) { k.Root = "sub/carol" })
		for _, c := range []accesskey.Credential{alice, bob, carol} {
			res, err := w.put(c, file, "/in/f")
			require.NoError(t, err, c.ID)
			require.EqualValues(t, 1, res.FilesDone)
		}
		require.Equal(t, []string{"base/in/f 3145728", "base/sub/carol/in/f 3145728"}, objects(t, host.Store("one")))
		require.Equal(t, []string{"bob/in/f 3145728"}, objects(t, host.Store("two")))
		_, err := w.put(bob, file, "/../../one/base/in/f")
		require.Error(t, err)
		require.Len(t, objects(t, host.Store("one")), 2)
	})
}

// What is sent before a place is known leaves memory for the parts there, whatever sizes the node is set to.
func TestStoreBehindFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, make([]byte, 3<<20), 0o644))
	for _, c := range []struct{ part, memory int64 }{{5_000_000, 100_000_000}, {4_000_000, 0}, {512 << 10, 100 << 20}, {16 << 20, 64 << 20}} {
		host := new(memstore.Host)
		cfg := Config{Stores: objstore.Schemes{"mem": host.Open}, PartSize: c.part, PartMemory: c.memory}
		inWorld(t, cfg, func(w *world) {
			w.addKey(bob, func(k *accesskey.Key) { k.Root = "mem://two/bob" })
			_, err := w.put(bob, file, "/f")
			require.NoError(t, err, "parts of %d in %d", c.part, c.memory)
			require.Equal(t, []string{"bob/f 3145728"}, objects(t, host.Store("two")))
		})
	}
}

// A session whose key has been proved is no stranger while its place is being opened, however long that takes.
func TestSlowPlaceLosesNothing(t *testing.T) {
	host := new(memstore.Host)
	open := func(ctx context.Context, u objstore.URI) (objstore.Driver, string, error) {
		time.Sleep(3 * time.Second) // virtual
		return host.Open(ctx, u)
	}
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, make([]byte, 20<<20), 0o644))
	state := t.TempDir()
	inWorld(t, Config{Stores: objstore.Schemes{"mem": open}, PartSize: 1 << 20, PartMemory: 256 << 20, UnprovenMemory: 2 << 20}, func(w *world) {
		w.addKey(bob, func(k *accesskey.Key) { k.Root = "mem://two/bob" })
		var conn *fasp.Conn
		dial := func(ctx context.Context, spec *transfer.Spec) (fasp.Session, error) {
			s, err := w.dial(bob)(ctx, spec)
			conn, _ = s.(*fasp.Conn)
			return s, err
		}
		spec := transfer.Spec{Paths: []transfer.Path{{Source: file}}, Destination: "/f", Compression: transfer.CompressionOff, Rates: fasp.Rates{Policy: fasp.Fixed, Target: 50 * fasp.Mbps}}
		_, err := transfer.Run(w.t.Context(), transfer.Config{Dial: dial, StateDir: state}, spec)
		require.NoError(t, err)
		st := conn.Stats()
		require.Zero(t, st.Lost)
		require.Zero(t, st.SizeFalls)
	})
}

// A session at a store behind a folder does not keep the memory for parts from all others, for as long as it lasts.
func TestAheadLeavesRoomForOtherSessions(t *testing.T) {
	dir := t.TempDir()
	for _, part := range []int64{2 << 20, 8 << 20, 16 << 20, 64 << 20} {
		c, err := Config{DocRoot: dir, StateDir: t.TempDir(), PartSize: part}.withDefaults()
		require.NoError(t, err)
		sessions := func(ahead int64) int64 { return c.PartMemory / (ahead + part) }
		require.GreaterOrEqual(t, sessions(c.ahead()), min(3, sessions(transfer.InitialBytes)), "parts of %d", part)
	}
}

func TestUnknownSchemeIsRefused(t *testing.T) {
	dir := t.TempDir()
	n, err := New(Config{DocRoot: "gopher://x/y", StateDir: dir, Keys: &accesskey.MemStore{}, Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	require.ErrorContains(t, n.Run(t.Context()), `scheme "gopher" is not known`)
}

// outage is a store that fails while it is down.
type outage struct {
	objstore.Driver
	down  func() objstore.Kind // Other: it works
	fails atomic.Int64
}

func (d *outage) fail(op, key string) error {
	kind := d.down()
	if kind == objstore.Other {
		return nil
	}
	d.fails.Add(1)
	return &objstore.Error{Op: op, Key: key, Kind: kind, Err: errors.New("down")}
}

func (d *outage) PutPart(ctx context.Context, u objstore.Upload, p objstore.PartSpec, body *io.SectionReader) (objstore.Part, error) {
	if err := d.fail("put part", u.Key); err != nil {
		return objstore.Part{}, err
	}
	return d.Driver.PutPart(ctx, u, p, body)
}

func (d *outage) Put(ctx context.Context, key string, body *io.SectionReader, o objstore.PutOptions) (objstore.Object, error) {
	if err := d.fail("put", key); err != nil {
		return objstore.Object{}, err
	}
	return d.Driver.Put(ctx, key, body, o)
}

// TestStoreOutageOfMinutesLosesNothing takes the store away in the middle of an upload, for longer than sessions may be
// silent. The session lives on, memory stays within its bound, and the upload goes on by itself.
func TestStoreOutageOfMinutesLosesNothing(t *testing.T) {
	for _, kind := range []objstore.Kind{objstore.Busy, objstore.Temporary} {
		t.Run(kind.String(), func(t *testing.T) {
			host := new(memstore.Host)
			var begin time.Time // of the outage, in the bubble's time
			d := &outage{Driver: host.Store("one")}
			d.down = func() objstore.Kind {
				if begin.IsZero() {
					begin = time.Now().Add(time.Second)
				}
				if since := time.Since(begin); since > 0 && since < 4*time.Minute {
					return kind
				}
				return objstore.Other
			}
			open := func(context.Context, objstore.URI) (objstore.Driver, string, error) { return d, "", nil }
			file := filepath.Join(t.TempDir(), "f")
			const size = 60 << 20
			require.NoError(t, os.WriteFile(file, make([]byte, size), 0o644))
			cfg := Config{DocRoot: "mem://one/", Stores: objstore.Schemes{"mem": open}, PartSize: 1 << 20, PartMemory: 64 << 20}
			inWorld(t, cfg, func(w *world) {
				var peak atomic.Int64
				watching, stop := context.WithCancel(w.t.Context())
				watched := make(chan struct{})
				go func() {
					defer close(watched)
					for watching.Err() == nil {
						time.Sleep(time.Second) // of the bubble's time
						peak.Store(max(peak.Load(), w.node.places.cfg.Pool.Used()))
					}
				}()
				defer func() { stop(); <-watched }()
				res, err := w.put(alice, file, "/f")
				require.NoError(t, err)
				require.Equal(t, 1, res.Attempts, "the session has lived through it")
				require.Greater(t, res.Elapsed, 4*time.Minute)
				require.Positive(t, d.fails.Load())
				require.LessOrEqual(t, peak.Load(), int64(33<<20), "32 MiB and a part of 1 MiB")
				require.Equal(t, []string{fmt.Sprint("f ", size)}, objects(t, host.Store("one")))
			})
		})
	}
}
