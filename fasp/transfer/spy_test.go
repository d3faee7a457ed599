package transfer

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
)

// spy watches what one end of a session sends.
type spy struct {
	fasp.Session
	t testing.TB

	mu      sync.Mutex
	prev    string
	names   map[uint64]string
	blocks  map[string][]int64 // offsets of range blocks sent, by file name
	packed  map[string]int     // times a small file was sent
	entries []entry
}

func newSpy(t testing.TB, s fasp.Session) *spy {
	return &spy{Session: s, t: t, names: make(map[uint64]string), blocks: make(map[string][]int64), packed: make(map[string]int)}
}

func (s *spy) SendMessage(ctx context.Context, msg []byte) error {
	s.mu.Lock()
	for rest := msg; len(rest) > 0; {
		typ, body, after, err := nextRecord(rest)
		require.NoError(s.t, err)
		rest = after
		if typ == recEntry {
			e, err := decodeEntry(body, s.prev)
			require.NoError(s.t, err)
			s.prev = e.Name
			s.names[e.ID] = e.Name
			s.entries = append(s.entries, *e)
		}
	}
	s.mu.Unlock()
	return s.Session.SendMessage(ctx, msg)
}

func (s *spy) SendBlock(ctx context.Context, b *fasp.Block) error {
	h, err := parseBlock(b.Data)
	require.NoError(s.t, err)
	if h.Compressed {
		h.Payload, err = new(inflater).inflate(h.Payload, h.Raw)
		require.NoError(s.t, err)
	}
	s.mu.Lock()
	switch h.Kind {
	case blockZeros:
		name := s.names[h.File]
		for _, e := range s.entries {
			for off := h.Offset; e.ID == h.File && off < h.Offset+h.Zeros; off += int64(e.BlockSize) {
				s.blocks[name] = append(s.blocks[name], off)
			}
		}
	case blockRange:
		// The id may be announced in a message that has not left yet: names are looked up later.
		s.blocks[s.names[h.File]] = append(s.blocks[s.names[h.File]], h.Offset)
	default:
		require.NoError(s.t, eachPacked(h.Payload, h.File, func(p *packed) error { s.packed[p.Name]++; return nil }))
	}
	s.mu.Unlock()
	return s.Session.SendBlock(ctx, b)
}
