package sshd

import (
	"errors"
	"strings"
)

// errWords are what can be wrong with a line.
var (
	errQuote     = errors.New("a double quote is not closed")
	errBackslash = errors.New("the line ends in a backslash")
	errControl   = errors.New("the line holds a NUL or a line break")
)

// splitWords takes a line apart. Words are separated by blanks and tabs. In double quotes these are characters like others, and a backslash makes of the character after it, whichever, one without meaning.
func splitWords(line string) ([]string, error) {
	if strings.ContainsAny(line, "\x00\n\r") {
		return nil, errControl
	}
	var words []string
	var word strings.Builder
	begun, quoted := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\':
			if i++; i == len(line) {
				return nil, errBackslash
			}
			word.WriteByte(line[i])
			begun = true
		case c == '"':
			quoted, begun = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if quoted {
		return nil, errQuote
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// Quote writes a word so that it is read back as it is, whatever it holds but NUL and line breaks, which no word can have.
func Quote(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
