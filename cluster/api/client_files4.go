package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// EntryQuery chooses what Entries returns of a folder; zero values choose all.
type EntryQuery struct {
	After   string // an iteration token that Entries has returned; "" begins
	PerPage int    // 0 is 100, 1,000 are the most
	Sort    string // name, type, size or modified_time, or several with commas; "-" before one turns it round; "" is name
	Name    string
	Glob    string // pattern with * ? and [a-z]
	Type    string // file, folder or link
	// PermissionCounts asks for Entry.PermissionCount.
	PermissionCounts bool
}

func (q EntryQuery) encode() string {
	v := url.Values{}
	for name, value := range map[string]string{"iteration_token": q.After, "sort": q.Sort, "name": q.Name, "name_glob": q.Glob, "type": q.Type} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.PerPage > 0 {
		v.Set("per_page", strconv.Itoa(q.PerPage))
	}
	if q.PermissionCounts {
		v.Set("include", "permission_count")
	}
	return v.Encode()
}

func entryPath(id string) string { return "/files/" + url.PathEscape(id) }

// Entry describes a file or folder. include has what costs more: permission_count, recursive_counts.
func (c *Client) Entry(ctx context.Context, id string, include ...string) (Entry, error) {
	path := entryPath(id)
	if len(include) > 0 {
		path += "?" + url.Values{"include[]": include}.Encode()
	}
	return ask[Entry](ctx, c, http.MethodGet, path, nil)
}

// Entries returns a page of a folder, and the token of the next one, which is empty if there is none.
func (c *Client) Entries(ctx context.Context, id string, q EntryQuery) (list []Entry, next string, err error) {
	path := entryPath(id) + "/files"
	if text := q.encode(); text != "" {
		path += "?" + text
	}
	b, h, err := c.exchange(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, "", err
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, "", fmt.Errorf("GET %s: the answer: %w", entryPath(id), err)
	}
	return list, h.Get("X-Aspera-Next-Iteration-Token"), nil
}

// CreateEntry makes a file or folder in the folder of this id.
func (c *Client) CreateEntry(ctx context.Context, folder string, in NewEntry) (Entry, error) {
	return ask[Entry](ctx, c, http.MethodPost, entryPath(folder)+"/files", in)
}

// RenameEntry gives a file or folder another name in its folder. It keeps its id.
func (c *Client) RenameEntry(ctx context.Context, id, name string) error {
	return c.call(ctx, http.MethodPut, entryPath(id), RenameEntry{name}, nil)
}

// DeleteEntry removes a file, or a folder with all that is in it.
func (c *Client) DeleteEntry(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, entryPath(id), nil, nil)
}

// EntryContent returns the content of a file, which has at most 4 MiB.
func (c *Client) EntryContent(ctx context.Context, id string) ([]byte, error) {
	return c.bytes(ctx, http.MethodGet, entryPath(id)+"/content", nil)
}

// PermissionQuery chooses permissions; zero values choose all.
type PermissionQuery struct {
	FileID     string
	Inherited  bool // those of the folders above, too
	AccessType string
	AccessID   string
	Page       int // 0 is the first, 1
	PerPage    int // 0 is 100, 1,000 are the most
}

func (q PermissionQuery) encode() string {
	v := url.Values{}
	for name, value := range map[string]string{"file_id": q.FileID, "access_type": q.AccessType, "access_id": q.AccessID} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Inherited {
		v.Set("inherited", "true")
	}
	if q.Page > 0 {
		v.Set("page", strconv.Itoa(q.Page))
	}
	if q.PerPage > 0 {
		v.Set("per_page", strconv.Itoa(q.PerPage))
	}
	return v.Encode()
}

// Permissions returns a page of permissions, oldest first, and how many there are on all pages.
func (c *Client) Permissions(ctx context.Context, q PermissionQuery) (list []FilePermission, total int, err error) {
	path := "/permissions"
	if text := q.encode(); text != "" {
		path += "?" + text
	}
	b, h, err := c.exchange(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, 0, err
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, 0, fmt.Errorf("GET /permissions: the answer: %w", err)
	}
	if total, err = strconv.Atoi(h.Get("X-Total-Count")); err != nil {
		return nil, 0, fmt.Errorf("GET /permissions: X-Total-Count: %w", err)
	}
	return list, total, nil
}

// CreatePermission makes a permission.
func (c *Client) CreatePermission(ctx context.Context, in PermissionRequest) (FilePermission, error) {
	return ask[FilePermission](ctx, c, http.MethodPost, "/permissions", in)
}

// Permission returns the permission of this id.
func (c *Client) Permission(ctx context.Context, id string) (FilePermission, error) {
	return ask[FilePermission](ctx, c, http.MethodGet, "/permissions/"+url.PathEscape(id), nil)
}

// UpdatePermission changes the levels or the tags of a permission.
func (c *Client) UpdatePermission(ctx context.Context, id string, in PermissionRequest) error {
	return c.call(ctx, http.MethodPut, "/permissions/"+url.PathEscape(id), in, nil)
}

// DeletePermission takes a permission back.
func (c *Client) DeletePermission(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/permissions/"+url.PathEscape(id), nil, nil)
}
