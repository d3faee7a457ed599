package transfer

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zeebo/blake3"

	"github.com/tradewind-io/tradewind/fasp"
)

func sampleRequest() *request {
	return &request{
		Version: wireVersion, Direction: Receive, Job: id16{1, 2, 3}, Run: 77, Flags: flagFresh | flagMtime, Resume: 2,
		Overwrite: OverwriteDiffOlder, Symlinks: SymlinksCopyForce, Checksum: ChecksumSHA512, Durable: DurabilitySession,
		BlockSize: defaultBlockSize, Policy: 3, Target: 5e8, Min: 1, Dest: "in/x", SrcBase: "a", Roots: []string{"r", "s"},
		Filters: []Filter{{true, "*.o"}, {false, "/**/"}}, Sources: 3, Compression: CompressionAlways,
		ReadSize: MinIOSize, WriteSize: MaxIOSize, Split: 1 << 40,
		Folder: "17", Cookie: "c", Title: "t", Tags: []byte(`{"a":1}`),
	}
}

// records has one value of every record type, decoders included.
func records() []struct {
	name   string
	body   []byte
	decode func([]byte) ([]byte, error)
} {
	rows := []struct {
		name   string
		body   []byte
		decode func([]byte) ([]byte, error)
	}{
		{"request", sampleRequest().encode(), func(b []byte) ([]byte, error) {
			q, err := decodeRequest(b)
			return q.encode(), err
		}},
		{"answer", (&answer{Version: 1, Session: id16{9}, Flags: flagFresh, MaxRate: 1e9, Compression: CompressionAuto}).encode(), func(b []byte) ([]byte, error) {
			a, err := decodeAnswer(b)
			return a.encode(), err
		}},
		{"sources", encodeSources([]source{{"a/b", ""}, {"c", "d"}}), func(b []byte) ([]byte, error) {
			s, err := decodeSources(b)
			return encodeSources(s), err
		}},
		{"end", (&fileEnd{ID: 5, Have: true, Root: [rootSize]byte{1, 2}, Digest: []byte("digest")}).encode(), func(b []byte) ([]byte, error) {
			e, err := decodeFileEnd(b)
			return e.encode(), err
		}},
		{"failure", (&failure{ID: 5, Code: CodeNoSpace, Name: "n", Text: "t"}).encode(), func(b []byte) ([]byte, error) {
			f, err := decodeFailure(b)
			return f.encode(), err
		}},
		{"waits", (&waits{9, 3}).encode(), func(b []byte) ([]byte, error) {
			w, err := decodeWaits(b)
			return w.encode(), err
		}},
		{"totals", (&totals{9, 8, 7}).encode(), func(b []byte) ([]byte, error) {
			v, err := decodeTotals(b)
			return v.encode(), err
		}},
		{"ids", encodeIDs([]span{{1, 3}, {7, 1}}), func(b []byte) ([]byte, error) {
			v, err := decodeIDs(b)
			return encodeIDs(v), err
		}},
		{"have", (&have{ID: 4, More: true, Spans: []span{{0, 3}, {7, 1}}}).encode(), func(b []byte) ([]byte, error) {
			v, err := decodeHave(b)
			return v.encode(), err
		}},
		{"compare", (&compare{ID: 4, Pieces: []piece{{0, 10, blockHash{1}}, {100, 5, blockHash{2}}}}).encode(), func(b []byte) ([]byte, error) {
			v, err := decodeCompare(b)
			return v.encode(), err
		}},
		{"rates", encodeRates(fasp.Rates{Policy: fasp.Low, Target: 5, Min: 3}), func(b []byte) ([]byte, error) {
			v, err := decodeRates(b)
			return encodeRates(v), err
		}},
		{"done", (&done{1, 2, 3}).encode(), func(b []byte) ([]byte, error) {
			v, err := decodeDone(b)
			return v.encode(), err
		}},
	}
	for _, e := range []entry{
		{ID: 3, Kind: kindFile, Small: true, Name: "a/bc", Size: 10, Mode: 0o644, Mtime: -5, Atime: 9, BlockSize: minBlockSize},
		{ID: 4, Kind: kindDir, Name: "a/bd", Mode: 0o755, Mtime: 1},
		{ID: 6, Kind: kindFile, Name: "a/h", Size: 1 << 40, Mode: 0o600, Mtime: 1, BlockSize: maxBlockSize, Sparse: true},
		{ID: 7, Kind: kindFile, Name: "a/i", Size: 1 << 41, Mode: 0o600, Mtime: 1, BlockSize: maxBlockSize, Sliced: true},
		{ID: 5, Kind: kindLink, Name: "x", Mode: 0o777, Mtime: 1, Target: "../y"},
	} {
		rows = append(rows, struct {
			name   string
			body   []byte
			decode func([]byte) ([]byte, error)
		}{"entry", e.encode("a/b"), func(b []byte) ([]byte, error) {
			v, err := decodeEntry(b, "a/b")
			return v.encode("a/b"), err
		}})
	}
	return rows
}

