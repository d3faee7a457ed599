package wire

// FrameBlockSize is the extension frame that tells how long blocks are (section 5.1).
const FrameBlockSize = 0x41

// MaxBlock is the largest block, in bytes (section 6).
const MaxBlock = 1 << 20

// FeatureParity is the bit of transport parameter 7 for parity symbols (section 4.5).
const FeatureParity = 1 << 0

// AppendBlockSize appends one pair to the body of a BLOCK_SIZE frame.
func AppendBlockSize(b []byte, block uint32, size int) []byte {
	return AppendUvarint(AppendUvarint(b, uint64(block)), uint64(size))
}

// ReadBlockSizes calls f for each pair in the body of a BLOCK_SIZE frame until f returns an error, which is returned.
// The error of a body that is malformed is ErrMalformed.
func ReadBlockSizes(body []byte, f func(block uint32, size int) error) error {
	for r := NewReader(body); r.Len() > 0; {
		block, size := r.Uvarint(), r.Uvarint()
		if r.Err() != nil || block >= 1<<32 || size == 0 || size > MaxBlock {
			return ErrMalformed
		}
		if err := f(uint32(block), int(size)); err != nil {
			return err
		}
	}
	return nil
}
