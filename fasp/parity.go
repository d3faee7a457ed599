package fasp

import (
	"sync"

	"github.com/klauspost/reedsolomon"

	"github.com/tradewind-io/tradewind/fasp/internal/core"
)

// codes holds the Reed-Solomon codes of docs/protocol.md section 6 by number of data symbols. They are made when they are first
// needed, since that takes as long as some groups take to encode. It is safe for concurrent use, and so are the codes.
type codes struct {
	mu  sync.Mutex // guards what follows
	byK [core.GroupMax + 1]*code
}

// code is the code for k data symbols.
type code struct {
	whole  reedsolomon.Encoder // all 256 rows: computes what is missing
	rows   [][]byte            // the coefficients of each parity row
	chunks [(core.GroupRows + chunkRows - 1) / chunkRows]reedsolomon.Encoder
}

// chunkRows is how many parity symbols are computed at a time: several for each pass over the data, few enough to be needed.
const chunkRows = 8

// newCode makes a coder. Symbols are too short to share them among goroutines; and what is missing hardly repeats, while the library
// would keep a matrix of each case for ever.
func newCode(k, parity int, o ...reedsolomon.Option) reedsolomon.Encoder {
	o = append(o, reedsolomon.WithInversionCache(false), reedsolomon.WithMaxGoroutines(1), reedsolomon.WithMinSplitSize(1<<20))
	e, err := reedsolomon.New(k, parity, o...)
	must(err)
	return e
}

func must(err error) {
	if err != nil {
		panic("BUG: " + err.Error())
	}
}

// get returns the code for k data symbols; c.mu is held.
func (c *codes) get(k int) *code {
	if c.byK[k] == nil {
		d := &code{whole: newCode(k, core.GroupRows-k)}
		// The parity of unit vectors is the matrix.
		all := make([][]byte, core.GroupRows)
		for i := range all {
			all[i] = make([]byte, k)
			if i < k {
				all[i][i] = 1
			}
		}
		must(d.whole.Encode(all))
		d.rows = all[k:]
		c.byK[k] = d
	}
	return c.byK[k]
}

// decoder returns what computes missing symbols of a group of k.
func (c *codes) decoder(k int) reedsolomon.Encoder {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.get(k).whole
}

// encoder returns what computes up to chunkRows parity symbols, from row first on, which is a multiple of chunkRows, of a group of k.
func (c *codes) encoder(k, first int) (e reedsolomon.Encoder, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.get(k)
	rows := d.rows[first:min(first+chunkRows, len(d.rows))]
	at := &d.chunks[first/chunkRows]
	if *at == nil {
		*at = newCode(k, len(rows), reedsolomon.WithCustomMatrix(rows))
	}
	return *at, len(rows)
}

// parityState makes parity and uses it, for one session.
type parityState struct {
	codes  *codes
	sets   []parityRows
	turn   uint64
	shards [][]byte
	pad    []byte // the last symbol with zeros behind it
}

// parityRows are parity symbols of one group that have been computed and are about to be sent.
type parityRows struct {
	block    uint32
	group    int
	size     int // of a symbol: another one means that the block has been cut anew
	first, n int
	used     uint64 // the turn
	rows     [chunkRows][]byte
}

func newParityState(c *codes) parityState { return parityState{codes: c} }

// row returns the payload of a parity packet. It is valid until the next call.
func (s *parityState) row(p *core.Packet, data []byte) []byte {
	s.turn++
	var set *parityRows
	for i := range s.sets {
		if t := &s.sets[i]; t.n > 0 && t.block == p.Block.ID && t.group == p.Group && t.size == p.Block.Symbol {
			set = t
		}
	}
	if set == nil {
		set = s.oldest()
		set.block, set.group, set.size, set.n = p.Block.ID, p.Group, p.Block.Symbol, 0
	}
	set.used = s.turn
	if p.Row < set.first || p.Row >= set.first+set.n {
		s.encode(set, p, data)
	}
	return set.rows[p.Row-set.first]
}

// oldest returns the set to use for another group.
func (s *parityState) oldest() *parityRows {
	if len(s.sets) < core.ParityTogether {
		s.sets = append(s.sets, parityRows{})
		return &s.sets[len(s.sets)-1]
	}
	t := &s.sets[0]
	for i := range s.sets {
		if s.sets[i].used < t.used {
			t = &s.sets[i]
		}
	}
	return t
}