func TestRecordsRoundTrip(t *testing.T) {
	for _, r := range records() {
		again, err := r.decode(r.body)
		require.NoError(t, err, r.name)
		require.Equal(t, r.body, again, r.name)
		// Fields that a later version appends are ignored.
		again, err = r.decode(append(bytes.Clone(r.body), "later"...))
		require.NoError(t, err, r.name)
		require.Equal(t, r.body, again, r.name)
		for n := range r.body {
			_, err := r.decode(r.body[:n])
			require.ErrorIs(t, err, errWire, "%s cut to %d bytes", r.name, n)
		}
	}
}

func FuzzRecords(f *testing.F) {
	for i, r := range records() {
		f.Add(uint8(i), r.body)
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		all := records()
		r := all[int(which)%len(all)]
		once, err := r.decode(b)
		if err != nil {
			return
		}
		if r.name == "request" && len(b) > 0 && b[0] != wireVersion {
			return // of another version: only the version is read
		}
		twice, err := r.decode(once)
		require.NoError(t, err)
		require.Equal(t, once, twice)
	})
}

func FuzzMessage(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, recEnd, []byte("abc")), 999, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			typ, body, rest, err := nextRecord(b)
			if err != nil {
				return
			}
			require.Less(t, len(rest), len(b))
			again, body2, _, err := nextRecord(appendRecord(nil, typ, body))
			require.NoError(t, err)
			require.Equal(t, typ, again)
			require.Equal(t, body, append([]byte{}, body2...))
			b = rest
		}
	})
}

func packBlock(files ...packed) []byte {
	b := make([]byte, blockHeader, 4096)
	var id uint64
	name := ""
	for _, p := range files {
		b = append(appendPacked(b, &p, len(p.Data), id, name), p.Data...)
		id, name = p.ID, p.Name
	}
	putBlockHead(b, blockPack, uint64(len(files)), 0, extent{})
	return b
}

func TestBlocks(t *testing.T) {
	b := append(make([]byte, blockHeader), "payload"...)
	want := putBlockHead(b, blockRange, 7, 1<<20, extent{9, 3})
	h, err := parseBlock(b)
	require.NoError(t, err)
	require.Equal(t, blockHead{blockRange, false, 7, 1 << 20, extent{9, 3}, 7, want, []byte("payload"), 0}, h)
	for n := range blockHeader + 1 {
		_, err := parseBlock(b[:n])
		require.ErrorIs(t, err, errWire)
	}
	b[1] = blockFlagCompressed
	_, err = parseBlock(b)
	require.ErrorIs(t, err, errWire, "compressed to what it was")

	files := []packed{
		{ID: 9, Name: "d/a", Mode: 0o644, Mtime: 12345, Data: []byte("one")},
		{ID: 4, Name: "d/b", Mode: 0o600, Mtime: -1, Atime: 5, Digest: []byte("0123456789abcdef"), Data: []byte{}},
	}
	h, err = parseBlock(packBlock(files...))
	require.NoError(t, err)
	var got []packed
	require.NoError(t, eachPacked(h.Payload, h.File, func(p *packed) error { got = append(got, *p); return nil }))
	require.Equal(t, files, got)
}

func FuzzBlock(f *testing.F) {
	f.Add(packBlock(packed{ID: 9, Name: "d/a", Mode: 0o644, Mtime: 12345, Data: []byte("one")}, packed{ID: 10, Name: "d/b", Data: []byte("two")}))
	f.Add(append(make([]byte, blockHeader), "payload"...))
	zeros := make([]byte, blockHeader+zerosPayload)
	putZeros(zeros, 3, 1<<20, 1<<40)
	f.Add(zeros)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseBlock(b)
		if err != nil {
			return
		}
		payload := h.Payload
		if h.Compressed {
			if payload, err = new(inflater).inflate(h.Payload, h.Raw); err != nil {
				return
			}
		}
		require.Len(t, payload, h.Raw)
		if h.Kind == blockZeros {
			again := make([]byte, blockHeader+zerosPayload)
			putZeros(again, h.File, h.Offset, h.Zeros)
			require.Equal(t, again[blockHeader:], payload)
			require.LessOrEqual(t, h.Offset+h.Zeros, int64(maxFileSize))
			return
		}
		total := 0
		_ = eachPacked(payload, h.File, func(p *packed) error {
			total += len(p.Data) + 1
			return nil
		})
		require.LessOrEqual(t, total, blockHeader+len(payload), "more came out of a pack than was in it")
	})
}

