package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tradewind-io/tradewind/fasp"
)

// wireVersion is the version of the records below (docs/protocol-transfer.md section 21).
const wireVersion = 1

// Limits of the wire (docs/protocol-transfer.md section 21.3). All are checked while decoding.
const (
	maxName    = 4096 // bytes of a path or link target
	maxText    = 1024 // bytes of an error text
	maxRoots   = 256  // names in a request
	maxFilters = 1024 // rules in a request
	// maxFilterBytes bounds the patterns of a request together: each is tried with each file's name.
	maxFilterBytes = 16 << 10
	maxSources     = 1 << 20 // sources of a download
	maxPieces      = 1024    // pieces of a comparison
	maxRanges      = 2048    // ranges in one record
	maxFileSize    = 1<<62 - 1
	streamSize     = maxFileSize + 1 // stands for a size that is not known yet; never on the wire
	maxID          = 1<<48 - 1
	maxRecord      = fasp.MaxMessage - 16 // bytes of a record's body
	minBlockSize   = 16 << 10
	maxBlockSize   = fasp.MaxBlock - 4096 // leaves room for the block header, keeps blocks page-aligned
	// idWindow is how far beyond the lowest unresolved file id a sender may number files (section 22.3).
	idWindow = 1 << 24
)

// Record types (section 22).
const (
	recRequest = 1
	recAnswer  = 2
	recSources = 3
	recEntry   = 4
	recFileEnd = 5
	recFail    = 6
	recEnd     = 7
	recTotals  = 8

	recWant      = 16
	recSkip      = 17
	recHave      = 18
	recCompare   = 19
	recConfirm   = 20
	recFileError = 21
	recDone      = 22
	recWaits     = 24
)

var errWire = errors.New("malformed record")

// Request flags (section 22.1).
const (
	flagRetry       = 1 << iota // continues a run: partial files of the run resume whatever the level
	flagFresh                   // download: the client's destination holds nothing
	flagCreateDir               // -d: the destination is a folder
	flagSingle                  // one source, not from a list: the destination may be a file name
	flagMtime                   // set modification times
	flagAtime                   // set access times
	flagMode                    // set permission bits exactly
	flagAsk                     // upload: the sender waits for an answer to each announcement
	flagSkipSpecial             // special files are left out without an error
	flagMeasure                 // the server's side is memory: what comes is forgotten, what goes is made up
)

type id16 [16]byte

// request opens a session at this layer (section 22.1).
type request struct {
	Version   uint64
	Direction Direction
	Job       id16   // the same for every attempt at the same work
	Run       uint64 // the same for every session of one Run
	Flags     uint64
	Resume    uint64 // 0 to 3
	Overwrite Overwrite
	Symlinks  Symlinks
	Checksum  Checksum
	Durable   Durability
	BlockSize uint64
	Policy    uint64 // download: what the server's sending is asked to do
	Target    uint64
	Min       uint64
	Dest      string   // upload: where to
	SrcBase   string   // download
	Roots     []string // upload: the top-level names that will come; empty if too many
	Filters   []Filter // download
	Sources   uint64   // download: how many sources follow in recSources
	Parts     partRule // download: how the destination takes files
	Part      Part     // of the files that are wanted; zero is all
	// Split is the size from which files are divided among the parts instead of belonging to one, in bytes; 0 is never.
	Split uint64
	// Compression is what the client offers for the data, whichever way it goes.
	Compression Compression
	// ReadSize and WriteSize are those of the Spec, for whichever side reads or writes.
	ReadSize, WriteSize uint64
	Folder              string // id of the folder at the server that paths are below, "" for its top
	Cookie, Title       string // for reports
	Tags                []byte // JSON, nil if there are none
}

