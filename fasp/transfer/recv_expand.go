package transfer

import (
	"errors"

	"github.com/tradewind-io/tradewind/fasp"
)

// errNotAgreed is about a peer that compresses without leave.
var errNotAgreed = errors.New("a block is compressed, which was not agreed")

// parse reads a block's header, and refuses a compressed one that was not agreed.
func (r *receiver) parse(b *fasp.Block) (blockHead, error) {
	h, err := parseBlock(b.Data)
	if err == nil && h.Compressed && !r.compressed.Load() {
		err = errNotAgreed
	}
	return h, err
}

// content owns what a block's payload stands in, once it is at its turn: the block itself, or the buffer that it was expanded to.
type content struct {
	r   *receiver
	b   *fasp.Block
	buf *inflater
}

// expand takes b over, makes h.Payload what it was before compression, and checks its hash. Where it was compressed the block
// is released here, so that a payload is never held twice: it stands in a buffer of which every worker holds one at most.
// h.Payload holds until the content is released, which must be done also after an error.
func (r *receiver) expand(b *fasp.Block, h *blockHead) (content, error) {
	c := content{r: r, b: b}
	if h.Compressed {
		buf, ok := r.inflaters.Get().(*inflater)
		if !ok {
			buf = new(inflater)
		}
		raw, err := buf.inflate(h.Payload, h.Raw)
		b.Release()
		h.Payload = nil
		c.b, c.buf = nil, buf
		if err != nil {
			return c, err
		}
		h.Payload, h.Compressed = raw, false
	}
	if hashBlock(h.Payload) != h.Hash {
		return c, errHash
	}
	return c, nil
}

var errHash = errors.New("it does not have its hash")

// release gives the memory back; the payload must not be used any more.
func (c *content) release() {
	if c.b != nil {
		c.b.Release()
	}
	if c.buf != nil {
		c.r.inflaters.Put(c.buf)
	}
	c.b, c.buf = nil, nil
}
