package twcp

import (
	"io"
	"os"
	"strings"

	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// maxList bounds the size of a list of files, bytes.
const maxList = 1 << 30

// readLines returns the lines of a list; name - is stdin. Lines end with a line feed, the last one need not. Empty lines are kept.
func readLines(name string, stdin io.Reader) ([]string, error) {
	r := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usagef("list: %w", err)
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxList+1))
	if err != nil {
		return nil, usagef("list: %w", err)
	}
	if len(b) > maxList {
		return nil, usagef("list: %s is larger than %d bytes", name, maxList)
	}
	text := strings.TrimSuffix(string(b), "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// parseList makes paths of the lines of a --file-list; empty lines are skipped.
func parseList(lines []string) []transfer.Path {
	var paths []transfer.Path
	for _, l := range lines {
		if l != "" {
			paths = append(paths, transfer.Path{Source: l})
		}
	}
	return paths
}

// parsePairs makes paths of the lines of a --file-pair-list.
func parsePairs(lines []string) ([]transfer.Path, error) {
	if len(lines)%2 != 0 {
		return nil, usagef("--file-pair-list: the last source has no destination: the list has %d lines", len(lines))
	}
	var paths []transfer.Path
	for i := 0; i < len(lines); i += 2 {
		if lines[i] == "" || lines[i+1] == "" {
			return nil, usagef("--file-pair-list: line %d or %d is empty", i+1, i+2)
		}
		paths = append(paths, transfer.Path{Source: lines[i], Destination: lines[i+1]})
	}
	return paths, nil
}
