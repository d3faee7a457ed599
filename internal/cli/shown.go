package cli

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Shown is a text as a terminal gets it: what others have chosen, names of files and notes of keys among it, must not steer it, nor pass for further lines of a table. What is not printable is quoted as in Go.
func Shown(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
