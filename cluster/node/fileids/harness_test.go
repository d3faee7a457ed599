package fileids

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
	"github.com/tradewind-io/tradewind/cluster/node/nodeapi"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// noon is what the clock of every test says.
var noon = apibed.Noon

// bed is a server whose keys' applications sign bearer tokens.
type bed struct {
	*apibed.Bed
	places  nodeapi.Places
	users   accesskey.Users
	state   *state.Store
	handler http.Handler
	stop    func()
}

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{Bed: apibed.New(t, filepath.Join(t.TempDir(), "files")), users: apibed.Admins{}}
	b.places = apibed.Folders{Base: b.Base}
	keys, err := b.Keys.Keys(t.Context())
	require.NoError(t, err)
	for _, k := range keys {
		k.TokenKey = apibed.SignerPEM()
		require.NoError(t, b.Keys.Put(t.Context(), k))
	}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start serves what is there; stop ends it, and may be followed by another start.
func (b *bed) start() {
	b.T.Helper()
	now := func() time.Time { return noon }
	var err error
	b.state, err = state.Open(context.Background(), state.Config{Path: filepath.Join(filepath.Dir(b.Base), "state.db"), Now: now})
	require.NoError(b.T, err)
	files, err := New(Config{State: b.state, Places: b.places, Keys: b.Keys})
	require.NoError(b.T, err)
	srv, err := nodeapi.New(nodeapi.Config{
		Auth: &accesskey.Checker{Keys: b.Keys, Users: b.users, Now: now}, Keys: files.Keys(), Places: files.Places(), TokenSecret: bytes.Repeat([]byte("x"), 32), Now: now,
		Extensions: []nodeapi.Extension{files}, Logger: slog.New(slog.NewTextHandler(b.T.Output(), nil)),
	})
	require.NoError(b.T, err)
	b.handler = srv
	stop := b.Serve(srv)
	b.stop = sync.OnceFunc(func() {
		stop()
		require.NoError(b.T, srv.Close(context.Background()))
		require.NoError(b.T, b.state.Close())
	})
}

// id is the id of a path of alpha's, which it lists the folders for.
func (b *bed) id(path string) string {
	b.T.Helper()
	at := api.RootID
	for el := range strings.SplitSeq(path, "/") {
		list, next, err := b.Client(b.Alpha).Entries(context.Background(), at, api.EntryQuery{Name: el})
		require.NoError(b.T, err)
		require.Empty(b.T, next)
		require.Len(b.T, list, 1, "%s of %s", el, path)
		at = list[0].ID
	}
	return at
}

// allow gives a permission on a path of alpha's.
func (b *bed) allow(path, kind, id string, levels ...string) api.FilePermission {
	b.T.Helper()
	at := api.RootID
	if path != "" {
		at = b.id(path)
	}
	p, err := b.Client(b.Alpha).CreatePermission(context.Background(), api.PermissionRequest{FileID: api.ID(at), AccessType: kind, AccessID: api.ID(id), AccessLevels: levels})
	require.NoError(b.T, err)
	return p
}

// events are the types and documents of all events.
func (b *bed) events() (list []string) {
	b.T.Helper()
	all, next, err := b.state.Events(context.Background(), state.EventFilter{}, state.Page{Limit: 1000})
	require.NoError(b.T, err)
	require.Empty(b.T, next)
	for _, e := range all {
		require.True(b.T, json.Valid(e.Doc))
		list = append(list, e.Key+" "+e.Type+" "+string(e.Doc))
	}
	return list
}
