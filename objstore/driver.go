package objstore

import (
	"context"
	"io"
	"time"
)

// Driver is one place on one storage platform: a bucket, a container, a folder. It does a few things and says in Caps
// what the platform can do; parallelism, buffers, retries, hedging, resume and hierarchy are written once, above it.
//
// Keys are what the platform calls them: any bytes it takes, without a leading slash. A Driver never retries, never
// logs a secret and puts none into an error. Its errors are *Error with the Kind that fits; a Kind of Temporary or Busy
// says that the same call may succeed later. Methods may be called by several goroutines at once, and return soon after
// ctx has ended. A body is read with ReadAt only, never after the call has returned.
type Driver interface {
	// Caps says what the platform can do. It costs nothing and is the same for the life of the Driver.
	Caps() Caps

	// Stat describes the object at key. NotFound if there is none.
	Stat(ctx context.Context, key string) (Object, error)
	// List returns a page of the objects below a prefix.
	List(ctx context.Context, o ListOptions) (Page, error)
	// Read opens length bytes of the object from off on; a length below 0 means up to the end. With an etag that is not
	// empty the object must still be that one: Changed if it is not. off at or beyond the end is Range. The Object
	// describes all of it; its Attr may be left out where HasAttr is false.
	Read(ctx context.Context, key string, off, length int64, etag string) (io.ReadCloser, Object, error)
	// Put stores a whole object in one step, of at most Caps.MaxPut bytes. It replaces what is there unless o.IfAbsent.
	Put(ctx context.Context, key string, body *io.SectionReader, o PutOptions) (Object, error)
	// Delete removes objects. One that is not there is no error. It returns the first error after having tried all.
	Delete(ctx context.Context, keys ...string) error
	// Copy copies an object of the same place without its bytes passing here, with its attributes, or those of o if it
	// is not nil. etag is as in Read. Unsupported where Caps.Copy is false.
	Copy(ctx context.Context, src, etag, dst string, o *PutOptions) (Object, error)

	// Begin opens an upload and returns it with its ID. u has Key, Size and Plan.
	Begin(ctx context.Context, u Upload, o PutOptions) (Upload, error)
	// PutPart stores one part. The same part may be put again, and at the same time: one of them wins.
	PutPart(ctx context.Context, u Upload, p PartSpec, body *io.SectionReader) (Part, error)
	// Parts lists the parts that are stored, ascending by N. NoUpload if the upload is not known (any more).
	Parts(ctx context.Context, u Upload) ([]Part, error)
	// Complete makes the object out of parts, which are all of it in order. BadPart if one of them is not what the
	// store has. When it fails the upload is still there.
	Complete(ctx context.Context, u Upload, parts []Part, o PutOptions) (Object, error)
	// Abort removes the upload and its parts. One that is not there is no error.
	Abort(ctx context.Context, u Upload) error
	// Uploads lists a page of uploads that are open on keys that begin with prefix. next is "" at the end.
	Uploads(ctx context.Context, prefix, token string) (list []UploadInfo, next string, err error)

	// Close releases what the Driver holds.
	Close() error
}

// Caps is what a platform can do. The zero value of a limit means none.
type Caps struct {
	MaxParts  int   // parts of one object; it does not count where Ordered is set
	MinPart   int64 // bytes of every part but the last
	MaxPart   int64 // bytes of a part
	PartAlign int64 // every part but the last is a multiple of it; 0 means 1
	MaxObject int64
	MaxPut    int64 // bytes of a Put; 0 means as MaxPart
	MaxKey    int   // bytes of a key

	Ordered  bool // parts must be put one after the other, in order
	NeedSize bool // the size must be known when an upload begins
	Resume   bool // another process can go on with an upload by its ID
	IfAbsent bool // PutOptions.IfAbsent is honoured by the platform, in Put and Complete
	Copy     bool // Copy works
	MaxCopy  int64
	Attrs    bool   // attributes are kept
	ListAttr bool   // List returns them (Object.HasAttr), so that no Stat is needed
	Folders  bool   // the place has real folders: keys end at them, markers are not used
	Sorted   bool   // List goes in ascending order of key bytes
	Local    bool   // no network: requests cost nothing, so few at a time are enough
	Store    string // names the store and account that Copy works in, without a secret; "" = not known
}

// Attr is what is kept with an object besides its bytes. Times of zero are not kept.
type Attr struct {
	Mtime       time.Time // modification of the source, to the nanosecond
	Btime       time.Time // creation of the source
	ContentType string    // "" = application/octet-stream
	// Metadata are the user's own; keys are lower case, values printable. mtime and btime are not among them: drivers
	// translate those to and from the names that other tools use.
	Metadata map[string]string
}

// PutOptions is how an object is stored.
type PutOptions struct {
	Attr     Attr
	IfAbsent bool // fail with Exists if there is an object
}

// Object describes an object, or with Folder a common prefix of keys.
type Object struct {
	Key      string
	Size     int64
	ETag     string    // names this content; "" where the platform has none
	Modified time.Time // when the store took it
	Class    string    // storage class, "" = the platform's default or not known
	Folder   bool      // Key is a common prefix; nothing else is set
	HasAttr  bool      // Attr is known
	Attr     Attr
}

// Mtime returns the modification time of the source where it is known, else the time when the store took the object.
func (o *Object) Mtime() time.Time {
	if o.HasAttr && !o.Attr.Mtime.IsZero() {
		return o.Attr.Mtime
	}
	return o.Modified
}

// ListOptions says what List returns.
type ListOptions struct {
	Prefix string
	// Delimited folds keys that have a "/" behind the prefix into one Object with Folder set, whose Key ends in "/".
	Delimited bool
	Token     string // of the page before; "" begins
	After     string // only keys behind this one, where Caps.Sorted; used with an empty Token
	Max       int    // entries at most; 0 means what the platform likes, a driver may return fewer
}

// Page is a part of a listing.
type Page struct {
	Objects []Object // folders among them
	Next    string   // token of the next page, "" at the end
}

// Upload names an object that is being uploaded in parts. It can be kept and moved: any process with access to the
// store may put parts of it, and exactly one completes it.
type Upload struct {
	Key  string `json:"key"`
	ID   string `json:"id"`   // the platform's, opaque
	Size int64  `json:"size"` // -1 = not known yet
	Plan Plan   `json:"plan"`
}

// PartSpec says which part is put.
type PartSpec struct {
	N    int   // from 0
	Off  int64 // of its first byte in the object
	Last bool  // it is known to be the object's last
}

// Part is a part that the store has.
type Part struct {
	N    int    `json:"n"`
	Size int64  `json:"size"`
	ETag string `json:"etag"`
}

// UploadInfo is an upload that is open.
type UploadInfo struct {
	Key   string
	ID    string
	Begun time.Time // zero where not known
}
