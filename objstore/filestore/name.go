package filestore

import (
	"crypto/rand"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"
)

// What the names of hidden files end in.
const (
	tempSuffix  = ".tradewind-temp"
	dataSuffix  = ".tradewind-data"
	stateSuffix = ".tradewind-state"
)

// hidden says whether the last element of a path is a name of ours.
func hidden(base string) bool {
	return strings.HasPrefix(base, ".") &&
		(strings.HasSuffix(base, tempSuffix) || strings.HasSuffix(base, dataSuffix) || strings.HasSuffix(base, stateSuffix))
}

// valid says whether key is the path of a file below the folder.
func valid(key string) bool {
	if key == "" || len(key) > maxKey || strings.IndexByte(key, 0) >= 0 {
		return false
	}
	for elem := range strings.SplitSeq(key, "/") {
		if elem == "" || elem == "." || elem == ".." || hidden(elem) {
			return false
		}
	}
	// On Windows "\" and ":" would mean something, and some names are devices.
	return runtime.GOOS != "windows" || !strings.ContainsAny(key, `\:`) && filepath.IsLocal(filepath.FromSlash(key))
}

// native is the path as the system writes it.
func native(key string) string {
	if key == "" {
		return "."
	}
	return filepath.FromSlash(key)
}

// split returns the folder of a key, "" for the top, and its last element.
func split(key string) (dir, base string) {
	i := strings.LastIndexByte(key, '/')
	return key[:max(i, 0)], key[i+1:]
}

// join is the other way round.
func join(dir, base string) string {
	if dir == "" {
		return base
	}
	return dir + "/" + base
}

// maxElement is how long a name in a folder may be, in bytes.
const maxElement = 255

// beside returns the path of a hidden file beside the one at key.
func beside(key, id, suffix string) string {
	dir, base := split(key)
	if most := maxElement - len(".") - len(".") - len(id) - len(suffix); len(base) > most {
		base = base[:most]
		for utf8.ValidString(key) && !utf8.ValidString(base) {
			base = base[:len(base)-1] // some file systems take whole characters only
		}
	}
	return join(dir, "."+base+"."+id+suffix)
}

// newID returns a name that nobody else has.
func newID() string { return strings.ToLower(rand.Text()) }

// validID says whether an ID may be part of a file's name.
func validID(id string) bool {
	if len(id) < 16 || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
