package transfer

import (
	"crypto/rand"
	"path"
	"strconv"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/tradewind-io/tradewind/objstore"
)

// checkName refuses names from a peer that are not plain slash-separated paths below a folder. What it
// lets pass may still lead through a symbolic link; the Store refuses that.
func checkName(name string) error {
	bad := func(why string) error {
		return failf(CodeBadPath, name, "name refused: %s", why)
	}
	switch {
	case name == "":
		return bad("empty")
	case len(name) > maxName:
		return failf(CodePathTooLong, name[:64], "name refused: longer than %d bytes", maxName)
	case name[0] == '/':
		return bad("absolute")
	case strings.IndexByte(name, 0) >= 0:
		return bad("holds a NUL byte")
	}
	if why := platformBadName(name); why != "" {
		return bad(why)
	}
	for rest := name; ; {
		el, after, more := strings.Cut(rest, "/")
		switch {
		case el == "":
			return bad("holds an empty element")
		case el == "." || el == "..":
			return bad("holds " + strconv.Quote(el))
		case isPartial(el):
			return bad("looks like a partial file of a transfer")
		}
		if !more {
			return nil
		}
		rest = after
	}
}

// Names of files that are not finished (docs/protocol-transfer.md section 27.1). They are hidden, and
// neither sent nor accepted as names of files.
const (
	partSuffix  = ".tw-part"
	stateSuffix = ".tw-ckpt"
	noteSuffix  = ".tw-note" // the note about a file that several jobs write (section 31.3)
	maxBase     = 255        // bytes of a file name that file systems take
)

// isPartial says whether base is the name of an unfinished file or of its checkpoint, in whatever case: some file
// systems make no difference.
func isPartial(base string) bool {
	if !mayBePartial(base) {
		return false
	}
	if strings.HasSuffix(strings.ToLower(base), objstore.UploadSuffix) {
		return true
	}
	if !strings.HasPrefix(base, ".") {
		return false
	}
	base, next := strings.CutSuffix(strings.ToLower(base), ".new")
	if i := strings.LastIndexByte(base, '~'); i >= 0 && strings.Trim(base[i+1:], "0123456789abcdef") == "" {
		base = base[:i] // the tag
	}
	return strings.HasSuffix(base, stateSuffix) || !next && (strings.HasSuffix(base, partSuffix) || strings.HasSuffix(base, noteSuffix))
}

const uploadEnd = 'd' // of objstore.UploadSuffix; no other letter than D becomes it in lower case

// mayBePartial is false for nearly all names that isPartial is false for, and takes next to no time.
func mayBePartial[S string | []byte](base S) bool {
	return len(base) > 0 && (base[0] == '.' || base[len(base)-1]|0x20 == uploadEnd)
}

// hasPartialElement says whether an element of the slash path p is the name of an unfinished file.
func hasPartialElement(p string) bool {
	for el := range strings.SplitSeq(p, "/") {
		if isPartial(el) {
			return true
		}
	}
	return false
}

// partialName returns the name beside base that carries suffix and, if not empty, tag, in hex. The tag stands behind
// the suffix, where no file's own name gets, so that names with and without one never meet. Where the name would be
// longer than a file system takes, it is cut and marked with a hash. Cut names fill the whole length and others do
// not, so that these never meet either.
func partialName(base, tag, suffix string) string {
	n := "." + base
	room := maxBase - len(suffix) - len(".new") - 1 - 2*tagBytes // whether there is a tag or not: all of a file's names are cut alike
	if tag != "" {
		suffix += "~" + tag
	}
	if len(n) < room {
		return n + suffix
	}
	sum := blake3.Sum256([]byte(n))
	const hexLen = 16
	mark := "~" + hexOf(sum[:hexLen/2])
	keep := room - len(mark)
	for keep > 0 && n[keep]&0xC0 == 0x80 { // do not cut a UTF-8 sequence: some file systems refuse that
		keep--
	}
	return n[:keep] + strings.Repeat("~", room-len(mark)-keep) + mark + suffix
}

// tagBytes is the length of the tags of temporary names, in bytes before they are written in hex.
const tagBytes = 8

// randomTag returns a tag that nobody else has or can foresee.
func randomTag() string {
	var b [tagBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	return hexOf(b[:])
}

func hexOf(p []byte) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 2*len(p))
	for _, b := range p {
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out)
}

// cleanPath makes a slash path relative to a root out of what a user wrote: "/a/./b/" becomes "a/b" and
// the root itself ".". Any ".." is refused, and any name of a partial file.
func cleanPath(p string) (string, error) {
	if strings.IndexByte(p, 0) >= 0 || len(p) > maxName {
		return "", failf(CodeBadPath, clip(p, 64), "path refused")
	}
	for el := range strings.SplitSeq(p, "/") {
		if el == ".." {
			return "", failf(CodeBadPath, p, `path refused: holds ".."`)
		}
		if isPartial(el) {
			return "", failf(CodeBadPath, p, "path refused: leads to a partial file of a transfer")
		}
	}
	p = strings.TrimLeft(path.Clean("/"+p), "/")
	if p == "" {
		return ".", nil
	}
	return p, nil
}

// joinName joins a folder and a name below it; "." is the root.
func joinName(dir, name string) string {
	switch {
	case dir == "." || dir == "":
		return name
	case name == "" || name == ".":
		return dir
	}
	return dir + "/" + name
}

// splitName cuts a name into its folder ("." for the root) and its last element.
func splitName(name string) (dir, base string) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return ".", name
}
