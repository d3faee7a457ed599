package transfer

import (
	"fmt"
	"io/fs"
	"time"
)

// Records of managing sessions (docs/protocol-transfer.md section 30).
const (
	recOp      = 32 // client
	recOpItem  = 33 // server
	recOpEnded = 34 // server
	recOpStop  = 35 // client: the body is the id alone
)

// manage is the direction of a request that transfers nothing.
const manage Direction = 2

// opKind is what a client wants done.
type opKind uint8

const (
	opStat opKind = 1 + iota
	opList
	opMkdir
	opRemove
	opRename
	opUsage
	opClean
)

var opNames = [...]string{opStat: "stat", opList: "list", opMkdir: "mkdir", opRemove: "remove", opRename: "rename", opUsage: "usage", opClean: "clean"}

// String returns the name that logs use.
func (k opKind) String() string {
	if int(k) < len(opNames) && k > 0 {
		return opNames[k]
	}
	return fmt.Sprintf("unknown(%d)", uint8(k))
}

// op is one operation. The next one follows when it has ended.
type op struct {
	ID   uint64
	Kind opKind
	Name string
	To   string // rename: the new name; list: what the last element contains
	Flag bool   // list: deep; remove: all; rename: replace; clean: dry
	Age  int64  // clean: nanoseconds
}

// opItem is one thing that an operation found.
type opItem struct {
	ID    uint64
	Name  string
	Kind  string // clean: of the leftover
	Mode  fs.FileMode
	Size  int64
	Mtime int64
	Ctime int64
	ETag  string
	Class string
}

// opEnded ends an operation.
type opEnded struct {
	ID           uint64
	Code         Code
	Text         string
	Count, Bytes int64
}

const maxTag = 256 // bytes of an ETag, a storage class, a kind

func (o *op) encode() []byte {
	var w wr
	w.num(o.ID)
	w.num(uint64(o.Kind))
	w.str(o.Name)
	w.str(o.To)
	w.flag(o.Flag)
	w.num(uint64(o.Age))
	return w.b
}

func decodeOp(b []byte) (*op, error) {
	r := rd{b: b}
	o := &op{ID: r.num(maxID), Kind: opKind(r.num(255)), Name: r.str(maxName), To: r.str(maxName), Flag: r.flag(), Age: int64(r.num(1<<62 - 1))}
	return o, r.err("operation")
}

// The kinds of file that are told apart on the wire.
const (
	itemFile = iota
	itemFolder
	itemLink
	itemOther
)

func (i *opItem) encode() []byte {
	var w wr
	w.num(i.ID)
	w.str(i.Name)
	w.str(clip(i.Kind, maxTag))
	switch {
	case i.Mode.IsDir():
		w.num(itemFolder)
	case i.Mode&fs.ModeSymlink != 0:
		w.num(itemLink)
	case i.Mode.IsRegular():
		w.num(itemFile)
	default:
		w.num(itemOther)
	}
	w.num(uint64(i.Mode.Perm()))
	w.snum(i.Size)
	w.snum(i.Mtime)
	w.snum(i.Ctime)
	w.str(clip(i.ETag, maxTag))
	w.str(clip(i.Class, maxTag))
	return w.b
}

func decodeOpItem(b []byte) (*opItem, error) {
	r := rd{b: b}
	i := &opItem{ID: r.num(maxID), Name: r.str(maxName), Kind: r.str(maxTag)}
	kind := r.num(itemOther)
	i.Mode = fs.FileMode(r.num(0o777)) | [...]fs.FileMode{itemFile: 0, itemFolder: fs.ModeDir, itemLink: fs.ModeSymlink, itemOther: fs.ModeIrregular}[kind]
	i.Size, i.Mtime, i.Ctime = r.snum(), r.snum(), r.snum()
	i.ETag, i.Class = r.str(maxTag), r.str(maxTag)
	return i, r.err("item")
}

func (e *opEnded) encode() []byte {
	var w wr
	w.num(e.ID)
	w.num(uint64(e.Code))
	w.str(clip(e.Text, maxText))
	w.snum(e.Count)
	w.snum(e.Bytes)
	return w.b
}

func decodeOpEnded(b []byte) (*opEnded, error) {
	r := rd{b: b}
	e := &opEnded{ID: r.num(maxID), Code: Code(r.num(1<<16 - 1)), Text: r.str(maxText), Count: r.snum(), Bytes: r.snum()}
	return e, r.err("end of an operation")
}

func encodeStop(id uint64) []byte {
	var w wr
	w.num(id)
	return w.b
}

func decodeStop(b []byte) (uint64, error) {
	r := rd{b: b}
	id := r.num(maxID)
	return id, r.err("stop of an operation")
}

func itemOf(id uint64, in *Info) *opItem {
	return &opItem{ID: id, Name: in.Name, Mode: in.Mode, Size: in.Size, Mtime: in.Mtime, Ctime: in.Ctime, ETag: in.ETag, Class: in.Class}
}

// info is the item for a caller. Its name is that of the server, letter by letter: it must lead to the file.
func (i *opItem) info() Info {
	return Info{Name: i.Name, Mode: i.Mode, Size: i.Size, Mtime: i.Mtime, Ctime: i.Ctime, ETag: printable(i.ETag), Class: printable(i.Class)}
}

func (i *opItem) leftover() Leftover {
	l := Leftover{Name: i.Name, Kind: printable(i.Kind), Size: i.Size}
	if i.Mtime != 0 {
		l.Begun = time.Unix(0, i.Mtime)
	}
	return l
}
