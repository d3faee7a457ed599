package transfer

import (
	"errors"
	"fmt"
	"strings"
)

// Filter is one rule of an ordered list: the first rule whose pattern matches decides, and what no rule
// matches is included.
//
// In a pattern, * stands for any run of characters but /, ? for one, [a-z] for one of a set, and ** for
// any run with /. A pattern without / is matched with the last element of a path. A pattern that begins
// with / is matched with the whole path as it will stand below the destination; other patterns with a /
// may match its end. A pattern that ends in / matches folders only: /**/ is every folder. The content of
// an excluded folder is not visited.
type Filter struct {
	Exclude bool
	Pattern string
}

// check says what is wrong with a pattern: a set that does not end, is empty or runs backwards, or a \ with nothing
// behind it.
func (f Filter) check() error {
	for pat := f.Pattern; pat != ""; {
		width := 1
		switch pat[0] {
		case '\\':
			if width = 2; len(pat) < 2 {
				return errors.New(`the pattern ends in \; write \\ for the character itself`)
			}
		case '[':
			end := strings.IndexByte(pat[1:], ']')
			if end < 0 {
				return errors.New(`the pattern has a [ without its ]; write \[ for the character itself`)
			}
			set := pat[1 : 1+end]
			if set != "" && (set[0] == '!' || set[0] == '^') {
				set = set[1:]
			}
			if set == "" {
				return errors.New(`the pattern has an empty set []`)
			}
			for i := 0; i+2 < len(set); i++ {
				if set[i+1] == '-' {
					if set[i] > set[i+2] {
						return errors.New(`the pattern has a range that runs backwards`)
					}
					i += 2
				}
			}
			width = end + 2
		}
		pat = pat[width:]
	}
	return nil
}

// filterSet decides over paths. It is immutable.
type filterSet []Filter

// excluded says whether the rules leave out the entry at name, a slash path below the destination.
func (fs filterSet) excluded(name string, dir bool) bool {
	for _, f := range fs {
		if f.match(name, dir) {
			return f.Exclude
		}
	}
	return false
}

func (f Filter) match(name string, dir bool) bool {
	pat := f.Pattern
	if strings.HasSuffix(pat, "/") {
		if !dir {
			return false
		}
		pat = strings.TrimSuffix(pat, "/")
		if pat == "" {
			return false
		}
	}
	switch {
	case pat == "":
		return false
	case pat[0] == '/':
		return glob(pat[1:], name, false)
	case !strings.Contains(pat, "/") && !strings.Contains(pat, "**"):
		_, base := splitName(name)
		return glob(pat, base, false)
	}
	return glob(pat, name, true)
}

// checkFilters refuses what a request may not carry: malformed patterns, and too many bytes of them.
func checkFilters(list []Filter) error {
	n := 0
	for _, f := range list {
		if err := f.check(); err != nil {
			return fmt.Errorf("filter %q: %w", clip(f.Pattern, 64), err)
		}
		if len(f.Pattern) > maxName {
			return fmt.Errorf("filter %q...: longer than %d bytes", clip(f.Pattern, 64), maxName)
		}
		n += len(f.Pattern)
	}
	if n > maxFilterBytes {
		return fmt.Errorf("filter rules take more than %d bytes", maxFilterBytes)
	}
	return nil
}

// glob matches s with pat: as a whole, or with tail also what stands behind any / of it.
func glob(pat, s string, tail bool) bool {
	ok, _ := globSteps(pat, s, tail)
	return ok
}

// globSteps is glob, and counts its steps, each of which looks at a byte of the pattern. They are at most a small
// multiple of len(pat)*len(s), and of len(pat)+len(s) for patterns that people write, so that no pattern from
// outside can stall it.
//
// Where the two part, it goes back to the last * before and lets that take one byte more; when that may not, as a /
// comes, to the last **. It never goes back to a star before the last of its kind: what the last one has passed over,
// an earlier one could only pass over, too. tail is a ** in front of the pattern that stops only behind a /.
func globSteps(pat, s string, tail bool) (ok bool, steps int) {
	const none = -1
	p, i := 0, 0
	star, starAt := none, 0 // what follows the last *, and where in s that is tried
	deep, deepAt := none, 0 // the same of the last **
	if tail {
		deep = 0
	}
	for {
		steps++
		switch {
		case p == len(pat):
			if i == len(s) {
				return true, steps
			}
		case pat[p] == '*':
			n := p
			for n < len(pat) && pat[n] == '*' {
				n++
			}
			steps += n - p
			if n-p > 1 {
				deep, deepAt, star, tail = n, i, none, false
			} else {
				star, starAt = n, i
			}
			p = n
			continue
		case i == len(s):
			return false, steps // from further back it would end even sooner
		default:
			in, width := matchByte(pat[p:], s[i])
			steps += width
			if in {
				p += width
				i++
				continue
			}
		}
		if star != none && s[starAt:] != "" && s[starAt] != '/' {
			starAt++
			p, i = star, starAt
			continue
		}
		if deep == none {
			return false, steps
		}
		// A * has tried the rest of this element already, if there was one.
		if star != none || tail {
			j := strings.IndexByte(s[deepAt:], '/')
			if j < 0 {
				return false, steps
			}
			steps += j
			deepAt += j
		}
		if deepAt == len(s) {
			return false, steps
		}
		deepAt++
		p, i, star = deep, deepAt, none
	}
}

// matchByte says whether the first item of pat, which is no star, matches b, and how long that item is. Bytes are
// matched, so ? stands for one byte of a longer UTF-8 sequence; the continuation bytes are matched by one ? each.
func matchByte(pat string, b byte) (ok bool, width int) {
	switch pat[0] {
	case '?':
		return b != '/', 1
	case '\\':
		if len(pat) > 1 {
			return b == pat[1], 2
		}
	case '[':
		end := strings.IndexByte(pat[1:], ']')
		if end <= 0 {
			break
		}
		body := pat[1 : 1+end]
		not := body[0] == '!' || body[0] == '^'
		if not {
			body = body[1:]
		}
		in := false
		for i := 0; i < len(body); i++ {
			if i+2 < len(body) && body[i+1] == '-' {
				in = in || body[i] <= b && b <= body[i+2]
				i += 2
				continue
			}
			in = in || body[i] == b
		}
		return in != not && b != '/', end + 2
	}
	return b == pat[0], 1
}
