package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/tradewind-io/tradewind/cluster/api"
)

// Client makes the calls of this package, and of the Node API. Its methods may be called by several goroutines at once. What a node answered is an *api.Error.
type Client struct {
	*api.Client
}

// answerTimeout is how long a node may take to begin with its answer: a process that was stopped does not, and the longest thing it does is to end the jobs of a key.
const answerTimeout = 2 * time.Minute

// baseURL stands where a client of HTTP wants a host.
const baseURL = "http://node"

// NewClient returns a client over connections that dial makes.
func NewClient(dial func(ctx context.Context) (net.Conn, error)) *Client {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }, ResponseHeaderTimeout: answerTimeout,
	}
	return &Client{&api.Client{URL: baseURL, HTTP: &http.Client{Transport: t}}}
}

// Close lets go of connections.
func (c *Client) Close() { c.HTTP.CloseIdleConnections() }

// do makes a request and returns the answer, whose body the caller closes.
func (c *Client) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, baseURL+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	var e api.ErrorBody
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRequest)).Decode(&e); err != nil || e.Error == nil {
		return nil, api.Errorf(resp.StatusCode, "the node answered %d", resp.StatusCode)
	}
	return nil, e.Error
}

// call reads the answer into out, nil for none.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.do(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("%s %s: the answer: %w", method, path, err)
	}
	return nil
}

// Status returns what the node says of itself.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, http.MethodGet, "/admin/status", nil, &s)
	return s, err
}

// Reload has the node read its configuration again.
func (c *Client) Reload(ctx context.Context) (r Reloaded, err error) {
	err = c.call(ctx, http.MethodPost, "/admin/reload", nil, &r)
	return r, err
}

// Goroutines returns what the process of the node is doing, as text.
func (c *Client) Goroutines(ctx context.Context) ([]byte, error) {
	resp, err := c.do(ctx, http.MethodGet, "/admin/goroutines", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// Users returns the users of the node, by name.
func (c *Client) Users(ctx context.Context) (list []User, err error) {
	err = c.call(ctx, http.MethodGet, "/admin/users", nil, &list)
	return list, err
}

// SetUser makes a user of the node, or gives the one that is there this password.
func (c *Client) SetUser(ctx context.Context, name, password string) error {
	return c.call(ctx, http.MethodPut, "/admin/users/"+url.PathEscape(name), map[string]string{"password": password}, nil)
}

// DeleteUser removes a user of the node.
func (c *Client) DeleteUser(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/admin/users/"+url.PathEscape(name), nil, nil)
}

// Accounts returns the accounts, by name.
func (c *Client) Accounts(ctx context.Context) (list []Account, err error) {
	err = c.call(ctx, http.MethodGet, "/admin/accounts", nil, &list)
	return list, err
}

// ChangeAccount makes or changes an account.
func (c *Client) ChangeAccount(ctx context.Context, name string, in AccountChange) error {
	return c.call(ctx, http.MethodPut, "/admin/accounts/"+url.PathEscape(name), in, nil)
}

// DeleteAccount removes an account and its public keys; its files stay.
func (c *Client) DeleteAccount(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/admin/accounts/"+url.PathEscape(name), nil, nil)
}

// Token makes a transfer token.
func (c *Client) Token(ctx context.Context, in TokenRequest) (t Token, err error) {
	err = c.call(ctx, http.MethodPost, "/admin/tokens", in, &t)
	return t, err
}

// Backup writes a backup of the state store to w; see state.Store.Backup. After an error what w has got is not whole.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, "/admin/backup", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("the backup is not whole: %w", err)
	}
	return nil
}

// Export returns keys with their secrets, as accesskey.Import reads them.
func (c *Client) Export(ctx context.Context, in ExportRequest) ([]byte, error) {
	resp, err := c.do(ctx, http.MethodPost, "/admin/keys/export", in)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// Import brings keys of an export.
func (c *Client) Import(ctx context.Context, in ImportRequest) (out Imported, err error) {
	err = c.call(ctx, http.MethodPost, "/admin/keys/import", in, &out)
	return out, err
}
