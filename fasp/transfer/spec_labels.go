package transfer

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxFolder bounds the id of a folder, in bytes.
const maxFolder = 256

// checkLabels refuses what cannot be kept with a transfer.
func (s *Spec) checkLabels() error {
	bad := func(format string, args ...any) error { return failf(CodeUsage, "", format, args...) }
	switch {
	case len(s.Cookie) > MaxLabel || len(s.Title) > MaxLabel:
		return bad("cookie and title have at most %d bytes each", MaxLabel)
	case len(s.Tags) > MaxTags:
		return bad("tags have %d bytes; at most %d are taken", len(s.Tags), MaxTags)
	case len(s.Folder) > maxFolder || strings.ContainsAny(s.Folder, "\x00\r\n"):
		return bad("the id of a folder is a line of at most %d bytes", maxFolder)
	}
	_, err := s.FolderID()
	return err
}

// checkTags wants an object, in UTF-8: encoding/json takes other bytes within texts, but not all who keep tags or read them again do.
func checkTags(tags json.RawMessage) error {
	if !utf8.Valid(tags) {
		return failf(CodeUsage, "", "tags: want UTF-8")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(tags, &object); err != nil || object == nil {
		return failf(CodeUsage, "", "tags: want a JSON object")
	}
	return nil
}

// FolderID returns the id of the folder at the server that paths there are below, as Folder or Tags have it; "" is none. The error has CodeUsage, and is one that Check returns, too.
func (s *Spec) FolderID() (string, error) {
	if len(s.Tags) == 0 {
		return s.Folder, nil
	}
	if err := checkTags(s.Tags); err != nil {
		return "", err
	}
	id, err := taggedFolder(s.Tags)
	if err != nil {
		return "", err
	}
	if s.Folder != "" && id != "" && s.Folder != id {
		return "", failf(CodeUsage, "", "the folder at the server is given twice, as %q and, in tags (aspera.node.file_id), as %q", clip(s.Folder, 64), clip(id, 64))
	}
	return orDefault(s.Folder, id), nil
}

// taggedFolder reads aspera.node.file_id, a text or a number. What stands on the way to it and is no object has none.
func taggedFolder(tags json.RawMessage) (string, error) {
	at := tags
	for _, name := range []string{"aspera", "node", "file_id"} {
		var object map[string]json.RawMessage
		if json.Unmarshal(at, &object) != nil {
			return "", nil
		}
		at = object[name]
		if at == nil {
			return "", nil
		}
	}
	var id string
	var number json.Number
	switch {
	case string(at) == "null":
		return "", nil
	case json.Unmarshal(at, &id) == nil:
	case json.Unmarshal(at, &number) == nil:
		id = number.String()
	default:
		return "", failf(CodeUsage, "", "tags: aspera.node.file_id: want a text or a number")
	}
	if len(id) > maxFolder || strings.ContainsAny(id, "\x00\r\n") {
		return "", failf(CodeUsage, "", "tags: %w", fmt.Errorf("aspera.node.file_id is a line of at most %d bytes", maxFolder))
	}
	return id, nil
}
