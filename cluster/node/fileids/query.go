package fileids

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tradewind-io/tradewind/cluster/api"
)

const (
	defaultPage = 100
	maxPage     = 1000    // items of an answer
	maxReach    = 100_000 // page * per_page, which is what has to be kept while listing
)

// many reads a parameter that may stand several times, also as name[], and have several values with commas between.
func many(v url.Values, name string) (list []string) {
	for _, text := range slices.Concat(v[name], v[name+"[]"]) {
		for one := range strings.SplitSeq(text, ",") {
			if one != "" {
				list = append(list, one)
			}
		}
	}
	return list
}

// number reads a parameter from least to most; def if it is not there.
func number(v url.Values, name string, def, least, most int64) (int64, error) {
	text := v.Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, api.Errorf(http.StatusBadRequest, "%s: want a number from %d to %d", name, least, most)
	}
	return n, nil
}

// pages reads page and per_page.
func pages(v url.Values) (skip, count int, err error) {
	per, err := number(v, "per_page", defaultPage, 1, maxPage)
	if err != nil {
		return 0, 0, err
	}
	page, err := number(v, "page", 1, 1, maxReach/per)
	return int((page - 1) * per), int(per), err
}

// filter chooses entries of a folder.
type filter struct {
	name, glob, iglob string
	types             []string
	minSize, maxSize  int64
	since, until      int64 // nanoseconds since 1970, inclusive
	timed             bool
	none              bool
}

func newFilter(v url.Values) (f filter, err error) {
	f = filter{name: v.Get("name"), glob: v.Get("name_glob"), iglob: strings.ToLower(v.Get("name_iglob")), types: many(v, "type")}
	const most = 1 << 62
	if f.minSize, err = number(v, "min_size", 0, 0, most); err != nil {
		return f, err
	}
	if f.maxSize, err = number(v, "max_size", -1, 0, most); err != nil {
		return f, err
	}
	for _, glob := range []string{f.glob, f.iglob} {
		if _, err := path.Match(glob, ""); err != nil {
			return f, api.Errorf(http.StatusBadRequest, "name_glob, name_iglob: want patterns with *, ? and [a-z]")
		}
	}
	for _, t := range f.types {
		if t != api.EntryFile && t != api.EntryFolder && t != api.EntryLink {
			return f, api.Errorf(http.StatusBadRequest, "type: want file, folder or link")
		}
	}
	f.since, f.until = -1<<63, 1<<63-1
	for _, t := range []struct {
		name string
		at   *int64
	}{{"min_modified_time", &f.since}, {"max_modified_time", &f.until}} {
		text := v.Get(t.name)
		if text == "" {
			continue
		}
		when, err := time.Parse(time.RFC3339, text)
		if err != nil || when.Year() < 1970 || when.Year() > 2200 {
			return f, api.Errorf(http.StatusBadRequest, "%s: want a time such as 2026-01-31T12:00:00Z", t.name)
		}
		*t.at, f.timed = when.UnixNano(), true
	}
	f.none = v.Get("target_id") != "" || v.Get("target_node_id") != "" // no entry leads to another node
	return f, nil
}

// pass says whether an entry is one of those wanted. Sizes choose among files, and times among what has one.
func (f *filter) pass(i *item) bool {
	match := func(glob, name string) bool {
		ok, err := path.Match(glob, name)
		return glob == "" || ok && err == nil // which newFilter has made sure of
	}
	switch {
	case f.none, f.name != "" && i.name != f.name, !match(f.glob, i.name), !match(f.iglob, strings.ToLower(i.name)):
		return false
	case len(f.types) > 0 && !slices.Contains(f.types, kindOf(i.mode)):
		return false
	case (f.minSize > 0 || f.maxSize >= 0) && (!i.mode.IsRegular() || i.size < f.minSize || f.maxSize >= 0 && i.size > f.maxSize):
		return false
	case f.timed && (i.mtime == 0 || i.mtime < f.since || i.mtime > f.until):
		return false
	}
	return true
}

// byName says whether names alone decide what passes.
func (f *filter) byName() bool {
	return len(f.types) == 0 && f.minSize == 0 && f.maxSize < 0 && !f.timed
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that has gone away is its own affair
	return nil
}
