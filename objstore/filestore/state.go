package filestore

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/tradewind-io/tradewind/objstore"
)

// The state file of an upload:
//
//	8 bytes   "TWSTATE1"
//	4 bytes   length of what follows, big endian
//	          stateHeader as JSON
//	32 bytes  for each part, at its number; all zero if it is not there:
//	          size + 1 (8), nonce (8), CRC-32C of the bytes (4), number (8), CRC-32C of these 28 bytes (4)
//
// A part's record is written after its bytes are durable, and zeroed, durably, before they change. A record that was
// written in part only has a wrong checksum and counts as none.

const (
	stateMagic = "TWSTATE1"
	recordSize = 32
	maxHeader  = 256 << 10
	// maxParts bounds the state file.
	maxParts = 1 << 20
)

// stateHeader is what the upload was begun with.
type stateHeader struct {
	Upload objstore.Upload `json:"upload"`
	Key    []byte          `json:"key"` // that of Upload, whose bytes need not be text, which JSON wants
	Begun  time.Time       `json:"begun"`
	Attr   objstore.Attr   `json:"attr"`
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// encode returns the beginning of a state file.
func (h *stateHeader) encode() ([]byte, error) {
	kept := *h
	kept.Key, kept.Upload.Key = []byte(h.Upload.Key), ""
	body, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	if len(body) > maxHeader {
		return nil, &objstore.Error{Kind: objstore.Invalid, Err: fmt.Errorf("%d bytes of attributes are too many", len(body))}
	}
	b := append([]byte(stateMagic), 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b[len(stateMagic):], uint32(len(body)))
	return append(b, body...), nil
}

// errState is returned for a state file that is no such file, or was not written whole.
var errState = errors.New("not the state of an upload")

// readHeader reads the beginning of a state file, and says where the records begin.
func readHeader(r io.Reader) (h stateHeader, records int64, err error) {
	var fixed [len(stateMagic) + 4]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return h, 0, errState
	}
	n := binary.BigEndian.Uint32(fixed[len(stateMagic):])
	if string(fixed[:len(stateMagic)]) != stateMagic || n > maxHeader {
		return h, 0, errState
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return h, 0, errState
	}
	if json.Unmarshal(body, &h) != nil {
		return stateHeader{}, 0, errState
	}
	h.Upload.Key, h.Key = string(h.Key), nil
	if !h.Upload.Plan.Valid() || !valid(h.Upload.Key) || !validID(h.Upload.ID) {
		return stateHeader{}, 0, errState
	}
	return h, int64(len(fixed)) + int64(n), nil
}

// record is what is known of a durable part.
type record struct {
	size  int64
	nonce uint64 // tells this put of the part from others
	sum   uint32
}

// part is the record as an objstore.Part.
func (r record) part(n int) objstore.Part {
	return objstore.Part{N: n, Size: r.size, ETag: fmt.Sprintf(`"%08x-%016x"`, r.sum, r.nonce)}
}

func (r record) encode(n int) []byte {
	b := make([]byte, recordSize)
	binary.BigEndian.PutUint64(b[0:], uint64(r.size)+1)
	binary.BigEndian.PutUint64(b[8:], r.nonce)
	binary.BigEndian.PutUint32(b[16:], r.sum)
	binary.BigEndian.PutUint64(b[20:], uint64(n))
	binary.BigEndian.PutUint32(b[28:], castagnoli(b[:28]))
	return b
}

// decodeRecord reads the record of part n; ok is false if there is none.
func decodeRecord(b []byte, n int) (r record, ok bool) {
	size := binary.BigEndian.Uint64(b[0:])
	if size == 0 || size > 1<<62 || binary.BigEndian.Uint64(b[20:]) != uint64(n) || binary.BigEndian.Uint32(b[28:]) != castagnoli(b[:28]) {
		return record{}, false
	}
	return record{size: int64(size - 1), nonce: binary.BigEndian.Uint64(b[8:]), sum: binary.BigEndian.Uint32(b[16:])}, true
}

// readRecords reads all records up to the end.
func readRecords(r io.Reader) (map[int]record, error) {
	found := make(map[int]record)
	buf := make([]byte, 2048*recordSize)
	for n := 0; n < maxParts; {
		k, err := io.ReadFull(r, buf)
		for b := buf[:k]; len(b) >= recordSize; b = b[recordSize:] {
			if rec, ok := decodeRecord(b, n); ok {
				found[n] = rec
			}
			n++
		}
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
