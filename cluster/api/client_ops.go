package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// TransferQuery chooses transfers; zero values choose all.
type TransferQuery struct {
	After     string // an iteration token that Transfers has returned: what has changed since, oldest change first; "" = the newest transfers
	Count     int    // at most; 0 is 100, 1,000 are the most
	Active    bool   // only those that are not over
	Direction string // send or receive
	Tag       string // a.b.c, or a.b.c=value
	AccessKey string // for users of the node
}

func (q TransferQuery) encode() string {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("iteration_token", q.After)
	set("direction", q.Direction)
	set("tag", q.Tag)
	set("access_key", q.AccessKey)
	if q.Count > 0 {
		v.Set("count", strconv.Itoa(q.Count))
	}
	if q.Active {
		v.Set("active_only", "true")
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// Transfers returns transfers without their sessions and files, and the token from which to follow what happens to them.
func (c *Client) Transfers(ctx context.Context, q TransferQuery) (list []Transfer, next string, err error) {
	path := "/ops/transfers" + q.encode()
	if path == "/ops/transfers" {
		path += "?view=summary"
	} else {
		path += "&view=summary"
	}
	b, h, err := c.exchange(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, "", err
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, "", fmt.Errorf("GET /ops/transfers: the answer: %w", err)
	}
	return list, h.Get("X-Aspera-Next-Iteration-Token"), nil
}

// Transfer returns a transfer with its sessions and up to 1,000 of its files.
func (c *Client) Transfer(ctx context.Context, id string) (Transfer, error) {
	return ask[Transfer](ctx, c, http.MethodGet, "/ops/transfers/"+url.PathEscape(id), nil)
}

// StartTransfer makes the node run a transfer between the access key's place and another node. spec is a transfer specification (docs/transfer-spec.md), anything that encodes as one.
func (c *Client) StartTransfer(ctx context.Context, spec any) (Transfer, error) {
	return ask[Transfer](ctx, c, http.MethodPost, "/ops/transfers", spec)
}

// ChangeTransfer changes a transfer, and returns what it is then.
func (c *Client) ChangeTransfer(ctx context.Context, id string, in ChangeTransfer) (Transfer, error) {
	return ask[Transfer](ctx, c, http.MethodPut, "/ops/transfers/"+url.PathEscape(id), in)
}

// CancelTransfer ends a transfer.
func (c *Client) CancelTransfer(ctx context.Context, id string) error {
	return c.call(ctx, "CANCEL", "/ops/transfers/"+url.PathEscape(id), nil, nil)
}

// Events returns events behind the token after, "" for the first that are kept, and the token of the last.
func (c *Client) Events(ctx context.Context, after string) (list []Event, next string, err error) {
	path := "/events"
	if after != "" {
		path += "?iteration_token=" + url.QueryEscape(after)
	}
	b, h, err := c.exchange(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, "", err
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, "", fmt.Errorf("GET /events: the answer: %w", err)
	}
	return list, h.Get("X-Aspera-Next-Iteration-Token"), nil
}

// Moved returns what the key has moved.
func (c *Client) Moved(ctx context.Context) (Moved, error) {
	return ask[Moved](ctx, c, http.MethodGet, "/usage", nil)
}

// MovedFor returns what transfers moved that had this id of usage; see UsageID.
func (c *Client) MovedFor(ctx context.Context, id string) (Moved, error) {
	return ask[Moved](ctx, c, http.MethodGet, "/usage/"+url.PathEscape(id), nil)
}

// Bandwidth returns how fast transfers were: in the last seconds, at most an hour, 0 for ten minutes; or in so many from start on, in seconds since 1970.
func (c *Client) Bandwidth(ctx context.Context, start, seconds int64) (Bandwidth, error) {
	q := url.Values{}
	if start != 0 {
		q.Set("start_time", strconv.FormatInt(start, 10))
	}
	if seconds != 0 {
		q.Set("duration", strconv.FormatInt(seconds, 10))
	}
	path := "/ops/transfers/bandwidth"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return ask[Bandwidth](ctx, c, http.MethodGet, path, nil)
}
