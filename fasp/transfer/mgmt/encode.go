package mgmt

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// frame builds one frame after the other in the same buffer. Unlike Frame.Append it takes every text: what a frame cannot carry is replaced, since what a
// file or an error is called is not ours to choose and a manager is told of it nevertheless.
type frame struct{ b []byte }

func (f *frame) begin(typ string) {
	f.b = append(append(append(f.b[:0], header+"\nType: "...), typ...), '\n')
}

// raw adds whole lines.
func (f *frame) raw(lines []byte) { f.b = append(f.b, lines...) }

func (f *frame) name(name string) { f.b = append(append(f.b, name...), ": "...) }

func (f *frame) num(name string, v int64) {
	f.name(name)
	f.b = append(strconv.AppendInt(f.b, v, 10), '\n')
}

func (f *frame) flag(name string, v bool) {
	if v {
		f.text(name, "Yes")
	} else {
		f.text(name, "No")
	}
}

// text adds free text: controls and what other programs take for the end of a line become blanks.
func (f *frame) text(name, v string) {
	f.name(name)
	f.b = append(f.b, cleanText(v)...)
	f.b = append(f.b, '\n')
}

// optional is text that is left out where it is empty.
func (f *frame) optional(name, v string) {
	if v != "" {
		f.text(name, v)
	}
}

// path adds a path, escaped. What is not UTF-8, and a NUL, become U+FFFD.
func (f *frame) path(name, v string) {
	f.name(name)
	f.b = appendPath(f.b, cleanPath(v))
	f.b = append(f.b, '\n')
}

func (f *frame) hex(name string, v []byte) {
	const digits = "0123456789abcdef"
	f.name(name)
	for _, c := range v {
		f.b = append(f.b, digits[c>>4], digits[c&15])
	}
	f.b = append(f.b, '\n')
}

func (f *frame) end() { f.b = append(f.b, '\n') }

// maxText bounds a text, and maxPath a path, in bytes. What is written may be three times as long, where nothing of it is UTF-8, and the frame with most of them stays below MaxFrame even so.
const (
	maxText = 2 << 10
	maxPath = 8 << 10
)

func cleanText(s string) string {
	s = clip(s, maxText)
	if plain(s) {
		return s
	}
	return strings.Map(func(r rune) rune { // invalid bytes come as U+FFFD, and go as that
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

func cleanPath(s string) string {
	s = clip(s, maxPath)
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

// plain says whether all of s is printable ASCII.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// clip cuts s to n bytes, not within a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := 0; i < utf8.UTFMax-1 && n > 0 && !utf8.RuneStart(s[n]); i++ {
		n--
	}
	return s[:n]
}
