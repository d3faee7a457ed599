package state

import (
	"context"
	"encoding/json"
)

// File is what became of one file in a session.
type File struct {
	Session string // must be there
	Seq     int64  // set by the store: 1, 2, ... in the session
	Path    string // any bytes, up to 32 KiB
	Size    int64  // of the file, in bytes
	Bytes   int64  // that were transferred
	Status  string
	Code    int64 // of the error; 0 if there was none
	Doc     json.RawMessage
}

// FileFilter chooses files of one session.
type FileFilter struct {
	Session string // required
	Status  string // empty chooses all
}

// maxBatch is how many records one call adds at most.
const maxBatch = 10_000

var files = kind[File]{
	name: "file", table: "files", keys: 2,
	cols: []string{"session", "seq", "path", "size", "bytes", "status", "code", "doc"},
	fields: func(f *File) []field {
		return []field{
			text{p: &f.Session, must: true},
			number{&f.Seq},
			raw{&f.Path, maxPath},
			number{&f.Size},
			number{&f.Bytes},
			text{p: &f.Status},
			number{&f.Code},
			document{&f.Doc},
		}
	},
}

// AddFiles appends files to their sessions, at most 10,000 in a call, all or none. It numbers them in their order and leaves fs as it is. Errors:
// ErrReference if a session is not there, ErrInvalid.
func (o ops) AddFiles(ctx context.Context, fs []File) error {
	if len(fs) == 0 {
		return nil
	}
	err := checkBatch(len(fs))
	if err == nil {
		err = o.write(ctx, func(q queries) error {
			rows := make([]File, len(fs))
			last := map[string]int64{}
			for i, f := range fs {
				if _, ok := last[f.Session]; !ok {
					var n int64
					if err := q.one(ctx, []any{&n}, "SELECT COALESCE(MAX(seq), 0) FROM files WHERE session = ?", f.Session); err != nil {
						return err
					}
					last[f.Session] = n
				}
				last[f.Session]++
				f.Seq = last[f.Session]
				rows[i] = f
				if err := files.check(&rows[i]); err != nil {
					return err
				}
			}
			return files.insert(ctx, q, rows)
		})
	}
	if err != nil {
		return &Error{Op: "add", Kind: "files", Err: err}
	}
	return nil
}

func checkBatch(n int) error {
	if n > maxBatch {
		return invalidf("%d records in one call are more than %d; add them in parts", n, maxBatch)
	}
	return nil
}

// Files returns a page of the files of a session in their order, and the cursor of the next page.
func (o ops) Files(ctx context.Context, f FileFilter, p Page) ([]File, string, error) {
	if f.Session == "" {
		return nil, "", &Error{Op: "list", Kind: "file", Err: invalidf("no session is given")}
	}
	var w where
	w.is("session", f.Session)
	w.is("status", f.Status)
	return list(ctx, o, &files, w, order{cols: []string{"seq"}}, p)
}
