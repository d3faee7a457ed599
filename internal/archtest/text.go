package archtest

import (
	"bytes"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
)

// checkText returns a line for every line of text that breaks a rule. It passes
// over testdata and over files that are not text.
func checkText(root fs.FS, rs []textRule) ([]string, error) {
	var found []string
	res := make([]*regexp.Regexp, len(rs))
	for i := range rs {
		re, err := regexp.Compile(rs[i].Pattern)
		if err != nil {
			return nil, err
		}
		res[i] = re
	}
	err := walk(root, func(name string) error {
		if inTestdata(name) {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if bytes.IndexByte(text[:min(len(text), 8000)], 0) >= 0 {
			return nil
		}
		for i := range rs {
			if slices.Contains(rs[i].Except, name) {
				continue
			}
			for n, line := range bytes.Split(text, []byte("\n")) {
				if m := res[i].Find(line); m != nil {
					found = append(found, fmt.Sprintf("%s:%d: %q: %s", name, n+1, m, rs[i].Reason))
				}
			}
		}
		return nil
	})
	return found, err
}