// answer is the server's one reply to a request (section 22.2).
type answer struct {
	Version uint64
	Session id16
	Flags   uint64   // flagFresh: nothing at the destination, no per-file answers will come
	MaxRate uint64   // bit/s, the server's cap, 0 = none
	Parts   partRule // upload: how the destination takes files
	// Compression is what holds: what the client offered, or off.
	Compression Compression
}

// source is one thing to send; Dest is empty unless the job lists pairs.
type source struct{ Source, Dest string }

// kind is what an entry is.
type kind uint8

const (
	kindFile kind = iota
	kindDir
	kindLink
)

// entry announces one file, folder or link (section 22.3).
type entry struct {
	ID        uint64
	Kind      kind
	Small     bool // the file will ride in a pack
	Name      string
	Size      int64
	Mode      uint32 // permission bits
	Mtime     int64  // nanoseconds since 1970
	Atime     int64
	Stream    bool   // the size is not known yet; Size is streamSize then, and the end of the file says it
	BlockSize int    // files: bytes of each block but the last
	Target    string // links
	Sparse    bool   // the file takes less room than its size: runs of zeros may come for it, and its room is not reserved
	Sliced    bool   // the job has a slice of the file; Size is that of the whole on the wire, and of the slice once request.cut has seen it
	Origin    string // where a file stands in the sender's store, if it was asked to tell
}

// fileEnd says that all blocks of a file that the sender owes were handed to the transport (section 22.4).
type fileEnd struct {
	ID     uint64
	Same   bool  // the comparison found the receiver's own copy equal; no blocks are owed
	Have   bool  // the receiver's have record was seen: Root covers only blocks outside it
	Size   int64 // of a stream, else 0
	Root   [rootSize]byte
	Digest []byte
}

// failure is a file that fails: recFail from the sender, recFileError from the receiver (section 22.5).
type failure struct {
	ID   uint64
	Code Code
	Name string
	Text string
}

// totals is what the sender has found so far; End carries the final ones and the last file id.
type totals struct {
	LastID       uint64
	Files, Bytes uint64
}

// span is ids or block indexes First to First+Count-1.
type span struct{ First, Count uint64 }

// have lists blocks that the receiver holds; with More, another record for the same file follows.
type have struct {
	ID    uint64
	More  bool
	Spans []span
	Part  int64 // size of the parts of this file, 0 = by the rule
}

// piece is one stretch of the receiver's existing file and its hash.
type piece struct {
	Off  int64
	Len  int64
	Hash blockHash
}

// compare asks the sender whether its file has these pieces (section 22.7).
type compare struct {
	ID     uint64
	Pieces []piece
}

// maxPiece bounds the bytes a comparison asks to hash at a time.
const maxPiece = 1 << 40

// waits says of a divided file that its slice is there, and that Missing others are not.
type waits struct {
	ID      uint64
	Missing int
}

func (x *waits) encode() []byte {
	var w wr
	w.num(x.ID)
	w.num(uint64(x.Missing))
	return w.b
}

func decodeWaits(b []byte) (*waits, error) {
	r := rd{b: b}
	x := &waits{ID: r.num(maxID), Missing: int(r.num(MaxParts))}
	return x, r.err("waits")
}

// done ends the job (section 22.8).
type done struct {
	Confirmed, Skipped, Failed uint64
}

// wr appends wire values.
type wr struct{ b []byte }

func (w *wr) num(v uint64)   { w.b = binary.AppendUvarint(w.b, v) }
func (w *wr) snum(v int64)   { w.b = binary.AppendVarint(w.b, v) }
func (w *wr) raw(p []byte)   { w.b = append(w.b, p...) }
func (w *wr) str(s string)   { w.num(uint64(len(s))); w.b = append(w.b, s...) }
func (w *wr) flag(v bool)    { w.num(b2u(v)) }
func (w *wr) bytes(p []byte) { w.num(uint64(len(p))); w.b = append(w.b, p...) }
func (w *wr) spans(s []span) { w.num(uint64(len(s))); w.spanList(s) }
func (w *wr) spanList(s []span) {
	next := uint64(0)
	for _, r := range s { // ascending: each start is a distance from the end of the one before
		w.num(r.First - next)
		w.num(r.Count)
		next = r.First + r.Count
	}
}

