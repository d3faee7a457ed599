package archtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkImports returns a line for every import that breaks a rule, sorted and
// without repeats.
func checkImports(g graph, r rules) []string {
	found := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(g)) {
		p := g[name]
		if !p.Module {
			continue
		}
		for i := range r.reach {
			if r.reach[i].From.match(p.Name, p.Std) {
				checkReach(g, p, &r.reach[i], found)
			}
		}
		for i := range r.importers {
			checkImporter(g, p, &r.importers[i], found)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// checkReach walks all that p depends on, nearest first, so that the chain it
// reports is a shortest one. It does not look behind a package that breaks the
// rule, nor through one that the rule binds too and that reports for itself.
func checkReach(g graph, p *pkg, r *reachRule, found map[string]bool) {
	parent := map[string]string{p.Name: ""}
	for queue := []string{p.Name}; len(queue) > 0; queue = queue[1:] {
		at := g[queue[0]]
		if at == nil {
			continue // go list reports missing packages, and the build fails
		}
		for _, next := range at.Imports {
			if _, seen := parent[next]; seen {
				continue
			}
			parent[next] = at.Name
			std := g[next] != nil && g[next].Std
			switch {
			case r.Never.match(next, std), len(r.Only) > 0 && !r.Only.match(next, std):
				found[fmt.Sprintf("%s: %s", chain(parent, next), r.Reason)] = true
			case std && !slices.Contains(r.Only, "std") || !std && !r.From.match(next, std):
				queue = append(queue, next)
			}
		}
	}
}

// chain writes the way from the start of a walk to name.
func chain(parent map[string]string, name string) string {
	var names []string
	for ; name != ""; name = parent[name] {
		names = append(names, name)
	}
	slices.Reverse(names)
	return strings.Join(names, " -> ")
}

func checkImporter(g graph, p *pkg, r *importerRule, found map[string]bool) {
	if r.From.match(p.Name, p.Std) || r.Packages.match(p.Name, p.Std) {
		return
	}
	for _, imp := range p.Imports {
		if r.Packages.match(imp, g[imp] != nil && g[imp].Std) {
			found[fmt.Sprintf("%s -> %s: %s", p.Name, imp, r.Reason)] = true
		}
	}
}
