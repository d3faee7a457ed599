package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/zeebo/blake3"
)

// sliceNote is what the note says.
type sliceNote struct {
	whole, mtime int64
	count        int
	set          [16]byte // random, and in the state of each slice: states of an earlier set count for nothing
	ino          uint64   // of the temporary file
}

const (
	sliceNoteMagic = "TWSLICE1"
	sliceNoteSize  = len(sliceNoteMagic) + 8 + 8 + 8 + 16 + 8 + checkpointSum
	sliceNoteDone  = "TWSLICED" // all that the note says once the file has its name
	stateHead      = 17         // bytes in front of a slice's checkpoint: the set, and whether the slice is whole
)

func (n *sliceNote) encode() []byte {
	b := append(make([]byte, 0, sliceNoteSize), sliceNoteMagic...)
	b = binary.BigEndian.AppendUint64(b, uint64(n.whole))
	b = binary.BigEndian.AppendUint64(b, uint64(n.mtime))
	b = binary.BigEndian.AppendUint64(b, uint64(n.count))
	b = append(b, n.set[:]...)
	b = binary.BigEndian.AppendUint64(b, n.ino)
	sum := blake3.Sum256(b)
	return append(b, sum[:checkpointSum]...)
}

func decodeSliceNote(b []byte) (n sliceNote, ok bool) {
	if len(b) != sliceNoteSize || string(b[:len(sliceNoteMagic)]) != sliceNoteMagic {
		return n, false
	}
	body, want := b[:len(b)-checkpointSum], b[len(b)-checkpointSum:]
	if sum := blake3.Sum256(body); !bytes.Equal(sum[:checkpointSum], want) {
		return n, false
	}
	body = body[len(sliceNoteMagic):]
	n.whole, n.mtime = int64(binary.BigEndian.Uint64(body)), int64(binary.BigEndian.Uint64(body[8:]))
	count := binary.BigEndian.Uint64(body[16:])
	copy(n.set[:], body[24:])
	n.ino = binary.BigEndian.Uint64(body[40:])
	n.count = int(min(count, MaxParts+1))
	return n, n.whole > 0 && n.count >= 2 && n.count <= MaxParts
}

// sliceStates are the names of the states of all slices of the file base, of which there are count.
func sliceStates(base string, count int) []string {
	names := make([]string, count)
	for i := range names {
		names[i] = sliceState(base, i+1)
	}
	return names
}

// sliceState is the name of the state of slice i of the file base.
func sliceState(base string, i int) string {
	return partialName(base, fmt.Sprintf("%0*x", 2*tagBytes, i), stateSuffix)
}

func readNote(f *os.File) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(f, 0, int64(sliceNoteSize)+1))
}

// dropSlices removes what several jobs have left of base, if there is a note: what stands under its temporary name is about to be overwritten.
func dropSlices(r *os.Root, base string) error {
	name := partialName(base, "", noteSuffix)
	f, err := openState(r, name)
	var set sliceNote
	if err == nil {
		var b []byte
		b, err = readNote(f)
		set, _ = decodeSliceNote(b)
		err = errors.Join(err, f.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return forget(r, append(sliceStates(base, set.count), name)...)
}

// forget removes those of the names that are there, and then returns when their end is on the disk: other data may be written from then on.
func forget(r *os.Root, names ...string) error {
	gone := false
	for _, name := range names {
		err := r.Remove(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		gone = gone || err == nil
	}
	if !gone {
		return nil
	}
	f, err := r.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(syncFolder(f), f.Close())
}
