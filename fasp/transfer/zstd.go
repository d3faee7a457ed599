package transfer

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// deflater compresses payloads, one at a time. It holds about 2 MiB, and nothing is allocated for a payload once it has its
// buffers. The zero value is ready for use.
type deflater struct {
	enc *zstd.Encoder
	raw []byte // what is read before it is known how long its block becomes
	out []byte
}

// scratch returns a buffer for n bytes, which holds until the next call.
func (d *deflater) scratch(n int) []byte {
	if cap(d.raw) < n {
		d.raw = make([]byte, n)
	}
	return d.raw[:n]
}

// deflate returns raw as one zstd frame, which holds until the next call.
func (d *deflater) deflate(raw []byte) ([]byte, error) {
	if d.enc == nil {
		var err error
		// The window is the payload itself, and the block's hash covers it, so the frame needs neither window nor checksum.
		d.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(largestWindow), zstd.WithSingleSegment(true))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
	}
	if room := len(raw) + len(raw)>>8 + 64; cap(d.out) < room { // what does not compress grows by a little
		d.out = make([]byte, 0, room)
	}
	d.out = d.enc.EncodeAll(raw, d.out[:0])
	return d.out, nil
}

// largestWindow is that of the largest payload, as a power of two.
const largestWindow = 1 << 20

// inflater expands payloads, one at a time. It holds the decoder's tables and one payload. The zero value is ready for use.
type inflater struct {
	dec *zstd.Decoder
	out []byte
}

var errFrame = errors.New("the compressed payload is not one sound zstd frame of its raw length")

// inflate returns the raw bytes of a frame, which are n, at most maxBlockSize, and hold until the next call. It never
// writes or allocates more than n bytes for them, whatever the frame says.
func (i *inflater) inflate(frame []byte, n int) ([]byte, error) {
	if err := checkFrame(frame, n); err != nil {
		return nil, err
	}
	if i.dec == nil {
		var err error
		i.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxBlockSize),
			zstd.WithDecoderMaxWindow(largestWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
	}
	if cap(i.out) < n {
		i.out = make([]byte, n)
	}
	out, err := i.dec.DecodeAll(frame, i.out[:0:n])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	if len(out) != n {
		return nil, errFrame
	}
	return out, nil
}

// checkFrame refuses all but one frame, without dictionary, that says that its content is n bytes, and that its window is no larger. The decoder
// alone would also take frames behind one another, some of which carry what is skipped.
func checkFrame(b []byte, n int) error {
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	if h.Skippable || h.DictionaryID != 0 || !h.HasFCS || h.FrameContentSize != uint64(n) || !h.SingleSegment {
		return errFrame
	}
	b = b[h.HeaderSize:]
	// Blocks: 1 bit last, 2 bits type, 21 bits size, little endian (RFC 8878 section 3.1.1.2).
	for last := false; !last; {
		if len(b) < 3 {
			return errFrame
		}
		v := uint32(binary.LittleEndian.Uint16(b)) | uint32(b[2])<<16
		last = v&1 != 0
		size := int(v >> 3)
		if v>>1&3 == 1 { // a byte that is repeated
			size = 1
		}
		if size > len(b)-3 {
			return errFrame
		}
		b = b[3+size:]
	}
	if h.HasCheckSum {
		if len(b) < 4 {
			return errFrame
		}
		b = b[4:]
	}
	if len(b) > 0 {
		return errFrame
	}
	return nil
}
