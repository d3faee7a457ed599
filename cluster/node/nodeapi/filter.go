package nodeapi

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/cluster/api"
)

const (
	maxPatterns = 64
	maxPattern  = 255 // bytes of one
)

// filter is api.Filters made ready.
type filter struct {
	api.Filters
	fold         bool // names are compared without case
	since, until int64
}

// newFilter checks f, which may be nil.
func newFilter(f *api.Filters, caseSensitive bool) (*filter, error) {
	bad := func(format string, args ...any) (*filter, error) {
		return nil, api.Errorf(http.StatusBadRequest, "filters."+format, args...)
	}
	c := &filter{fold: !caseSensitive}
	if f != nil {
		c.Filters = *f
	}
	for _, t := range c.Types {
		if !slices.Contains([]string{api.TypeFile, api.TypeDirectory, api.TypeSymlink, api.TypeSpecial}, t) {
			return bad("types: %q: want file, directory, symbolic_link or special", clip(t))
		}
	}
	if len(c.Basenames)+len(c.OutBasenames) > maxPatterns {
		return bad("basenames: more than %d patterns", maxPatterns)
	}
	c.Basenames, c.OutBasenames = c.folded(c.Basenames), c.folded(c.OutBasenames)
	for _, p := range slices.Concat(c.Basenames, c.OutBasenames) {
		if _, err := path.Match(p, ""); err != nil || p == "" || len(p) > maxPattern {
			return bad("basenames: %q is not a pattern; they know * ? and [a-z], and have up to %d bytes", clip(p), maxPattern)
		}
	}
	for _, t := range []struct {
		name, text string
		at         *int64
	}{{"mtime_min", c.MtimeMin, &c.since}, {"mtime_max", c.MtimeMax, &c.until}} {
		if t.text == "" {
			continue
		}
		when, err := time.Parse(time.RFC3339, t.text)
		if err != nil {
			return bad("%s: want a time such as 2026-01-31T12:00:00Z", t.name)
		}
		*t.at = when.UnixNano()
	}
	return c, nil
}

func (c *filter) folded(list []string) []string {
	if !c.fold {
		return list
	}
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = strings.ToLower(p)
	}
	return out
}

// pass says whether e is one of those wanted.
func (c *filter) pass(e *entry) bool {
	if len(c.Types) > 0 && !slices.Contains(c.Types, e.kind()) {
		return false
	}
	if len(c.Basenames)+len(c.OutBasenames) > 0 {
		base := path.Base(e.name)
		if c.fold {
			base = strings.ToLower(base)
		}
		matches := func(p string) bool {
			ok, err := path.Match(p, base)
			return ok && err == nil // which newFilter has made sure of
		}
		if len(c.Basenames) > 0 && !slices.ContainsFunc(c.Basenames, matches) || slices.ContainsFunc(c.OutBasenames, matches) {
			return false
		}
	}
	if c.SizeMin != nil && e.size < *c.SizeMin || c.SizeMax != nil && e.size > *c.SizeMax {
		return false
	}
	if c.MtimeMin != "" && e.mtime < c.since || c.MtimeMax != "" && e.mtime > c.until {
		return false
	}
	if c.DepthMin != nil || c.DepthMax != nil {
		d := strings.Count(e.name, "/")
		return (c.DepthMin == nil || d >= *c.DepthMin) && (c.DepthMax == nil || d <= *c.DepthMax)
	}
	return true
}

// byName says whether names alone decide what passes.
func (c *filter) byName() bool {
	f := &c.Filters
	return len(f.Types) == 0 && f.SizeMin == nil && f.SizeMax == nil && f.MtimeMin == "" && f.MtimeMax == ""
}