func b2u(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

// rd reads wire values; after a fault it returns zeros and bad is set.
type rd struct {
	b   []byte
	bad bool
}

func (r *rd) num(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *rd) snum() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *rd) raw(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *rd) fill(dst []byte)        { copy(dst, r.raw(len(dst))) }
func (r *rd) bytes(limit int) []byte { return r.raw(int(r.num(uint64(limit)))) }
func (r *rd) str(limit int) string   { return string(r.bytes(limit)) }
func (r *rd) flag() bool             { return r.num(1<<62) != 0 }

// count reads a number of things that take at least each bytes apiece, so that a slice made for them
// is never larger than a small multiple of the input.
func (r *rd) count(limit uint64, each int) int {
	n := r.num(limit)
	if n > uint64(len(r.b)/each) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *rd) spans(limit uint64) []span {
	n := r.count(maxRanges, 2)
	out := make([]span, 0, n)
	next := uint64(0)
	for range n {
		first := next + r.num(limit)
		c := r.num(limit)
		if r.bad || c == 0 || first > limit || first+c-1 > limit {
			r.bad = true
			return nil
		}
		out = append(out, span{first, c})
		next = first + c
	}
	return out
}

func (r *rd) err(what string) error {
	if r.bad {
		return fmt.Errorf("%s: %w", what, errWire)
	}
	return nil
}

// appendRecord puts one record into a message (section 21.2).
func appendRecord(msg []byte, typ uint64, body []byte) []byte {
	msg = binary.AppendUvarint(msg, typ)
	msg = binary.AppendUvarint(msg, uint64(len(body)))
	return append(msg, body...)
}

// nextRecord takes one record off the front of msg.
func nextRecord(msg []byte) (typ uint64, body, rest []byte, err error) {
	r := rd{b: msg}
	typ = r.num(1<<62 - 1)
	body = r.bytes(fasp.MaxMessage)
	if r.bad {
		return 0, nil, nil, fmt.Errorf("message: %w", errWire)
	}
	return typ, body, r.b, nil
}

func (q *request) rates() fasp.Rates {
	return fasp.Rates{Policy: fasp.Policy(q.Policy), Target: fasp.Rate(q.Target), Min: fasp.Rate(q.Min)}
}

func (q *request) resume() ResumeLevel {
	l, _ := ResumeFromLevel(int(q.Resume)) // what was decoded is one
	return l
}

func (q *request) encode() []byte {
	var w wr
	w.num(q.Version)
	w.num(uint64(q.Direction))
	w.raw(q.Job[:])
	w.num(q.Run)
	w.num(q.Flags)
	w.num(q.Resume)
	w.num(uint64(q.Overwrite))
	w.num(uint64(q.Symlinks))
	w.num(uint64(q.Checksum))
	w.num(uint64(q.Durable))
	w.num(q.BlockSize)
	w.num(q.Policy)
	w.num(q.Target)
	w.num(q.Min)
	w.str(q.Dest)
	w.str(q.SrcBase)
	w.num(uint64(len(q.Roots)))
	for _, s := range q.Roots {
		w.str(s)
	}
	w.num(uint64(len(q.Filters)))
	for _, f := range q.Filters {
		w.flag(f.Exclude)
		w.str(f.Pattern)
	}
	w.num(q.Sources)
	q.Parts.put(&w)
	w.num(uint64(q.Part.Index))
	w.num(uint64(q.Part.Count))
	q.Compression.put(&w)
	w.num(q.ReadSize)
	w.num(q.WriteSize)
	w.num(q.Split)
	w.str(q.Folder)
	w.str(q.Cookie)
	w.str(q.Title)
	w.bytes(q.Tags)
	return w.b
}