func FuzzCheckpoint(f *testing.F) {
	whole := sampleCheckpoint(1, 3<<20).encode()
	f.Add(whole)
	f.Add(whole[:len(whole)-checkpointSum])
	f.Fuzz(func(t *testing.T, b []byte) {
		// With its checksum put right, so that what lies behind it is reached, too.
		sum := blake3.Sum256(b)
		for _, b := range [][]byte{b, append(bytes.Clone(b), sum[:checkpointSum]...)} {
			c, err := decodeCheckpoint(b)
			if err != nil {
				continue
			}
			require.Equal(t, b, c.encode())
		}
	})
}

func sampleCheckpoint(seed uint64, size int64) *checkpoint {
	rng := rand.New(rand.NewPCG(seed, seed))
	c := &checkpoint{Size: size, Mtime: rng.Int64(), BlockSize: minBlockSize, Run: rng.Uint64()}
	for k := range rng.IntN(4) {
		s := span{uint64(k) * 40, 1 + uint64(rng.IntN(30))}
		if s.end() <= uint64(size/minBlockSize) {
			c.Blocks.finishZeros(minBlockSize, c.Blocks.claimZeros(s)...)
		}
	}
	for i := range blockCount(c.Size, c.BlockSize) {
		if rng.IntN(3) > 0 && c.Blocks.claim(i) {
			c.Blocks.finish(i, blockHash{byte(i), byte(rng.Uint32())})
		}
	}
	return c
}

func TestCheckpointRoundTrip(t *testing.T) {
	for seed := range uint64(20) {
		c := sampleCheckpoint(seed, int64(seed*seed*123_456))
		b := c.encode()
		d, err := decodeCheckpoint(b)
		require.NoError(t, err)
		require.Equal(t, b, d.encode())
		require.Equal(t, c.Blocks.n, d.Blocks.n)
		require.Equal(t, c.Blocks.spans(), d.Blocks.spans())
		for range 200 {
			bad := bytes.Clone(b)
			bad[rand.IntN(len(bad))] ^= 1 << rand.IntN(8)
			_, err := decodeCheckpoint(bad)
			require.ErrorIs(t, err, errCheckpoint)
		}
		_, err = decodeCheckpoint(b[:len(b)-1])
		require.ErrorIs(t, err, errCheckpoint)
	}
}

func FuzzName(f *testing.F) {
	for _, s := range append([]string{"a/b", "../x", "/abs", "a//b", "a/./b", ".x.tw-part", "nul\x00"}, oddNames...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkName(s) != nil {
			return
		}
		require.NotContains(t, "/"+s+"/", "/../")
		require.NotContains(t, "/"+s+"/", "//")
		_, base := splitName(s)
		for _, suffix := range []string{partSuffix, stateSuffix} {
			if len(base) <= maxBase {
				p := partialName(base, "01234567", suffix)
				require.LessOrEqual(t, len(p), maxBase)
				require.True(t, isPartial(p))
			}
		}
	})
}

func FuzzFilter(f *testing.F) {
	f.Add("*.txt", "a/b.txt", false)
	f.Add("/**/x[a-c]?", "q/w/xby", true)
	f.Fuzz(func(t *testing.T, pat, name string, dir bool) {
		if len(pat) > 500 || len(name) > 500 {
			return
		}
		_ = Filter{Pattern: pat}.match(name, dir)
		if !strings.ContainsAny(name, `*?[\`) && name != "" && !strings.Contains(name, "//") {
			require.True(t, glob(name, name, false))
		}
	})
}

func TestOutboxOrderAndSize(t *testing.T) {
	o := newOutbox()
	rng := rand.New(rand.NewPCG(3, 4))
	var want []byte
	for i := range 3000 {
		body := bytes.Repeat([]byte{byte(i)}, rng.IntN(200))
		o.put(uint64(i), body)
		want = appendRecord(want, uint64(i), body)
	}
	rec := &recorder{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.run(ctx, rec) }()
	require.NoError(t, o.flushed(t.Context()))
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.Equal(t, want, rec.all)
	require.Less(t, rec.n, 10, "records share messages")
}

type recorder struct {
	fasp.Session
	all []byte
	n   int
}

func (r *recorder) SendMessage(_ context.Context, m []byte) error {
	if len(m) > fasp.MaxMessage {
		return fasp.ErrTooLarge
	}
	r.all = append(r.all, m...)
	r.n++
	return nil
}