// encode computes the rows of a group around p.Row.
func (s *parityState) encode(set *parityRows, p *core.Packet, data []byte) {
	k := s.group(data, set.size, p.Group, nil)
	set.first = p.Row - p.Row%chunkRows
	e, n := s.codes.encoder(k, set.first)
	set.n = n
	for i := range n {
		if cap(set.rows[i]) < set.size {
			set.rows[i] = make([]byte, set.size)
		}
		set.rows[i] = set.rows[i][:set.size]
		s.shards[k+i] = set.rows[i]
	}
	must(e.Encode(s.shards[:k+n]))
	clear(s.shards)
}

// group points shards at the data symbols of a group, size bytes each, in place, and returns how many it has. What is not there has length 0 and
// room for a symbol, except that the last symbol stands in pad.
func (s *parityState) group(data []byte, size, group int, has func(sym int) bool) (k int) {
	if s.shards == nil {
		s.shards = make([][]byte, core.GroupRows)
	}
	if cap(s.pad) < size {
		s.pad = make([]byte, size)
	}
	s.pad = s.pad[:size]
	clear(s.shards)
	symbols := (len(data) + size - 1) / size
	for sym := group; sym < symbols; sym += core.Groups(symbols) {
		off := sym * size
		there := has == nil || has(sym)
		switch {
		case sym == symbols-1 && there:
			clear(s.pad[copy(s.pad, data[off:]):])
			s.shards[k] = s.pad
		case sym == symbols-1:
			s.shards[k] = s.pad[:0]
		case there:
			s.shards[k] = data[off : off+size]
		default:
			s.shards[k] = data[off : off : off+size]
		}
		k++
	}
	return k
}

// idle frees what is kept for sending, when all of it has been acknowledged.
func (s *parityState) idle() { s.sets = nil }

// heldParity is a parity symbol of a block that is not whole.
type heldParity struct {
	number int
	buf    *buffer
}

// keepParity stores the payload of a parity symbol that the core wants kept.
func (l *connLoop) keepParity(b *core.InBlock, number int, payload []byte) {
	buf := l.c.e.buffers.get(len(payload))
	l.charge(len(buf.data))
	copy(buf.data, payload)
	held, _ := b.Parity.(*[]heldParity)
	if held == nil {
		held = new([]heldParity)
		b.Parity = held
	}
	*held = append(*held, heldParity{number, buf})
}

// decode computes what is missing of a block, if anything, and gives the memory of its parity back.
func (l *connLoop) decode(b *core.InBlock, missing bool) {
	held, _ := b.Parity.(*[]heldParity)
	if held == nil {
		return
	}
	if missing {
		l.place(b, b.Size, nil) // nothing of it may have arrived but parity
		l.parity.restore(b.Ref.(*buffer).data[:b.Size], b.Symbol, b.Has, *held)
	}
	l.dropParity(b)
}

// dropParity gives back the memory of a block's parity.
func (l *connLoop) dropParity(b *core.InBlock) {
	held, _ := b.Parity.(*[]heldParity)
	if held == nil {
		return
	}
	for _, h := range *held {
		l.c.e.buffers.put(h.buf)
	}
	b.Parity = nil
}

// restore computes the symbols of a block, size bytes each, that are not there.
func (s *parityState) restore(data []byte, size int, has func(sym int) bool, held []heldParity) {
	symbols := (len(data) + size - 1) / size
	groups := core.Groups(symbols)
	for g := range groups {
		k := s.group(data, size, g, has)
		last := -1 // where the last symbol is computed
		lacks := false
		for i := range k {
			if len(s.shards[i]) == 0 {
				lacks = true
				if g+i*groups == symbols-1 {
					last = i
				}
			}
		}
		if !lacks {
			continue
		}
		for _, h := range held {
			if h.number%groups == g {
				s.shards[k+h.number/groups] = h.buf.data[:size]
			}
		}
		must(s.codes.decoder(k).ReconstructData(s.shards))
		if last >= 0 {
			copy(data[(symbols-1)*size:], s.shards[last])
		}
	}
	clear(s.shards)
}
