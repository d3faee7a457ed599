package twcp

import (
	"path"
	"strings"
	"unicode/utf8"

	"github.com/tradewind-io/tradewind/cluster/node/sshd"
	"github.com/tradewind-io/tradewind/cluster/node/wsd"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// toManage asks for a ticket to look at files and arrange them.
func toManage() wsd.Question { return wsd.Question{For: "manage"} }

// maxPaths bounds the paths that a ticket names, in bytes; a token holds about three times as much.
const maxPaths = 8 << 10

// toTransfer asks for a ticket for a transfer.
func toTransfer(spec *transfer.Spec) wsd.Question {
	if id, err := spec.FolderID(); err == nil && id != "" { // paths are below a folder that only the node knows
		all := []string{"."}
		if spec.Direction == transfer.Receive {
			return wsd.Question{For: "download", Paths: all}
		}
		return wsd.Question{For: "upload", Paths: all}
	}
	if spec.Direction != transfer.Receive {
		return wsd.Question{For: "upload", Paths: bounds([]string{spec.Destination})}
	}
	paths := make([]string, len(spec.Paths))
	for i, p := range spec.Paths {
		paths[i] = p.Source
	}
	return wsd.Question{For: "download", Paths: bounds(paths)}
}

// command is a question as it is asked over SSH.
func command(q wsd.Question) string {
	b := strings.Builder{}
	b.WriteString("tradewind-ticket " + q.For)
	for _, p := range q.Paths {
		b.WriteString(" " + sshd.Quote(p))
	}
	return b.String()
}

// bounds are the paths that a ticket names for these: the paths, or the folder above them all where they are too many, or hold what no line of text can.
func bounds(paths []string) []string {
	if len(paths) == 0 {
		return []string{"."}
	}
	total, plain := 0, true
	clean := make([]string, len(paths))
	for i, p := range paths {
		for el := range strings.SplitSeq(p, "/") {
			if el == ".." {
				return []string{p} // which the node refuses in its own words
			}
		}
		clean[i] = strings.TrimPrefix(path.Clean("/"+p), "/")
		total += len(p) + 4
		plain = plain && isPlain(p)
	}
	if plain && total <= maxPaths {
		for i, p := range clean {
			if p == "" {
				clean[i] = "."
			}
		}
		return clean
	}
	above := strings.Split(clean[0], "/")
	for _, p := range clean[1:] {
		n := 0
		for el := range strings.SplitSeq(p, "/") {
			if n == len(above) || el != above[n] {
				break
			}
			n++
		}
		above = above[:n]
	}
	total = 0
	for i, el := range above {
		if total += len(el) + 1; !isPlain(el) || total > maxPaths {
			above = above[:i]
			break
		}
	}
	if all := strings.Join(above, "/"); all != "" {
		return []string{all}
	}
	return []string{"."}
}

func isPlain(s string) bool { return utf8.ValidString(s) && !strings.ContainsAny(s, "\x00\n\r") }
