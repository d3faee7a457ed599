package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// AuditRecord is an administrative act: written down before it was done.
type AuditRecord struct {
	Seq     int64    `json:"seq"`
	Time    string   `json:"time"` // RFC 3339
	Actor   string   `json:"actor"`
	Action  string   `json:"action"`
	Object  string   `json:"object"`
	Tenant  string   `json:"tenant,omitempty"`
	Changed []string `json:"changed,omitempty"` // names of what was to change
	Hash    string   `json:"hash"`              // of this record and, by the one before, of all before it; hexadecimal
}

// AuditChain says whether the audit log is what was written. Whoever can write the node's files can make another log that is whole, too: a Head that is kept elsewhere tells.
type AuditChain struct {
	OK     bool   `json:"ok"`
	First  int64  `json:"first"` // record that is kept
	Last   int64  `json:"last"`
	Head   string `json:"head"`             // hash of the last, hexadecimal
	Broken int64  `json:"broken,omitempty"` // first record that is wrong or missing
	Reason string `json:"reason,omitempty"`
}

// Audit returns records behind the token after, "" for the first that are kept, and the token of the last.
func (c *Client) Audit(ctx context.Context, after string) (list []AuditRecord, next string, err error) {
	path := "/audit"
	if after != "" {
		path += "?iteration_token=" + url.QueryEscape(after)
	}
	b, h, err := c.exchange(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, "", err
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, "", fmt.Errorf("GET /audit: the answer: %w", err)
	}
	return list, h.Get("X-Aspera-Next-Iteration-Token"), nil
}

// VerifyAudit says whether the audit log is whole.
func (c *Client) VerifyAudit(ctx context.Context) (AuditChain, error) {
	return ask[AuditChain](ctx, c, http.MethodGet, "/audit/verify", nil)
}
