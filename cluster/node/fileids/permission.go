package fileids

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/state"
)

const (
	maxAccessID    = 200      // bytes
	maxTags        = 64 << 10 // bytes
	maxPermissions = 100_000  // of a key
)

// permissionDoc is what the state store keeps of a permission beside its columns.
type permissionDoc struct {
	Levels    levels          `json:"levels"`
	Tags      json.RawMessage `json:"tags,omitempty"`
	CreatedBy string          `json:"created_by"`
	UpdatedBy string          `json:"updated_by"`
}

func readDoc(p state.Permission) (d permissionDoc, err error) {
	if err := json.Unmarshal(p.Doc, &d); err != nil {
		return d, fmt.Errorf("permission %d: %w", p.ID, err)
	}
	return d, nil
}

func (d permissionDoc) encode() (json.RawMessage, error) { return json.Marshal(d) }

// access is who a permission is for, as the state store finds it.
func access(kind, id string) string { return kind + ":" + id }

// viewPermission is a permission as answers show it.
func viewPermission(p state.Permission, d permissionDoc) api.FilePermission {
	kind, id, _ := strings.Cut(p.Access, ":")
	out := api.FilePermission{
		ID: idText(p.ID), FileID: idText(p.File), AccessType: kind, AccessID: id, AccessLevels: d.Levels.names(), AccessLevel: d.Levels.word(), Tags: d.Tags,
		CreatedBy: d.CreatedBy, CreatedAt: timeOf(p.Created, api.TimeFormat), UpdatedBy: d.UpdatedBy, UpdatedAt: timeOf(p.Updated, api.TimeFormat),
	}
	if len(out.Tags) == 0 {
		out.Tags = json.RawMessage("{}")
	}
	return out
}

// checkAccess wants somebody whom a permission can be for.
func checkAccess(in *api.PermissionRequest) error {
	switch {
	case in.AccessType != api.AccessUser && in.AccessType != api.AccessGroup:
		return api.Errorf(http.StatusBadRequest, "access_type: want user or group")
	case in.AccessID == "":
		return api.Errorf(http.StatusBadRequest, "access_id: is missing")
	case len(in.AccessID) > maxAccessID || !utf8.ValidString(string(in.AccessID)) || strings.ContainsRune(string(in.AccessID), 0):
		return api.Errorf(http.StatusBadRequest, "access_id: want text of at most %d bytes", maxAccessID)
	}
	return nil
}

// change takes over what a request says of levels and tags.
func (d *permissionDoc) change(in *api.PermissionRequest) (err error) {
	switch {
	case in.AccessLevel != "" && len(in.AccessLevels) > 0:
		return api.Errorf(http.StatusBadRequest, "access_levels and access_level: want one of them")
	case in.AccessLevel != "":
		d.Levels, err = parseWord(in.AccessLevel)
	case in.AccessLevels != nil:
		if d.Levels, err = parseLevels(in.AccessLevels); err == nil && d.Levels == 0 {
			err = api.Errorf(http.StatusBadRequest, "access_levels: want at least one; delete the permission to take it back")
		}
	}
	if err != nil || in.Tags == nil {
		return err
	}
	tags := bytes.TrimSpace(in.Tags)
	if len(tags) > maxTags || len(tags) == 0 || tags[0] != '{' {
		return api.Errorf(http.StatusBadRequest, "tags: want an object of at most %d bytes", maxTags)
	}
	d.Tags = tags
	return nil
}
