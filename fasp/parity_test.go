package fasp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/reedsolomon"
	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
	"github.com/tradewind-io/tradewind/fasp/internal/wire"
	"github.com/tradewind-io/tradewind/internal/simnet"
)

// A row of parity depends on the data and its number only, not on how many rows are made: the sender picks numbers as it goes.
func TestParityRowsAreFixed(t *testing.T) {
	var c codes
	rng := rand.NewChaCha8([32]byte{3})
	for _, k := range []int{1, 2, 8, 75, 95, 96} {
		data := make([][]byte, k)
		for i := range data {
			data[i] = make([]byte, 100)
			rng.Read(data[i])
		}
		want := make([][]byte, core.GroupRows-k)
		for first := 0; first < len(want); first += chunkRows {
			e, n := c.encoder(k, first)
			shards := append([][]byte(nil), data...)
			for range n {
				shards = append(shards, make([]byte, 100))
			}
			require.NoError(t, e.Encode(shards))
			copy(want[first:], shards[k:])
		}
		for _, rows := range []int{1, 3, 17, core.GroupRows - k} {
			e, err := reedsolomon.New(k, rows)
			require.NoError(t, err)
			shards := append([][]byte(nil), data...)
			for range rows {
				shards = append(shards, make([]byte, 100))
			}
			require.NoError(t, e.Encode(shards))
			for i := range rows {
				require.Equal(t, shards[k+i], want[i], "k %d, %d rows, row %d", k, rows, i)
			}
		}
		if k == 1 {
			require.Equal(t, data[0], want[0], "parity of one symbol is a copy")
			require.Equal(t, data[0], want[254])
		}
	}
}

// Blocks of every awkward size come back from any symbols that are enough.
func TestParityRestores(t *testing.T) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, 0))
	var c codes
	out, in := newParityState(&c), newParityState(&c)
	for _, size := range []int{1, 2, 1437, 1438, 1439, 20_000, 96 * 1438, 96*1438 + 1, 200_001, MaxBlock} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		symbols := (size + 1437) / 1438
		groups := core.Groups(symbols)
		for range 3 {
			got := make([]byte, size)
			has := map[int]bool{}
			var held []heldParity
			for g := range groups {
				k := core.GroupSize(symbols, g)
				lost := rng.Perm(k)[:rng.IntN(k+1)]
				gone := map[int]bool{}
				for _, i := range lost {
					gone[i] = true
				}
				for i := range k {
					if sym := g + i*groups; !gone[i] {
						has[sym] = true
						copy(got[sym*1438:], data[sym*1438:min(size, (sym+1)*1438)])
					}
				}
				for _, row := range rng.Perm(core.GroupRows - k)[:len(lost)] {
					p := core.Packet{Parity: true, Block: &core.OutBlock{ID: uint32(size), Symbol: 1438}, Group: g, Row: row}
					buf := &buffer{data: append([]byte(nil), out.row(&p, data)...)}
					held = append(held, heldParity{row*groups + g, buf})
				}
			}
			rng.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
			in.restore(got, 1438, func(sym int) bool { return has[sym] }, held)
			require.True(t, bytes.Equal(data, got), "seed %d, %d bytes", seed, size)
		}
		require.LessOrEqual(t, len(out.sets), core.ParityTogether)
		out.idle()
	}
}

// Objects of all sizes over bad paths arrive as they were sent, many of them by parity.
func TestParityEndToEnd(t *testing.T) {
	for _, loss := range []float64{0.02, 0.1, 0.3} {
		for _, datagram := range []int{1472, 1200} {
			t.Run(fmt.Sprint(loss, datagram), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					path := simnet.Impair{Rate: 50e6, Delay: 50 * time.Millisecond, Loss: loss, ReorderProb: 0.05, ReorderBy: 5 * time.Millisecond, DupProb: 0.02}
					server := Config{Rates: testConfig().Rates, Datagram: datagram}
					w := newWorld(t, path, server, testConfig())
					c, s := w.connect()
					for _, size := range []int{1, 100, 1438, 1439, 10_000, 200_000} {
						exchange(t, c, s, size, MaxBlock)
						exchange(t, s, c, size, 30_000)
					}
					exchange(t, c, s, 3<<20, MaxBlock)
					exchange(t, s, c, 1<<20, 100_000)
					for _, x := range []*Conn{c, s} {
						st := x.Stats()
						t.Logf("%+v", st)
						require.NotZero(t, st.ParitySent)
						require.NotZero(t, st.BlocksDecoded)
						require.NoError(t, x.Err())
					}
					w.close()
				})
			})
		}
	}
}

