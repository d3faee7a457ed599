package core

import "github.com/tradewind-io/tradewind/fasp/internal/wire"

// cutIn learns how a block is cut, when the first of its symbols arrives, or begins it again with smaller symbols, which it does twice at
// most (docs/protocol.md section 6.2). The bytes are the same however it is cut, so what fills such symbols stays.
func (c *Conn) cutIn(b *InBlock, class int, r *DataResult) error {
	symbol := c.sizes[class]
	if b.Size > symbol*maxSymbols {
		return protocolError("block of too many symbols")
	}
	if b.Symbol != 0 {
		if class != wire.ClassOrdinary && class != wire.ClassSmall {
			return protocolError("block begun again at a size class for new blocks only")
		}
		b.got, b.nGot = b.got.recut(b.Symbol, symbol, b.Size)
		if q := b.parity; q != nil {
			c.parityHeld -= int64(q.kept) * int64(b.Symbol)
			b.parity = nil
		}
		r.Restarted = b
	}
	b.Symbol = symbol
	b.total = (b.Size + symbol - 1) / symbol
	return nil
}
