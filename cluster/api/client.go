package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Client calls the API of one node. The fields must not be changed while it is in use; its methods may be called by several goroutines at once. They return
// an *Error for what the node answered, and other errors where there was no proper answer.
type Client struct {
	// URL is that of the node, such as https://node.example:9092.
	URL string
	// Authorization is the text of that header: "Basic ...", such as accesskey.Credential.Token makes, or "Bearer ...".
	Authorization string
	// KeyID is the access key that a bearer token is for; empty leaves it to the token.
	KeyID string
	// HTTP makes the requests; nil is http.DefaultClient.
	HTTP *http.Client
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// call makes a request with in as JSON, nil for none, and reads the answer into out, nil for none.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	b, err := c.bytes(ctx, method, path, in)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: the answer: %w", method, path, err)
	}
	return nil
}

// ask is call with the answer as a value.
func ask[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	var out T
	err := c.call(ctx, method, path, in, &out)
	return out, err
}

func (c *Client) bytes(ctx context.Context, method, path string, in any) ([]byte, error) {
	b, _, err := c.exchange(ctx, method, path, in)
	return b, err
}

// exchange makes a request and returns body and header of the answer.
func (c *Client) exchange(ctx context.Context, method, path string, in any) ([]byte, http.Header, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, body)
	if err != nil {
		return nil, nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	if c.Authorization != "" {
		req.Header.Set("Authorization", c.Authorization)
	}
	if c.KeyID != "" {
		req.Header.Set("X-Aspera-AccessKey", c.KeyID)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%s %s: the answer: %w", method, path, err)
	case len(b) > maxAnswer:
		return nil, nil, fmt.Errorf("%s %s: the answer has more than %d bytes", method, path, maxAnswer)
	case resp.StatusCode/100 != 2:
		return nil, nil, answeredError(resp.StatusCode, b)
	}
	return b, resp.Header, nil
}

// answeredError reads the body of an error. One that is not ours, of a proxy, gives the status alone.
func answeredError(status int, b []byte) error {
	var body ErrorBody
	if json.Unmarshal(b, &body) != nil || body.Error == nil {
		return Errorf(status, "the server answered %d", status)
	}
	body.Error.Code = status
	return body.Error
}

// Ping returns nil if a node answers. It needs no credentials.
func (c *Client) Ping(ctx context.Context) error {
	b, err := c.bytes(ctx, http.MethodGet, "/ping", nil)
	if err == nil && len(b) > 0 {
		return errors.New("GET /ping: what answers is no node")
	}
	return err
}

// Info returns what the node says of itself.
func (c *Client) Info(ctx context.Context) (Info, error) {
	return ask[Info](ctx, c, http.MethodGet, "/info", nil)
}

// AccessKeys returns the keys that the caller may see.
func (c *Client) AccessKeys(ctx context.Context) ([]AccessKey, error) {
	return ask[[]AccessKey](ctx, c, http.MethodGet, "/access_keys", nil)
}

// AccessKey returns the key of this id, "self" for the caller's own.
func (c *Client) AccessKey(ctx context.Context, id string) (AccessKey, error) {
	return ask[AccessKey](ctx, c, http.MethodGet, "/access_keys/"+url.PathEscape(id), nil)
}

// CreateAccessKey makes a key. The answer has the secret, which no other call shows.
func (c *Client) CreateAccessKey(ctx context.Context, in AccessKeyRequest) (AccessKey, error) {
	return ask[AccessKey](ctx, c, http.MethodPost, "/access_keys", in)
}

// UpdateAccessKey changes a key.
func (c *Client) UpdateAccessKey(ctx context.Context, id string, in AccessKeyRequest) error {
	return c.call(ctx, http.MethodPut, "/access_keys/"+url.PathEscape(id), in, nil)
}

// DeleteAccessKey removes a key, and nothing of what lies in its storage.
func (c *Client) DeleteAccessKey(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/access_keys/"+url.PathEscape(id), nil, nil)
}

