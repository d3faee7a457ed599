package transfer

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tradewind-io/tradewind/fasp"
)

// squeezer is what the workers of a sender know together about compression.
type squeezer struct {
	presses sync.Pool    // of *press, so that not every file makes one
	working atomic.Int32 // presses in use

	mu    sync.Mutex // protects the rest
	mode  Compression
	gauge gauge
	rtt   time.Duration // when the transport was last asked
}

// agreed takes what holds between the two sides. Until it is called, nothing is compressed.
func (z *squeezer) agreed(c Compression) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.mode = c
}

// press makes blocks of content, compressed where that is agreed and pays. One worker uses it, for one file at a time or
// for packs, and one block at a time: begin, then send or drop.
type press struct {
	s *sender
	d deflater
	q squeeze

	b     *fasp.Block // nil: raw is scratch space, and the block is leased when its length is known
	raw   []byte      // the content, to be filled between begin and send
	began time.Time
	wait  time.Duration // that the transport let us wait since

	reads sizedReader // of the file

	packed int           // bytes of a pack before compression
	took   time.Duration // to compress it
	tried  bool          // that was done, whatever came of it
}

// press returns one for a file, or for packs; it must be given to putPress.
func (s *sender) press() *press {
	p, ok := s.squeezer.presses.Get().(*press)
	if !ok {
		p = &press{s: s}
	}
	p.q = squeeze{}
	s.squeezer.working.Add(1)
	return p
}

func (s *sender) putPress(p *press) {
	s.squeezer.working.Add(-1)
	p.reads.forget()
	s.squeezer.presses.Put(p)
}

// wants says whether the next block is to be compressed.
func (p *press) wants(now time.Time) bool {
	z := &p.s.squeezer
	z.mu.Lock()
	defer z.mu.Unlock()
	switch {
	case z.mode == CompressionOff:
		return false
	case z.mode == CompressionAlways:
		return true
	case z.gauge.sounding(now, z.rtt):
		p.q.again()
		return false
	}
	return p.q.next()
}

// begin makes raw ready for n bytes of content. It waits for the transport, or send does.
func (p *press) begin(ctx context.Context, n int) (err error) {
	p.began, p.wait = time.Now(), 0
	if p.wants(p.began) {
		p.raw = p.d.scratch(n)
		return nil
	}
	if err := p.lease(ctx, n); err != nil {
		return err
	}
	p.raw = p.b.Data[blockHeader:]
	return nil
}

func (p *press) lease(ctx context.Context, n int) (err error) {
	t := time.Now()
	p.b, err = p.s.sess.NewBlock(ctx, blockHeader+n)
	p.wait += time.Since(t)
	return err
}

// cut leaves n bytes of raw, at least 1: there is no more content.
func (p *press) cut(n int) { p.raw = p.raw[:n] }

// drop gives the block up.
func (p *press) drop() {
	if p.b != nil {
		p.b.Release()
	}
	p.b, p.raw = nil, nil
}

// send sends raw as the block of f at off. The press is free for the next one, also after an error.
func (p *press) send(ctx context.Context, f *sfile, c *partCursor, off int64) (blockHash, error) {
	s, n := p.s, len(p.raw)
	defer func() { p.b, p.raw = nil, nil }()
	hash := hashBlock(p.raw)
	prepare := time.Since(p.began) - p.wait
	var took time.Duration
	compressed, tried := false, p.b == nil
	if tried {
		payload, t, err := p.deflate(p.raw)
		if err != nil {
			return hash, err
		}
		took = t
		compressed = len(payload) < n
		if err := p.lease(ctx, len(payload)); err != nil {
			return hash, err
		}
		copy(p.b.Data[blockHeader:], payload)
	} else {
		p.b.Data = p.b.Data[:blockHeader+n]
	}
	b := p.b
	x, err := s.open(f, c, off, n)
	if err != nil {
		b.Release()
		return hash, err
	}
	putHead(b.Data, &blockHead{Kind: blockRange, Compressed: compressed, File: f.id, Offset: off, Extent: x, Raw: n, Hash: hash})
	b.Extent = x.last
	wire := int64(len(b.Data)) // the transport has the block afterwards
	t := time.Now()
	if err := s.sess.SendBlock(ctx, b); err != nil {
		return hash, err
	}
	p.wait += time.Since(t)
	p.spent(n, int(wire)-blockHeader, prepare, took, tried)
	s.mu.Lock()
	f.bytes += int64(n)
	s.mu.Unlock()
	s.rep.bytesSent.Add(int64(n))
	s.rep.bytesOnWire.Add(wire)
	s.rep.progress.Add(int64(n))
	return hash, nil
}

