package transfer

import "strings"

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
		return glob(pat, "/"+name)
	case !strings.Contains(pat, "/") && !strings.Contains(pat, "**"):
		_, base := splitName(name)
		return glob(pat, base)
	}
	full := "/" + name
	for i := 0; i < len(full); i++ {
		if full[i] == '/' && glob(pat, full[i+1:]) {
			return true
		}
	}
	return false
}

// glob matches s with pat as a whole. It runs in O(len(pat)*len(s)): a row of the table of "the first i
// bytes of pat match the first j bytes of s" at a time, so that no pattern from outside can stall it.
func glob(pat, s string) bool {
	row := make([]bool, len(s)+1)
	row[0] = true
	for len(pat) > 0 {
		switch c := pat[0]; c {
		case '*':
			cross := strings.HasPrefix(pat, "**")
			pat = strings.TrimLeft(pat, "*")
			for j := 1; j <= len(s); j++ {
				row[j] = row[j] || row[j-1] && (cross || s[j-1] != '/')
			}
		default:
			set, width := oneByte(pat)
			for j := len(s); j > 0; j-- {
				row[j] = row[j-1] && set(s[j-1])
			}
			row[0] = false
			pat = pat[width:]
		}
	}
	return row[len(s)]
}

// oneByte returns what the first item of pat matches, and the item's length. Bytes are matched, so ?
// stands for one byte of a longer UTF-8 sequence; the continuation bytes are matched by one ? each.
func oneByte(pat string) (set func(byte) bool, width int) {
	switch c := pat[0]; c {
	case '?':
		return func(b byte) bool { return b != '/' }, 1
	case '\\':
		if len(pat) > 1 {
			lit := pat[1]
			return func(b byte) bool { return b == lit }, 2
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
		return func(b byte) bool {
			in := false
			for i := 0; i < len(body); i++ {
				if i+2 < len(body) && body[i+1] == '-' {
					in = in || body[i] <= b && b <= body[i+2]
					i += 2
					continue
				}
				in = in || body[i] == b
			}
			return in != not && b != '/'
		}, end + 2
	}
	lit := pat[0]
	return func(b byte) bool { return b == lit }, 1
}