// Browse lists a folder, or describes a file.
func (c *Client) Browse(ctx context.Context, in Browse) (Listing, error) {
	return ask[Listing](ctx, c, http.MethodPost, "/files/browse", in)
}

// Search lists what lies below a folder.
func (c *Client) Search(ctx context.Context, in Browse) (Listing, error) {
	return ask[Listing](ctx, c, http.MethodPost, "/files/search", in)
}

// Page lists one page of a folder.
func (c *Client) Page(ctx context.Context, in PageRequest) (Page, error) {
	return ask[Page](ctx, c, http.MethodPost, "/files/page", in)
}

// FileInfo describes what is at paths.
func (c *Client) FileInfo(ctx context.Context, paths ...string) ([]File, error) {
	var out Files
	err := c.call(ctx, http.MethodPost, "/files/info", pathsOf(paths), &out)
	return out.Paths, err
}

// Create makes files, folders and links.
func (c *Client) Create(ctx context.Context, in ...NewFile) ([]DonePath, error) {
	var out Done
	err := c.call(ctx, http.MethodPost, "/files/create", Create{in}, &out)
	return out.Paths, err
}

// Delete removes files and folders.
func (c *Client) Delete(ctx context.Context, in ...DeletePath) ([]DonePath, error) {
	var out Done
	err := c.call(ctx, http.MethodPost, "/files/delete", Delete{in}, &out)
	return out.Paths, err
}

// Rename gives files and folders other names.
func (c *Client) Rename(ctx context.Context, in ...RenamePath) ([]DonePath, error) {
	var out Done
	err := c.call(ctx, http.MethodPost, "/files/rename", Rename{in}, &out)
	return out.Paths, err
}

// DiskUsage counts what lies below a path.
func (c *Client) DiskUsage(ctx context.Context, path string) (Usage, error) {
	return ask[Usage](ctx, c, http.MethodPost, "/files/du", PathOnly{path})
}

// Space says how much room there is at paths.
func (c *Client) Space(ctx context.Context, paths ...string) ([]SpacePath, error) {
	var out Space
	err := c.call(ctx, http.MethodPost, "/space", pathsOf(paths), &out)
	return out.Paths, err
}

// Contents returns the first 4,096 bytes of a file.
func (c *Client) Contents(ctx context.Context, path string) ([]byte, error) {
	return c.bytes(ctx, http.MethodGet, "/files/"+url.PathEscape(path)+"/contents", nil)
}

// UploadSetup returns what a client needs to upload, with a token that allows it.
func (c *Client) UploadSetup(ctx context.Context, in TransferRequest) (TransferSpec, error) {
	return c.setup(ctx, "/files/upload_setup", in)
}

// DownloadSetup returns what a client needs to download, with a token that allows it.
func (c *Client) DownloadSetup(ctx context.Context, in TransferRequest) (TransferSpec, error) {
	return c.setup(ctx, "/files/download_setup", in)
}

func (c *Client) setup(ctx context.Context, path string, in TransferRequest) (TransferSpec, error) {
	var out SetupAnswer
	if err := c.call(ctx, http.MethodPost, path, Setup{[]SetupRequest{{in}}}, &out); err != nil {
		return TransferSpec{}, err
	}
	switch {
	case len(out.Specs) != 1:
		return TransferSpec{}, fmt.Errorf("POST %s: %d answers to one request", path, len(out.Specs))
	case out.Specs[0].Error != nil:
		return TransferSpec{}, out.Specs[0].Error
	case out.Specs[0].Spec == nil:
		return TransferSpec{}, fmt.Errorf("POST %s: an answer without a transfer_spec", path)
	}
	return *out.Specs[0].Spec, nil
}

func pathsOf(paths []string) Paths {
	p := Paths{Paths: make([]PathOnly, len(paths))}
	for i, s := range paths {
		p.Paths[i].Path = s
	}
	return p
}