// A peer that does not know parity gets none, and may send none.
func TestParityNegotiated(t *testing.T) {
	for _, old := range []string{"client", "server"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simnet.Impair{Rate: 50e6, Delay: 50 * time.Millisecond, Loss: 0.1}, Config{Rates: testConfig().Rates}, testConfig())
			if old == "client" {
				w.client.features = 0
			} else {
				w.server.features = 0
			}
			c, s := w.connect()
			exchange(t, c, s, 200_000, 100_000)
			exchange(t, s, c, 200_000, 100_000)
			require.Zero(t, c.Stats().ParitySent)
			require.Zero(t, s.Stats().ParitySent)
			w.close()
		})
	}
}

// What a peer that knows parity may not do (section 1.4). Others are in the tests of core.
func TestParityViolations(t *testing.T) {
	symbol := make([]byte, 1438)
	size := func(c *rawClient, block uint32, n int) {
		c.frames(wire.Frame{Type: wire.FrameBlockSize, Data: wire.AppendBlockSize(nil, block, n)})
	}
	parity := func(c *rawClient, block uint32, j uint16, payload []byte) {
		c.send(wire.Short{Data: true, Class: wire.ClassParity, Block: block, Symbol: j}, payload)
	}
	for name, offend := range map[string]func(c *rawClient){
		"short":         func(c *rawClient) { parity(c, 0, 0, symbol[:100]) },
		"last":          func(c *rawClient) { c.send(wire.Short{Data: true, Class: wire.ClassParity, Last: true}, symbol) },
		"highest":       func(c *rawClient) { parity(c, 0, 65535, symbol) },
		"row":           func(c *rawClient) { size(c, 0, 5000); parity(c, 0, 252, symbol) },
		"far block":     func(c *rawClient) { parity(c, 1<<30, 0, symbol) },
		"credit":        func(c *rawClient) { size(c, 100_000, 5) },
		"sizes":         func(c *rawClient) { size(c, 0, 5000); size(c, 0, 5001) },
		"size of zero":  func(c *rawClient) { size(c, 0, 0) },
		"size too big":  func(c *rawClient) { size(c, 0, MaxBlock+1) },
		"cut":           func(c *rawClient) { c.frames(wire.Frame{Type: wire.FrameBlockSize, Data: []byte{0x80}}) },
		"class 2":       func(c *rawClient) { c.send(wire.Short{Data: true, Class: 2}, symbol) },
		"size and data": func(c *rawClient) { size(c, 0, 2000); c.send(wire.Short{Data: true, Symbol: 2}, symbol) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, simnet.Impair{Delay: 10 * time.Millisecond}, Config{Window: 4 << 20, WindowMax: 4 << 20}, testConfig())
				c := dialRawWith(t, w, netip.MustParseAddrPort("10.0.0.9:9"), wire.FeatureParity)
				s, err := w.server.Accept(t.Context())
				require.NoError(t, err)
				offend(c)
				require.Equal(t, uint64(CodeProtocol), c.closed().Code)
				<-s.Done()
				c.pc.Close()
				w.close()
			})
		})
	}
	t.Run("nothing but parity", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, simnet.Impair{Delay: 10 * time.Millisecond}, Config{}, testConfig())
			c := dialRawWith(t, w, netip.MustParseAddrPort("10.0.0.9:9"), wire.FeatureParity)
			s, err := w.server.Accept(t.Context())
			require.NoError(t, err)
			var k codes
			st := newParityState(&k)
			data := bytes.Repeat([]byte("parity alone"), 400)
			parity(c, 0, 7, symbol) // of no use yet
			size(c, 0, len(data))
			for row := range 4 {
				p := core.Packet{Parity: true, Block: &core.OutBlock{Symbol: 1438}, Row: row}
				parity(c, 0, uint16(row), st.row(&p, data))
			}
			b, err := s.ReceiveBlock(t.Context())
			require.NoError(t, err)
			require.Equal(t, data, b.Data)
			b.Release()
			c.pc.Close()
			w.close()
		})
	})
}

// BenchmarkParity makes and uses parity for blocks of 128 KiB at 10 % loss.
func BenchmarkParity(b *testing.B) {
	data := make([]byte, 128<<10)
	rand.NewChaCha8([32]byte{1}).Read(data)
	var c codes
	out := newParityState(&c)
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(1438)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			out.row(&core.Packet{Parity: true, Block: &core.OutBlock{ID: uint32(i / 24), Symbol: 1438}, Row: i % 24}, data)
		}
	})
	b.Run("restore", func(b *testing.B) {
		var held []heldParity
		for row := range 24 {
			p := core.Packet{Parity: true, Block: &core.OutBlock{ID: 1 << 31, Symbol: 1438}, Row: row}
			held = append(held, heldParity{row, &buffer{data: append([]byte(nil), out.row(&p, data)...)}})
		}
		got := append([]byte(nil), data...)
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			out.restore(got, 1438, func(sym int) bool { return sym%10 != 0 }, held[:10])
		}
		require.True(b, bytes.Equal(data, got))
	})
}