func decodeRequest(b []byte) (*request, error) {
	r := rd{b: b}
	q := &request{Version: r.num(1<<62 - 1)}
	if !r.bad && q.Version != wireVersion {
		// What follows may mean anything; the caller refuses by version.
		return q, nil
	}
	q.Direction = Direction(r.num(uint64(manage)))
	r.fill(q.Job[:])
	q.Run = r.num(1<<64 - 1)
	q.Flags = r.num(1<<64 - 1)
	q.Resume = r.num(3)
	q.Overwrite = Overwrite(r.num(uint64(len(overwriteNames) - 1)))
	q.Symlinks = Symlinks(r.num(uint64(len(symlinkNames) - 1)))
	q.Checksum = Checksum(r.num(uint64(len(checksumNames) - 1)))
	q.Durable = Durability(r.num(uint64(len(durabilityNames) - 1)))
	q.BlockSize = r.num(maxBlockSize)
	q.Policy = r.num(uint64(fasp.Fixed))
	q.Target = r.num(uint64(MaxRate))
	q.Min = r.num(uint64(MaxRate))
	q.Dest = r.str(maxName)
	q.SrcBase = r.str(maxName)
	for range r.count(maxRoots, 1) {
		q.Roots = append(q.Roots, r.str(maxName))
	}
	for range r.count(maxFilters, 2) {
		q.Filters = append(q.Filters, Filter{Exclude: r.flag(), Pattern: r.str(maxName)})
	}
	if checkFilters(q.Filters) != nil {
		r.bad = true
	}
	q.Sources = r.num(maxSources)
	q.Parts.take(&r)
	q.Part.Index, q.Part.Count = int(r.num(MaxParts)), int(r.num(MaxParts))
	if !q.Part.valid() {
		r.bad = true
	}
	q.Compression.take(&r)
	q.ReadSize, q.WriteSize = r.num(MaxIOSize), r.num(MaxIOSize)
	if !validIOSize(q.ReadSize) || !validIOSize(q.WriteSize) {
		r.bad = true
	}
	q.Split = r.num(maxFileSize)
	q.Folder, q.Cookie, q.Title = r.str(maxFolder), r.str(MaxLabel), r.str(MaxLabel)
	if q.Tags = bytes.Clone(r.bytes(MaxTags)); len(q.Tags) > 0 && checkTags(q.Tags) != nil {
		r.bad = true
	}
	if !r.bad && !validBlockSize(q.BlockSize) || q.divides() && q.Checksum != ChecksumNone {
		r.bad = true
	}
	return q, r.err("request")
}

// compressionWire are the numbers on the wire, on which nothing said is none.
var compressionWire = [...]uint64{CompressionOff: 0, CompressionAuto: 1, CompressionAlways: 2}

func (c Compression) put(w *wr) { w.num(compressionWire[c]) }

func (c *Compression) take(r *rd) {
	*c = Compression(max(0, slices.Index(compressionWire[:], r.num(2))))
	if r.bad {
		*c = CompressionOff
	}
}

func validBlockSize(n uint64) bool {
	return n >= minBlockSize && n <= maxBlockSize && n%4096 == 0
}

// validIOSize says whether n is a size of reads or writes, or 0 for none.
func validIOSize(n uint64) bool { return n == 0 || n >= MinIOSize && n <= MaxIOSize }

func (a *answer) encode() []byte {
	var w wr
	w.num(a.Version)
	w.raw(a.Session[:])
	w.num(a.Flags)
	w.num(a.MaxRate)
	a.Parts.put(&w)
	a.Compression.put(&w)
	return w.b
}

func decodeAnswer(b []byte) (*answer, error) {
	r := rd{b: b}
	a := &answer{Version: r.num(1<<62 - 1)}
	r.fill(a.Session[:])
	a.Flags = r.num(1<<64 - 1)
	a.MaxRate = r.num(1<<62 - 1)
	a.Parts.take(&r)
	a.Compression.take(&r)
	return a, r.err("answer")
}

