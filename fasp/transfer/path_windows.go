package transfer

import (
	"path/filepath"
	"strings"
)

// platformBadName says why this system cannot hold the name, or "". A backslash or a colon would make
// one element of the name into several, or into another drive or stream.
func platformBadName(name string) string {
	if strings.ContainsAny(name, `\:*?"<>|`) {
		return "holds a character that Windows gives a meaning"
	}
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return "is a name that Windows reserves"
	}
	return ""
}
