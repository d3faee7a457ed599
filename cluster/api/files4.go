package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// Types of entries.
const (
	EntryFile   = "file"
	EntryFolder = "folder"
	EntryLink   = "link" // a symbolic link, which no call about ids follows
)

// RootID is the id of the root of each access key.
const RootID = "1"

// ID is the id of a file, user or group, which may also stand as a number in JSON.
type ID string

// UnmarshalJSON takes text or a whole number.
func (id *ID) UnmarshalJSON(b []byte) error {
	if !bytes.HasPrefix(b, []byte(`"`)) {
		n, err := strconv.ParseInt(string(b), 10, 64)
		if err != nil {
			return errors.New("an id is text or a whole number")
		}
		*id = ID(strconv.FormatInt(n, 10))
		return nil
	}
	return json.Unmarshal(b, (*string)(id))
}

// Entry describes a file or folder by its id, which stays when it, or a folder above it, is renamed.
type Entry struct {
	ID   string `json:"id"`
	Name string `json:"name"`           // "/" for the root
	Path string `json:"path,omitempty"` // from the root; not for users whom permissions bind
	Type string `json:"type"`           // file, folder or link; special for what no call does anything with
	// Size is in bytes; nil but for files.
	Size         *int64   `json:"size,omitempty"`
	ModifiedTime string   `json:"modified_time,omitempty"` // see TimeFormat; empty where the storage does not say
	ContentType  string   `json:"content_type,omitempty"`  // of files, guessed by the name
	AccessLevels []string `json:"access_levels"`           // what the caller may do
	AccessLevel  string   `json:"access_level,omitempty"`  // edit for all of them, view for list, read and preview at least
	// What follows is told where it was asked for.
	PermissionCount  *int64 `json:"permission_count,omitempty"` // on the entry itself
	RecursiveSize    *int64 `json:"recursive_size,omitempty"`   // bytes of all files below
	RecursiveFiles   *int64 `json:"recursive_file_count,omitempty"`
	RecursiveFolders *int64 `json:"recursive_folder_count,omitempty"`
}

// NewEntry is the body of POST /files/{id}/files.
type NewEntry struct {
	Name     string `json:"name"`
	Type     string `json:"type"`               // file or folder
	Contents []byte `json:"contents,omitempty"` // of a file, base64 in JSON
}

// RenameEntry is the body of PUT /files/{id}.
type RenameEntry struct {
	Name string `json:"name"`
}

// Who a permission is for.
const (
	AccessUser  = "user"
	AccessGroup = "group"
)

// FilePermission lets a user, or a group, of an application do something with a file or a folder and all below it.
type FilePermission struct {
	ID           string          `json:"id"`
	FileID       string          `json:"file_id"`
	AccessType   string          `json:"access_type"`   // user or group
	AccessID     string          `json:"access_id"`     // as bearer tokens name them
	AccessLevels []string        `json:"access_levels"` // of list, read, write, delete, mkdir, rename, preview
	AccessLevel  string          `json:"access_level,omitempty"`
	Tags         json.RawMessage `json:"tags"` // an object of the application's
	CreatedBy    string          `json:"created_by_id"`
	CreatedAt    string          `json:"created_at"` // see TimeFormat
	UpdatedBy    string          `json:"last_updated_by_id"`
	UpdatedAt    string          `json:"last_updated_at"`
	File         *Entry          `json:"file,omitempty"` // where it was asked for
}

// PermissionRequest is the body of POST /permissions and PUT /permissions/{id}. A change has levels, tags or both and nothing else; what it does not have stays.
type PermissionRequest struct {
	FileID       ID              `json:"file_id,omitempty"`
	AccessType   string          `json:"access_type,omitempty"`
	AccessID     ID              `json:"access_id,omitempty"`
	AccessLevels []string        `json:"access_levels,omitempty"`
	AccessLevel  string          `json:"access_level,omitempty"` // view or edit, in place of AccessLevels
	Tags         json.RawMessage `json:"tags,omitempty"`
}