func encodeSources(list []source) []byte {
	var w wr
	w.num(uint64(len(list)))
	for _, s := range list {
		w.str(s.Source)
		w.str(s.Dest)
	}
	return w.b
}

func decodeSources(b []byte) ([]source, error) {
	r := rd{b: b}
	var out []source
	for range r.count(maxSources, 2) {
		out = append(out, source{r.str(maxName), r.str(maxName)})
	}
	return out, r.err("sources")
}

// Entry flags on the wire.
const (
	entryKindMask = 3
	entrySmall    = 4
	entryAtime    = 8
	entryStream   = 16
	entryOrigin   = 32
	entrySparse   = 64
	entrySliced   = 128
)

// encode writes e with its name shortened by what it shares with prev, the name of the entry before it
// in the session.
func (e *entry) encode(prev string) []byte {
	var w wr
	w.num(e.ID)
	f := uint64(e.Kind)
	if e.Small {
		f |= entrySmall
	}
	if e.Atime != 0 {
		f |= entryAtime
	}
	if e.Stream {
		f |= entryStream
	}
	if e.Origin != "" {
		f |= entryOrigin
	}
	if e.Sparse {
		f |= entrySparse
	}
	if e.Sliced {
		f |= entrySliced
	}
	w.num(f)
	encodeName(&w, prev, e.Name)
	w.num(uint64(e.Mode))
	w.snum(e.Mtime)
	if e.Atime != 0 {
		w.snum(e.Atime)
	}
	switch e.Kind {
	case kindFile:
		if !e.Stream {
			w.num(uint64(e.Size))
		}
		w.num(uint64(e.BlockSize))
		if e.Origin != "" {
			w.str(e.Origin)
		}
	case kindLink:
		w.str(e.Target)
	}
	return w.b
}

func decodeEntry(b []byte, prev string) (*entry, error) {
	r := rd{b: b}
	e := &entry{ID: r.num(maxID)}
	f := r.num(1<<62 - 1)
	e.Kind = kind(f & entryKindMask)
	e.Small = f&entrySmall != 0
	e.Sparse = f&entrySparse != 0
	e.Sliced = f&entrySliced != 0
	e.Name = decodeName(&r, prev)
	e.Mode = uint32(r.num(0o7777))
	e.Mtime = r.snum()
	if f&entryAtime != 0 {
		e.Atime = r.snum()
	}
	switch e.Kind {
	case kindFile:
		e.Stream = f&entryStream != 0
		if e.Size = streamSize; !e.Stream {
			e.Size = int64(r.num(maxFileSize))
		}
		bs := r.num(maxBlockSize)
		if !r.bad && !validBlockSize(bs) {
			r.bad = true
		}
		e.BlockSize = int(bs)
		if f&entryOrigin != 0 {
			if e.Origin = r.str(maxName); e.Origin == "" {
				r.bad = true
			}
		}
	case kindLink:
		e.Target = r.str(maxName)
	case kindDir:
	default:
		r.bad = true
	}
	if e.ID == 0 || e.Small && e.Size > smallFile || f&entryStream != 0 && e.Kind != kindFile ||
		(e.Sparse || e.Sliced) && (e.Kind != kindFile || e.Small || e.Stream) {
		r.bad = true
	}
	return e, r.err("entry")
}

func encodeName(w *wr, prev, name string) {
	n := 0
	for n < len(prev) && n < len(name) && prev[n] == name[n] {
		n++
	}
	w.num(uint64(n))
	w.str(name[n:])
}

func decodeName(r *rd, prev string) string {
	n := r.num(uint64(len(prev)))
	rest := r.bytes(maxName)
	if r.bad || int(n)+len(rest) > maxName {
		r.bad = true
		return ""
	}
	return prev[:n] + string(rest)
}

