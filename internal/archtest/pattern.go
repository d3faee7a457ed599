package archtest

import "strings"

// patterns is a set of packages; see the package comment for the syntax.
type patterns []string

// match says whether the package is in the set. std says whether it belongs to
// the standard library.
func (ps patterns) match(name string, std bool) bool {
	in := false
	for _, p := range ps {
		p, without := strings.CutPrefix(p, "!")
		if matchOne(p, name, std) {
			in = !without
		}
	}
	return in
}

func matchOne(pattern, name string, std bool) bool {
	if pattern == "std" {
		return std
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == base || strings.HasPrefix(name, base+"/")
	}
	return name == pattern
}
