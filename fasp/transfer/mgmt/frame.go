package mgmt

import (
	"fmt"
	"strings"
)

// header is the first line of every frame.
const header = "FASPMGR 2"

// MaxFrame and MaxFields bound a frame: bytes from its header to the empty line behind it, and fields beside Type.
const (
	MaxFrame  = 64 << 10
	MaxFields = 512
)

// Frame is one message, in either direction.
type Frame struct {
	Type   string  // such as STATS: the value of the field "Type", which is written first and may be read anywhere
	Fields []Field // the others, in their order
}

// Field is a line of a Frame. Values are what is meant: what a path needs on the wire is put there by Append and taken off by a Reader.
type Field struct{ Name, Value string }

// Get returns the value of a field; names are compared as they are written. Of a field that stands there twice the last one counts.
func (f Frame) Get(name string) (string, bool) {
	for i := len(f.Fields) - 1; i >= 0; i-- {
		if f.Fields[i].Name == name {
			return f.Fields[i].Value, true
		}
	}
	return "", false
}

// Append appends the frame as it is sent. A line feed, a carriage return and an escape character in a path (PathField) are escaped. What a frame cannot
// carry is an error that matches ErrFrame: a line break in any other value, a NUL, a name that is not of printable ASCII without blanks and colons, a second field "Type".
// One that no Reader would take for its size matches ErrTooLarge. Of b nothing but its capacity has changed then. UTF-8 is not checked.
func (f Frame) Append(b []byte) ([]byte, error) {
	if len(f.Fields) > MaxFields {
		return b, fmt.Errorf("%w: %d fields, at most %d are taken", ErrTooLarge, len(f.Fields), MaxFields)
	}
	if f.Type == "" {
		return b, fmt.Errorf("%w: it has no type", ErrFrame)
	}
	if strings.ContainsAny(f.Type, "\n\r\x00") {
		return b, fmt.Errorf("%w: a line break or NUL in the type", ErrFrame)
	}
	out := append(b, header+"\nType: "...)
	out = append(append(out, f.Type...), '\n')
	for _, d := range f.Fields {
		path := PathField(d.Name)
		switch {
		case !validName(d.Name):
			return b, fmt.Errorf("%w: no field can have the name %.100q", ErrFrame, d.Name)
		case d.Name == "Type":
			return b, fmt.Errorf("%w: the type stands there twice", ErrFrame)
		case strings.IndexByte(d.Value, 0) >= 0 || !path && strings.ContainsAny(d.Value, "\n\r"):
			return b, fmt.Errorf("%w: a line break or NUL in the value of %s", ErrFrame, d.Name)
		}
		out = append(append(out, d.Name...), ": "...)
		if path {
			out = appendPath(out, d.Value)
		} else {
			out = append(out, d.Value...)
		}
		out = append(out, '\n')
	}
	out = append(out, '\n')
	if n := len(out) - len(b); n > MaxFrame {
		return b, fmt.Errorf("%w: %d bytes, at most %d are taken", ErrTooLarge, n, MaxFrame)
	}
	return out, nil
}

// PathField says whether a field holds a path or file name, in which line breaks are escaped.
func PathField(name string) bool {
	switch name {
	case "File", "Source", "Destination", "SourcePrefix", "SourceBase", "ManifestPath", "ManifestFile", "ManifestInprogress", "ServerDocroot", "ClientDocroot":
		return true
	}
	return false
}

func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return s != ""
}

const esc = 0x1b

// appendPath appends s with ESC n for a line feed, ESC r for a carriage return and ESC ESC for an escape character.
func appendPath(b []byte, s string) []byte {
	for {
		i := strings.IndexAny(s, "\n\r\x1b")
		if i < 0 {
			return append(b, s...)
		}
		b = append(b, s[:i]...)
		c := s[i]
		switch c {
		case '\n':
			c = 'n'
		case '\r':
			c = 'r'
		}
		b = append(b, esc, c)
		s = s[i+1:]
	}
}

// unescapePath undoes appendPath. An escape character with anything else behind it stands for itself.
func unescapePath(s string) string {
	i := strings.IndexByte(s, esc)
	if i < 0 {
		return s
	}
	b := []byte(s[:i])
	for s = s[i:]; s != ""; {
		if s[0] == esc && len(s) > 1 {
			c := byte(0)
			switch s[1] {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case esc:
				c = esc
			}
			if c != 0 {
				b, s = append(b, c), s[2:]
				continue
			}
		}
		b, s = append(b, s[0]), s[1:]
	}
	return string(b)
}