// FileEnd flags on the wire.
const (
	endSame = 1
	endHave = 2
)

func (e *fileEnd) encode() []byte {
	var w wr
	w.num(e.ID)
	var f uint64
	if e.Same {
		f |= endSame
	}
	if e.Have {
		f |= endHave
	}
	w.num(f)
	w.raw(e.Root[:])
	w.bytes(e.Digest)
	w.num(uint64(e.Size))
	return w.b
}

func decodeFileEnd(b []byte) (*fileEnd, error) {
	r := rd{b: b}
	e := &fileEnd{ID: r.num(maxID)}
	f := r.num(1<<62 - 1)
	e.Same, e.Have = f&endSame != 0, f&endHave != 0
	r.fill(e.Root[:])
	if d := r.bytes(64); len(d) > 0 {
		e.Digest = append([]byte(nil), d...)
	}
	e.Size = int64(r.num(maxFileSize))
	return e, r.err("file end")
}

func (f *failure) encode() []byte {
	var w wr
	w.num(f.ID)
	w.num(uint64(f.Code))
	w.str(clip(f.Name, maxName))
	w.str(clip(f.Text, maxText))
	return w.b
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

func decodeFailure(b []byte) (*failure, error) {
	r := rd{b: b}
	f := &failure{ID: r.num(maxID), Code: Code(r.num(1<<16 - 1)), Name: r.str(maxName), Text: r.str(maxText)}
	return f, r.err("failure")
}

func (t *totals) encode() []byte {
	var w wr
	w.num(t.LastID)
	w.num(t.Files)
	w.num(t.Bytes)
	return w.b
}

func decodeTotals(b []byte) (*totals, error) {
	r := rd{b: b}
	t := &totals{LastID: r.num(maxID), Files: r.num(maxID), Bytes: r.num(1<<63 - 1)}
	return t, r.err("totals")
}

func encodeIDs(s []span) []byte {
	var w wr
	w.spans(s)
	return w.b
}

func decodeIDs(b []byte) ([]span, error) {
	r := rd{b: b}
	s := r.spans(maxID)
	return s, r.err("file ids")
}

func (h *have) encode() []byte {
	var w wr
	w.num(h.ID)
	w.flag(h.More)
	w.spans(h.Spans)
	w.num(uint64(h.Part))
	return w.b
}

func decodeHave(b []byte) (*have, error) {
	r := rd{b: b}
	h := &have{ID: r.num(maxID), More: r.flag(), Spans: r.spans(maxFileSize)}
	h.Part = int64(r.num(maxPart))
	return h, r.err("have")
}

func (c *compare) encode() []byte {
	var w wr
	w.num(c.ID)
	w.num(uint64(len(c.Pieces)))
	for _, p := range c.Pieces {
		w.num(uint64(p.Off))
		w.num(uint64(p.Len))
		w.raw(p.Hash[:])
	}
	return w.b
}

func decodeCompare(b []byte) (*compare, error) {
	r := rd{b: b}
	c := &compare{ID: r.num(maxID)}
	next := int64(0)
	for range r.count(maxPieces, 2+blockHashSize) {
		p := piece{Off: int64(r.num(maxFileSize)), Len: int64(r.num(maxPiece))}
		r.fill(p.Hash[:])
		if p.Len == 0 || p.Off < next {
			r.bad = true // ascending and apart, so that no byte is read and hashed twice
		}
		next = p.Off + p.Len
		c.Pieces = append(c.Pieces, p)
	}
	return c, r.err("compare")
}

func (d *done) encode() []byte {
	var w wr
	w.num(d.Confirmed)
	w.num(d.Skipped)
	w.num(d.Failed)
	return w.b
}

func decodeDone(b []byte) (*done, error) {
	r := rd{b: b}
	d := &done{r.num(maxID), r.num(maxID), r.num(maxID)}
	return d, r.err("done")
}
