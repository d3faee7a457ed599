package apidoc

import (
	"fmt"
	"slices"
	"strings"
)

// checkReferences wants each reference of a document to lead to a component, and none to lead back to where it came from: there is no table of what has no end.
func checkReferences(doc value) error {
	var walk func(v value, way []string) error
	done := map[string]bool{}
	walk = func(v value, way []string) error {
		for _, f := range v.fields() {
			ref := f.v.text()
			if f.name != "$ref" || ref == "" {
				if err := walk(f.v, way); err != nil {
					return err
				}
				continue
			}
			to := v.resolve()
			switch {
			case !strings.HasPrefix(ref, "#/components/") || !to.there():
				return fmt.Errorf("apidoc: the reference %q leads to no component", ref)
			case slices.Contains(way, ref):
				return fmt.Errorf("apidoc: the reference %q leads back to itself", ref)
			case done[ref]:
				continue
			}
			if err := walk(to, append(slices.Clip(way), ref)); err != nil {
				return err
			}
			done[ref] = true
		}
		for _, i := range v.items() {
			if err := walk(i, way); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(doc, nil)
}
