package api

// Types of files.
const (
	TypeFile      = "file"
	TypeDirectory = "directory"
	TypeSymlink   = "symbolic_link"
	TypeSpecial   = "special" // a device, a pipe: it is shown, and no call does anything with it
)

// File describes what is at a path. Paths begin with a slash, which is the root of the access key.
type File struct {
	Path        string       `json:"path"`
	Basename    string       `json:"basename,omitempty"`
	Type        string       `json:"type,omitempty"`
	Size        int64        `json:"size"`
	Mtime       string       `json:"mtime,omitempty"` // see TimeFormat; empty where the storage does not say
	Permissions []Permission `json:"permissions,omitempty"`
	// Target is where a symbolic link leads; nil where that is outside the root or not known.
	Target *Target `json:"target,omitempty"`
	Error  *Error  `json:"error,omitempty"`
}

// Permission is something that the caller may do: view, edit or delete.
type Permission struct {
	Name string `json:"name"`
}

// Target is the target of a symbolic link: a path of the root if it begins with a slash, else one that is relative to the folder of the link.
type Target struct {
	Path string `json:"path"`
}

// Filters choose files. The zero Filters choose all; a file must pass each field that is set.
type Filters struct {
	Types        []string `json:"types,omitempty"`
	Basenames    []string `json:"basenames,omitempty"`     // patterns with * ? and [a-z], of which one must match
	OutBasenames []string `json:"out_basenames,omitempty"` // and of which none may
	SizeMin      *int64   `json:"size_min,omitempty"`      // bytes, inclusive
	SizeMax      *int64   `json:"size_max,omitempty"`
	MtimeMin     string   `json:"mtime_min,omitempty"` // see TimeFormat, inclusive
	MtimeMax     string   `json:"mtime_max,omitempty"`
	DepthMin     *int     `json:"depth_min,omitempty"` // of a search: 0 is what lies in the folder itself
	DepthMax     *int     `json:"depth_max,omitempty"`
}

// Browse is the body of POST /files/browse and /files/search.
type Browse struct {
	Path string `json:"path"`
	Skip int    `json:"skip,omitempty"`
	// Count is how many items to return; nil is 100.
	Count *int `json:"count,omitempty"`
	// Sort is path, type, size_a, size_d, mtime_a or mtime_d; empty is path.
	Sort string `json:"sort,omitempty"`
	// CaseSensitive says whether names are compared with their case; nil is yes.
	CaseSensitive *bool    `json:"case_sensitive,omitempty"`
	Filters       *Filters `json:"filters,omitempty"`
}

// Listing is the answer to Browse.
type Listing struct {
	Self       *File   `json:"self,omitempty"` // not of a search
	Items      []File  `json:"items"`
	ItemCount  int     `json:"item_count"`  // of Items
	TotalCount int64   `json:"total_count"` // of all that the filters let pass
	Parameters *Browse `json:"parameters,omitempty"`
}

// PageRequest is the body of POST /files/page.
type PageRequest struct {
	Path           string   `json:"path"`
	IterationToken string   `json:"iteration_token,omitempty"` // of the page before; empty is the first page
	Count          *int     `json:"count,omitempty"`           // nil is 100
	Filters        *Filters `json:"filters,omitempty"`
}

// Page is the answer to PageRequest. Items are ordered by name, byte by byte.
type Page struct {
	Items              []File       `json:"items"`
	ItemCount          int          `json:"item_count"`
	NextIterationToken string       `json:"next_iteration_token,omitempty"` // empty: this is the last page
	Parameters         *PageRequest `json:"parameters,omitempty"`
}

// Paths is the body of calls that look at several paths.
type Paths struct {
	Paths []PathOnly `json:"paths"`
}

// PathOnly is a path.
type PathOnly struct {
	Path string `json:"path"`
}

// Files is the answer to Paths. A path that failed has an Error.
type Files struct {
	Paths []File `json:"paths"`
}

// Create is the body of POST /files/create.
type Create struct {
	Paths []NewFile `json:"paths"`
}

// NewFile is something to make; what exists is left as it is, and is an error.
type NewFile struct {
	Path     string  `json:"path"`
	Type     string  `json:"type"`               // file, directory or symbolic_link
	Contents []byte  `json:"contents,omitempty"` // of a file, base64 in JSON
	Target   *Target `json:"target,omitempty"`   // of a symbolic link
}

// Delete is the body of POST /files/delete.
type Delete struct {
	Paths []DeletePath `json:"paths"`
}

// DeletePath is something to remove.
type DeletePath struct {
	Path      string `json:"path"`
	Recursive *bool  `json:"recursive_delete,omitempty"` // with what a folder holds; nil is yes
}

// Rename is the body of POST /files/rename.
type Rename struct {
	Paths []RenamePath `json:"paths"`
}

// RenamePath gives another name to what is at Source, relative to the folder Path. What exists at Destination is not replaced.
type RenamePath struct {
	Path        string `json:"path"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

// Done is the answer to Create, Delete and Rename.
type Done struct {
	Paths []DonePath `json:"paths"`
}

// DonePath is a path as it was given, with what went wrong.
type DonePath struct {
	Path        string `json:"path"`
	Source      string `json:"source,omitempty"`
	Destination string `json:"destination,omitempty"`
	Error       *Error `json:"error,omitempty"`
}

// Usage is the answer of POST /files/du.
type Usage struct {
	Path         string `json:"path"`
	TotalSize    int64  `json:"total_size"` // bytes of files
	FileCount    int64  `json:"file_count"`
	DirCount     int64  `json:"dir_count"`
	SpecialCount int64  `json:"special_count"` // links, which are not followed, and other things that are no files
	FailedCount  int64  `json:"failed_count"`
}

// Space is the answer of POST /space.
type Space struct {
	Paths []SpacePath `json:"paths"`
}

// SpacePath is the room where a path lies. What is not known is nil: object stores have no bounds.
type SpacePath struct {
	Path        string   `json:"path"`
	BytesTotal  *int64   `json:"bytes_total,omitempty"`
	BytesFree   *int64   `json:"bytes_free,omitempty"`
	PercentFree *float64 `json:"percent_free,omitempty"`
	Error       *Error   `json:"error,omitempty"`
}