// deflate returns the payload for raw: compressed if that makes it smaller by enough, else raw. took is 0 if it says nothing.
func (p *press) deflate(raw []byte) (payload []byte, took time.Duration, err error) {
	cold := p.d.enc == nil // making its tables counts for the first block alone
	t := time.Now()
	out, err := p.d.deflate(raw)
	if err != nil {
		return nil, 0, fail(CodeInternal, "compress", "", err)
	}
	if !cold {
		took = max(time.Since(t), 1)
	}
	least := squeezeLeast
	p.s.squeezer.mu.Lock()
	if p.s.squeezer.mode == CompressionAlways {
		least = 1
	}
	p.s.squeezer.mu.Unlock()
	if float64(len(out))*least >= float64(len(raw)) {
		return raw, took, nil
	}
	return out, took, nil
}

// spent learns from a block of n bytes that took wire bytes; tried is whether it was compressed, whatever came of it.
func (p *press) spent(n, wire int, prepare, took time.Duration, tried bool) {
	z := &p.s.squeezer
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.mode != CompressionAuto {
		return
	}
	z.gauge.spent(n, prepare, took, p.wait)
	if !tried {
		return
	}
	st := p.s.sess.Stats()
	z.rtt = st.RTT
	ratio := float64(n) / float64(wire)
	expected := ratio
	if ratio < squeezeLeast {
		expected = 2 // of what may come next
	}
	pays := z.gauge.pays(expected, route{
		rate: float64(st.Rate) / 8 * blockShare * (1 - st.Loss), drain: float64(st.Drain) / 8,
		hands: float64(min(int(z.working.Load()), runtime.GOMAXPROCS(0))),
	})
	p.q.tried(ratio, pays)
}

// blockShare is about what packets carry of blocks, of their IP bytes.
const blockShare = 0.96

// pack compresses the pack in b in place, if that is agreed and pays, and writes its header. The lease stays that of the
// whole pack: a second block could not be waited for while this one is held. sendPack follows.
func (p *press) pack(b *fasp.Block, files int) error {
	p.began, p.wait, p.packed, p.took = time.Now(), 0, len(b.Data)-blockHeader, 0
	raw := b.Data[blockHeader:]
	h := blockHead{Kind: blockPack, File: uint64(files), Raw: len(raw), Hash: hashBlock(raw)}
	if p.tried = p.wants(p.began); p.tried {
		payload, took, err := p.deflate(raw)
		if err != nil {
			return err
		}
		if h.Compressed = len(payload) < len(raw); h.Compressed {
			b.Data = b.Data[:blockHeader+copy(raw, payload)]
		}
		p.took = took
	}
	putHead(b.Data, &h)
	return nil
}

// sendPack takes over b, which pack made.
func (p *press) sendPack(ctx context.Context, b *fasp.Block) error {
	wire := len(b.Data)
	if err := p.s.sess.SendBlock(ctx, b); err != nil {
		return err
	}
	p.s.rep.bytesOnWire.Add(int64(wire))
	p.wait = time.Since(p.began) - p.took
	p.spent(p.packed, wire-blockHeader, 0, p.took, p.tried)
	return nil
}
