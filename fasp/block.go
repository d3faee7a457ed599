package fasp

// MaxBlock is the largest block, in bytes (docs/protocol.md section 6).
const MaxBlock = 1 << 20

// A Block is the unit of data: up to MaxBlock bytes that are sent, acknowledged and placed together.
//
// On the sending side a Block comes from Session.NewBlock and belongs to the caller until SendBlock,
// which takes it over. On the receiving side it comes from ReceiveBlock and belongs to the caller until
// Release; its bytes count against the receive window, so holding a Block slows the sender.
// A Block is used by one goroutine at a time.
type Block struct {
	// Data is what travels. A sender may shorten it (Data = Data[:n]) before SendBlock; n of 0 is not sent.
	Data []byte
	// Extent is the last of the receiver's extents that this block needs: SendBlock waits until the receiver has
	// granted more than that (docs/protocol.md section 7). Extents are opened in order. Zero is the first extent,
	// which every receiver grants; receivers that gather no parts in memory grant all at once.
	// It is set by the sender before SendBlock and is not carried in packets: what an extent is, and which ones a block
	// takes, is between the layers above. On a received block it is zero.
	Extent uint64

	release func(*Block)
	via     Session // of a Bond, that it was leased from
}

// NewBlock returns a block of n bytes owned by the caller; release, which may be nil, is called once by
// Release. Transports and tests make blocks with it; senders take theirs from Conn.NewBlock.
func NewBlock(data []byte, release func(*Block)) *Block {
	return &Block{Data: data, release: release}
}

// Release gives the block's memory back. The block and its Data must not be used afterwards. A second
// Release does nothing.
func (b *Block) Release() {
	if f := b.release; f != nil {
		b.release = nil
		f(b)
	}
}
