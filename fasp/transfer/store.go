package transfer

import (
	"context"
	"io"
	"io/fs"
)

// Store is a place that files are read from and written to: a folder of the local file system, and in
// time a bucket of an object store. Names are slash-separated and relative to the place; "." is the
// place itself. A Store must refuse every name that leads out of the place, through symbolic links too.
// Methods may be called by several goroutines at once. Errors that wrap fs.ErrNotExist,
// fs.ErrPermission, fs.ErrExist or a syscall.Errno get the fitting Code; a Store may also return *Error.
type Store interface {
	// Stat describes what is at name. With follow, a symbolic link is followed.
	Stat(ctx context.Context, name string, follow bool) (Info, error)
	// ReadDir calls fn for each entry of the folder at name, in no order, symbolic links not followed.
	// Info.Name is the last element. It stops at fn's first error and returns it.
	ReadDir(ctx context.Context, name string, fn func(Info) error) error
	// Readlink returns the target of the symbolic link at name.
	Readlink(ctx context.Context, name string) (string, error)
	// Open opens the file at name for reading. The caller closes it.
	Open(ctx context.Context, name string) (Source, error)

	// Mkdir makes the folder at name with its parents. One that exists is no error.
	Mkdir(ctx context.Context, name string) error
	// Symlink makes a symbolic link at name. With force an existing file or link is replaced. Refused with
	// CodeBadPath are a target that is absolute, may lead out of the place or names a partial file, and a
	// folder that is reached through a symbolic link. The link is durable after the next Flush.
	Symlink(ctx context.Context, target, name string, force bool) error
	// SetAttr sets attributes of the file or folder at name.
	SetAttr(ctx context.Context, name string, a Attr) error
	// Put writes a whole small file and seals it, under a temporary name that no other file has which is being
	// written or waits to be published, whatever their tags. tag names the job, and must be one that other
	// users of the place cannot have: what a process that died left of the same name and tag is replaced.
	// With an empty tag nothing is. data is not kept.
	Put(ctx context.Context, name, tag string, data []byte, a Attr, s Sync) (Sealed, error)
	// Create begins or goes on with a file of a.Size bytes. What an interrupted Target left behind is
	// there again, data and state. It fails with an error that wraps ErrBusy while another Target of the
	// same name is open.
	Create(ctx context.Context, name string, a Attr) (Target, error)
	// HasPartial says whether an interrupted Target left something for the file at name.
	HasPartial(ctx context.Context, name string) (bool, error)
	// Flush returns when everything sealed with SyncLater and everything published before the call is
	// durable, names included.
	Flush(ctx context.Context) error
	// Free returns the bytes that are free for new files, or -1 if that is not known.
	Free(ctx context.Context) (int64, error)
	// Close releases the place. Sources and Targets must have been closed before.
	Close() error
}

// Sync says when data becomes durable.
type Sync uint8

// The values of Sync.
const (
	SyncNow   Sync = iota // before the call returns
	SyncLater             // with the next Flush
	SyncNone              // when the system likes
)

// Info describes a file, folder or link.
type Info struct {
	Name  string
	Mode  fs.FileMode // type and permission bits
	Size  int64       // -1 for a stream, which is read once and in order, and whose size shows at its end
	Mtime int64       // nanoseconds since 1970
	Atime int64       // 0 where unknown
	Ctime int64       // change of content or attributes; 0 where unknown
	ETag  string      // names the content, in an object store; "" where there is none
	Class string      // storage class, in an object store; "" where not known
	// Sparse says that a file takes less room than its size, so that it may have holes; false where that is not known.
	Sparse bool
	// Dev and Ino identify the object while it exists; both 0 where unknown.
	Dev, Ino uint64
}

// Attr is what a new file gets.
type Attr struct {
	Size  int64  // -1 for a stream: it shows at the end
	Block int    // for Create of a PartTarget: WriteAt is called with stretches of this size, at multiples of it, but for the last
	Mode  uint32 // permission bits; exact says how they are used
	Exact bool   // set Mode as it is; otherwise the system's mask for new files applies
	Mtime int64  // nanoseconds since 1970, 0 = leave
	Atime int64  // 0 = as Mtime
	// Sparse, for Create, says that the file has holes: its room is not reserved.
	Sparse bool
}

// Source is a file open for reading.
type Source interface {
	io.ReaderAt // several goroutines at once
	io.Closer
	// Info describes the open file as it is now.
	Info() (Info, error)
}

// Holes is a Source or Target that knows where it has holes, which read as zeros. Several goroutines at once.
type Holes interface {
	// NextData returns the next stretch from off on, at least 0, that may be something else than a hole. With none before the
	// end of the file, both are that end, or off where that is beyond it.
	NextData(off int64) (from, to int64, err error)
}

// ZeroTarget is a Target that makes zeros without being given them. Into others they are written.
type ZeroTarget interface {
	Target
	// Zero makes n bytes from off on zeros, whatever was there, and the file at least as long; as a hole where the place has
	// holes. With errors.ErrUnsupported they are to be written. Several goroutines at once, and beside WriteAt elsewhere in the
	// file.
	Zero(off, n int64) error
}

// Sealed is a file that is whole, under a name of its own until it is published.
type Sealed interface {
	// Publish gives the file its final name and removes its state. With replace, a file or link that is
	// there gives way; without, the error wraps fs.ErrExist. With SyncNow the name is durable when Publish
	// returns; with SyncLater after the next Flush. It fails with an error that wraps ErrBusy if what stands
	// under the temporary name is not what was sealed. After an error the caller publishes again or discards.
	Publish(ctx context.Context, s Sync, replace bool) error
	// Discard removes it.
	Discard(ctx context.Context) error
}

// Target is a file being written. Nothing shows under its final name until Sealed.Publish.
type Target interface {
	io.WriterAt // in any order, several goroutines at once
	io.ReaderAt // what was written before; to verify leftovers
	// Partial returns how many bytes an earlier Target left, holes included.
	Partial() int64
	// Sync returns when all that was written before the call is durable.
	Sync(ctx context.Context) error
	// State returns what SaveState kept, nil if nothing.
	State(ctx context.Context) ([]byte, error)
	// SaveState replaces the state in one step, durably: after a crash either the old or the new one is there.
	SaveState(ctx context.Context, b []byte) error
	// Reset forgets data and state that an earlier Target left.
	Reset(ctx context.Context) error
	// Seal ends writing and sets the attributes. The Target must not be used afterwards.
	Seal(ctx context.Context, a Attr, s Sync) (Sealed, error)
	// Close releases the Target and keeps data and state for a later Create.
	Close() error
	// Discard releases the Target and removes data and state.
	Discard(ctx context.Context) error
}

// GatherTarget is a Target that writes several stretches at a time, where the job asks for writes larger than a block (Spec.WriteSize).
type GatherTarget interface {
	Target
	// WriteRun writes bufs one behind the other from off on. It may change what is in bufs, but not the bytes.
	WriteRun(bufs [][]byte, off int64) error
}
