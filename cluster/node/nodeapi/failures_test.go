package nodeapi

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

const hostSecret = "/srv/secret-folder"

// brokenKeys is a store of keys that fails behind the authentication.
type brokenKeys struct{ accesskey.Store }

func (brokenKeys) Keys(context.Context) ([]accesskey.Key, error) {
	return nil, errors.New("read " + hostSecret)
}

// brokenPlaces open a place whose folder fails.
type brokenPlaces struct{ err error }

func (p brokenPlaces) Open(context.Context, accesskey.Grant) (transfer.Manager, func(), error) {
	return brokenPlace{err: p.err}, func() {}, nil
}

type brokenPlace struct {
	transfer.Manager
	err error
}

func (p brokenPlace) Stat(context.Context, string, bool) (transfer.Info, error) {
	return transfer.Info{}, p.err
}

// TestOurErrorsStayHere: what went wrong inside is in the log and not in the answer.
func TestOurErrorsStayHere(t *testing.T) {
	b := newBed(t, func(c *Config) {
		c.Keys = brokenKeys{c.Keys}
		c.Places = brokenPlaces{errors.New("stat " + hostSecret + ": odd")}
	})
	a := b.do(b.master, "GET", "/access_keys", "")
	require.Equal(t, 500, a.status)
	require.NotContains(t, a.body, hostSecret)
	require.Contains(t, b.log.String(), hostSecret)
	b.log.Reset()
	a = b.do(b.alpha, "POST", "/files/browse", `{"path":"/x"}`)
	require.Equal(t, 500, a.status)
	require.JSONEq(t, `{"error":{"code":500,"reason":"Internal Server Error","user_message":"/x: internal error; the node's log says more"}}`, a.body)
	require.Contains(t, b.log.String(), hostSecret)
}

func TestPlacesThatDoNotOpen(t *testing.T) {
	var broken error
	b := newBed(t, func(c *Config) {
		c.Places = folders{base: t.TempDir(), open: func(accesskey.Grant) error { return broken }}
	})
	for _, c := range []struct {
		err    error
		status int
	}{
		{errors.New("dial " + hostSecret), 503},
		{fmt.Errorf("tape at %s: %w", hostSecret, errors.ErrUnsupported), 501},
	} {
		broken = c.err
		a := b.do(b.alpha, "POST", "/files/browse", `{"path":"/"}`)
		require.Equal(t, c.status, a.status)
		require.NotContains(t, a.body, hostSecret)
	}
}

func TestDelegatedCredentialsAreRefused(t *testing.T) {
	b := newBed(t)
	require.Equal(t, 501, b.do(b.alpha, "POST", "/files/browse", `{"path":"/"}`, "X-Aspera-Storage-Credentials", "{}").status)
	require.Equal(t, 401, b.do("", "POST", "/files/browse", `{"path":"/"}`, "X-Aspera-Storage-Credentials", "{}").status)
}

// inBucket opens every place below a prefix of one bucket.
type inBucket struct{ bucket *objstore.Bucket }

func (p inBucket) Open(_ context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	return transfer.NewBucketStore(p.bucket, g.Root, 0, nil), func() {}, nil
}

// TestObjectStore makes the calls of files in an object store.
func TestObjectStore(t *testing.T) {
	bucket := objstore.NewBucket(memstore.New(), objstore.Config{})
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	b := newBed(t, func(c *Config) { c.Places = inBucket{bucket} })
	got := b.post(b.alpha, "/files/browse", `{"path":"/"}`)
	require.Contains(t, got, `"self":{"path":"/","basename":"/","type":"directory"`, "nothing is there yet")
	require.Contains(t, got, `"total_count":0`)
	require.NotContains(t, b.post(b.alpha, "/files/create", `{"paths":[{"path":"/d","type":"directory"},{"path":"/d/f","type":"file","contents":"aGVsbG8="},{"path":"/d/g","type":"file"}]}`), "error")
	require.Contains(t, b.post(b.alpha, "/files/create", `{"paths":[{"path":"/d/f","type":"file"}]}`), `"code":409`)
	require.Contains(t, b.post(b.alpha, "/files/page", `{"path":"/d","count":1}`), `"items":[{"path":"/d/f"`)
	require.Contains(t, b.post(b.alpha, "/files/info", `{"paths":[{"path":"/d/f"},{"path":"/none"}]}`), `"size":5`)
	require.Equal(t, "hello", b.do(b.alpha, "GET", "/files/d%2Ff/contents", "").body)
	require.Contains(t, b.post(b.alpha, "/files/du", `{"path":"/"}`), `"total_size":5,"file_count":2,"dir_count":1`)
	require.JSONEq(t, `{"paths":[{"path":"/"}]}`, b.post(b.alpha, "/space", `{"paths":[{"path":"/"}]}`), "nobody knows how much is free")
	require.NotContains(t, b.post(b.alpha, "/files/rename", `{"paths":[{"path":"/d","source":"f","destination":"h"}]}`), "error")
	require.Contains(t, b.post(b.alpha, "/files/search", `{"path":"/","filters":{"basenames":["h"]}}`), `"total_count":1`)
	require.Contains(t, b.post(b.beta, "/files/search", `{"path":"/"}`), `"total_count":0`)
	require.NotContains(t, b.post(b.alpha, "/files/delete", `{"paths":[{"path":"/d"}]}`), "error")
	require.Equal(t, 404, b.do(b.alpha, "POST", "/files/browse", `{"path":"/d"}`).status)
	require.Contains(t, b.post(b.alpha, "/files/create", `{"paths":[{"path":"/l","type":"symbolic_link","target":{"path":"/x"}}]}`), `"error"`)
}
