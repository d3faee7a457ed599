package fileids

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// levels are what somebody may do with a file, or with a folder and all below it. The zero value is nothing.
type levels uint8

const (
	canList levels = 1 << iota
	canRead
	canWrite // make files
	canDelete
	canMkdir
	canRename
	canPreview
)

// levelNames are the words of the API, in the order of the bits.
var levelNames = [...]string{"list", "read", "write", "delete", "mkdir", "rename", "preview"}

const (
	levelsView = canList | canRead | canPreview
	levelsEdit = 1<<len(levelNames) - 1
)

// levelsOf is what a key with these rights allows.
func levelsOf(r accesskey.Rights) (l levels) {
	for _, x := range []struct {
		on bool
		l  levels
	}{{r.List, canList}, {r.Read, canRead | canPreview}, {r.Write, canWrite | canMkdir}, {r.Delete, canDelete}, {r.Write && r.Delete, canRename}} {
		if x.on {
			l |= x.l
		}
	}
	return l
}

// names lists the words; it is not nil.
func (l levels) names() []string {
	list := []string{}
	for i, name := range levelNames {
		if l&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}

func (l levels) String() string { return strings.Join(l.names(), ", ") }

// word is the one word for all of them, where there is one.
func (l levels) word() string {
	switch {
	case l == levelsEdit:
		return "edit"
	case l&levelsView == levelsView:
		return "view"
	}
	return ""
}

// parseLevels reads the words.
func parseLevels(names []string) (l levels, err error) {
	for _, name := range names {
		one := levels(0)
		for i, n := range levelNames {
			if n == name {
				one = 1 << i
			}
		}
		if one == 0 {
			return 0, api.Errorf(http.StatusBadRequest, "access_levels: want some of %s", levels(levelsEdit))
		}
		l |= one
	}
	return l, nil
}

// parseWord reads the one word for several.
func parseWord(word string) (levels, error) {
	switch word {
	case "view":
		return levelsView, nil
	case "edit":
		return levelsEdit, nil
	}
	return 0, api.Errorf(http.StatusBadRequest, "access_level: want view or edit")
}

// MarshalJSON writes the words.
func (l levels) MarshalJSON() ([]byte, error) { return json.Marshal(l.names()) }

// UnmarshalJSON reads them.
func (l *levels) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	got, err := parseLevels(names)
	if err != nil {
		return fmt.Errorf("levels of a permission: %w", err)
	}
	*l = got
	return nil
}
