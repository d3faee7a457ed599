package nodeapi

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
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
	a := b.Do(b.Admin, "GET", "/access_keys", "")
	require.Equal(t, 500, a.Status)
	require.NotContains(t, a.Body, hostSecret)
	require.Contains(t, b.log.String(), hostSecret)
	// Who works on the machine is told: of a command that looks after a state folder there is no log.
	w := httptest.NewRecorder()
	b.srv.Trusted("local").ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/access_keys", nil))
	require.Equal(t, 500, w.Code)
	require.Contains(t, w.Body.String(), hostSecret)
	b.log.Reset()
	a = b.Do(b.Alpha, "POST", "/files/browse", `{"path":"/x"}`)
	require.Equal(t, 500, a.Status)
	require.JSONEq(t, `{"error":{"code":500,"reason":"Internal Server Error","user_message":"/x: internal error; the node's log says more"}}`, a.Body)
	require.Contains(t, b.log.String(), hostSecret)
}

func TestPlacesThatDoNotOpen(t *testing.T) {
	var broken error
	b := newBed(t, func(c *Config) {
		c.Places = apibed.Folders{Base: t.TempDir(), Ask: func(accesskey.Grant) error { return broken }}
	})
	for _, c := range []struct {
		err    error
		status int
	}{
		{errors.New("dial " + hostSecret), 503},
		{fmt.Errorf("tape at %s: %w", hostSecret, errors.ErrUnsupported), 501},
	} {
		broken = c.err
		a := b.Do(b.Alpha, "POST", "/files/browse", `{"path":"/"}`)
		require.Equal(t, c.status, a.Status)
		require.NotContains(t, a.Body, hostSecret)
	}
}

func TestDelegatedCredentialsAreRefused(t *testing.T) {
	b := newBed(t)
	require.Equal(t, 501, b.Do(b.Alpha, "POST", "/files/browse", `{"path":"/"}`, "X-Aspera-Storage-Credentials", "{}").Status)
	require.Equal(t, 401, b.Do("", "POST", "/files/browse", `{"path":"/"}`, "X-Aspera-Storage-Credentials", "{}").Status)
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
	got := b.Post(b.Alpha, "/files/browse", `{"path":"/"}`)
	require.Contains(t, got, `"self":{"path":"/","basename":"/","type":"directory"`, "nothing is there yet")
	require.Contains(t, got, `"total_count":0`)
	require.NotContains(t, b.Post(b.Alpha, "/files/create", `{"paths":[{"path":"/d","type":"directory"},{"path":"/d/f","type":"file","contents":"aGVsbG8="},{"path":"/d/g","type":"file"}]}`), "error")
	require.Contains(t, b.Post(b.Alpha, "/files/create", `{"paths":[{"path":"/d/f","type":"file"}]}`), `"code":409`)
	require.Contains(t, b.Post(b.Alpha, "/files/page", `{"path":"/d","count":1}`), `"items":[{"path":"/d/f"`)
	require.Contains(t, b.Post(b.Alpha, "/files/info", `{"paths":[{"path":"/d/f"},{"path":"/none"}]}`), `"size":5`)
	require.Equal(t, "hello", b.Do(b.Alpha, "GET", "/files/d%2Ff/contents", "").Body)
	require.Contains(t, b.Post(b.Alpha, "/files/du", `{"path":"/"}`), `"total_size":5,"file_count":2,"dir_count":1`)
	require.JSONEq(t, `{"paths":[{"path":"/"}]}`, b.Post(b.Alpha, "/space", `{"paths":[{"path":"/"}]}`), "nobody knows how much is free")
	require.NotContains(t, b.Post(b.Alpha, "/files/rename", `{"paths":[{"path":"/d","source":"f","destination":"h"}]}`), "error")
	require.Contains(t, b.Post(b.Alpha, "/files/search", `{"path":"/","filters":{"basenames":["h"]}}`), `"total_count":1`)
	require.Contains(t, b.Post(b.Beta, "/files/search", `{"path":"/"}`), `"total_count":0`)
	require.NotContains(t, b.Post(b.Alpha, "/files/delete", `{"paths":[{"path":"/d"}]}`), "error")
	require.Equal(t, 404, b.Do(b.Alpha, "POST", "/files/browse", `{"path":"/d"}`).Status)
	require.Contains(t, b.Post(b.Alpha, "/files/create", `{"paths":[{"path":"/l","type":"symbolic_link","target":{"path":"/x"}}]}`), `"error"`)
}
