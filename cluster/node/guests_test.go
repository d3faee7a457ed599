package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/fasp/vlink"
)

// underWay is a transfer that has begun, and takes long unless its rate is raised.
type underWay struct {
	t     *testing.T
	rates transfer.Control
	ended chan error
	tries int // after it has ended
}

// began starts an upload of a file named f, or with receive a download of that, and returns when the node serves it. retry is for transfer.Config.RetryTimeout.
func (r *realNode) began(t *testing.T, token string, tags json.RawMessage, dir transfer.Direction, retry time.Duration) *underWay {
	u := &underWay{t: t, ended: make(chan error, 1)}
	spec := transfer.Spec{Direction: dir, Tags: tags, Rates: fasp.Rates{Target: fasp.Mbps}, Compression: transfer.CompressionOff}
	if dir == transfer.Send {
		file := filepath.Join(t.TempDir(), "f")
		content := make([]byte, 4<<20) // nothing that holes or compression make small
		_, _ = rand.Read(content)
		require.NoError(t, os.WriteFile(file, content, 0o644))
		spec.Paths, spec.Destination = []transfer.Path{{Source: file}}, "/"
	} else {
		spec.Paths, spec.Destination, spec.CreateDir = []transfer.Path{{Source: "f"}}, t.TempDir(), true
	}
	ctx, cancel := context.WithCancel(t.Context())
	moving := make(chan struct{}, 1)
	go func() {
		_, err := transfer.Run(ctx, transfer.Config{RetryTimeout: retry, Dial: r.dial(token), Control: &u.rates, Events: func(e transfer.Event) {
			u.tries = e.Session.Attempt
			if e.Session.BytesSent > 0 {
				select {
				case moving <- struct{}{}:
				default:
				}
			}
		}}, spec)
		u.ended <- err
	}()
	t.Cleanup(cancel)
	select {
	case <-moving:
	case err := <-u.ended:
		require.NoError(t, err)
		t.Fatal("it ended before it was looked at")
	}
	return u
}

// goesOn lets the transfer come to its end.
func (u *underWay) goesOn() {
	u.t.Helper()
	require.NoError(u.t, u.rates.SetRates(fasp.Rates{Target: fasp.Gbps}))
	require.NoError(u.t, <-u.ended)
}

// TestSessionsOfWhatChanged: a session ends as soon as what let it in would not do so any more, and at nothing else.
func TestSessionsOfWhatChanged(t *testing.T) {
	r := startReal(t, "n", func(c *Config) { c.SSH, c.SSHUser = "127.0.0.1:0", &joe })
	boss := r.client(nodeUser)
	rights := func(words ...string) *[]string { return &words }
	folder := func(path string) json.RawMessage { return json.RawMessage(`{"type":"local","path":"` + path + `"}`) }
	bearer := func(key, user string) string {
		text, err := accesskey.SealBearer(accesskey.Bearer{Key: key, User: user, Expires: time.Now().Add(time.Hour)}, apibed.Signer())
		require.NoError(t, err)
		return "Bearer " + text
	}
	account := func(t *testing.T, c admin.AccountChange) {
		require.NoError(t, r.node.desk.people.ChangeAccount(t.Context(), "joe", c))
	}

	// What is there for each case: a key, its folder shared, and a permission of una's for it.
	type scene struct {
		key accesskey.Credential
		id  string // of the folder
		sub string // of a folder in another one that una has a permission for
		una api.FilePermission
	}
	token := func(s scene) string { return s.key.Token() }
	noTags := func(scene) json.RawMessage { return nil }
	byUna := func(s scene) string { return bearer(s.key.ID, "una") }
	shared := func(s scene) json.RawMessage { return tagged(s.key.ID, s.id) }
	setup := func(s scene) string {
		x, err := r.client(s.key).UploadSetup(r.t.Context(), api.TransferRequest{Paths: []api.TransferPath{{Destination: "/"}}})
		require.NoError(r.t, err)
		return x.Token
	}
	change := func(levels ...string) func(t *testing.T, s scene) {
		return func(t *testing.T, s scene) {
			require.NoError(t, r.client(s.key).UpdatePermission(t.Context(), s.una.ID, api.PermissionRequest{AccessLevels: levels}))
		}
	}
	update := func(t *testing.T, s scene, in api.AccessKeyRequest) {
		require.NoError(t, boss.UpdateAccessKey(t.Context(), s.key.ID, in))
	}
	settings := func(t *testing.T, s scene, x api.KeySettings) { update(t, s, api.AccessKeyRequest{Tradewind: &x}) }
	none, yes := transfer.Code(0), true
	cases := map[string]struct {
		token func(scene) string
		tags  func(scene) json.RawMessage
		dir   transfer.Direction
		do    func(t *testing.T, s scene)
		code  transfer.Code // none: it goes on
		text  string
	}{
		"disabled":           {token, noTags, transfer.Send, func(t *testing.T, s scene) { settings(t, s, api.KeySettings{Disabled: &yes}) }, transfer.CodeAuth, "was disabled"},
		"disabled, download": {token, noTags, transfer.Receive, func(t *testing.T, s scene) { settings(t, s, api.KeySettings{Disabled: &yes}) }, transfer.CodeAuth, "was disabled"},
		"disabled, token":    {setup, noTags, transfer.Send, func(t *testing.T, s scene) { settings(t, s, api.KeySettings{Disabled: &yes}) }, transfer.CodeAuth, "was disabled"},
		"disabled, user":     {byUna, shared, transfer.Send, func(t *testing.T, s scene) { settings(t, s, api.KeySettings{Disabled: &yes}) }, transfer.CodeAuth, "was disabled"},
		"disabled and enabled": {token, noTags, transfer.Send, func(t *testing.T, s scene) {
			no := false
			settings(t, s, api.KeySettings{Disabled: &yes})
			settings(t, s, api.KeySettings{Disabled: &no})
		}, transfer.CodeAuth, "was disabled"},
		"moved out": {byUna, func(s scene) json.RawMessage { return tagged(s.key.ID, s.sub) }, transfer.Send, func(t *testing.T, s scene) {
			_, err := r.client(s.key).Rename(t.Context(), api.RenamePath{Path: "/", Source: "up/sub", Destination: "sub"})
			require.NoError(t, err)
		}, transfer.CodePeerAborted, "permission"},
		"deleted":       {token, noTags, transfer.Send, func(t *testing.T, s scene) { require.NoError(t, boss.DeleteAccessKey(t.Context(), s.key.ID)) }, transfer.CodeAuth, "is gone"},
		"fewer rights":  {token, noTags, transfer.Send, func(t *testing.T, s scene) { settings(t, s, api.KeySettings{Rights: rights("read", "list")}) }, transfer.CodePeerAborted, "rights"},
		"another place": {token, noTags, transfer.Send, func(t *testing.T, s scene) { update(t, s, api.AccessKeyRequest{Storage: folder("/elsewhere")}) }, transfer.CodePeerAborted, "storage"},
		"permission withdrawn": {byUna, shared, transfer.Send, func(t *testing.T, s scene) {
			require.NoError(t, r.client(s.key).DeletePermission(t.Context(), s.una.ID))
		}, transfer.CodePeerAborted, "permission"},
		"permission with less": {byUna, shared, transfer.Send, change("list", "read"), transfer.CodePeerAborted, "permission"},
		"account disabled": {
			func(scene) string { return r.ticket("upload .").Token }, noTags, transfer.Send,
			func(t *testing.T, s scene) { account(t, admin.AccountChange{Disabled: &yes}) }, transfer.CodeAuth, "its account is gone or was disabled",
		},

		"note and cap":           {token, noTags, transfer.Send, func(t *testing.T, s scene) { note := "x"; settings(t, s, api.KeySettings{Note: &note}) }, none, ""},
		"rights it does not use": {setup, noTags, transfer.Send, func(t *testing.T, s scene) { settings(t, s, api.KeySettings{Rights: rights("write", "delete")}) }, none, ""},
		"permission of others": {byUna, shared, transfer.Send, func(t *testing.T, s scene) {
			p, err := r.client(s.key).CreatePermission(t.Context(), api.PermissionRequest{FileID: api.ID(s.id), AccessType: "user", AccessID: "ute", AccessLevels: []string{"list"}})
			require.NoError(t, err)
			require.NoError(t, r.client(s.key).DeletePermission(t.Context(), p.ID))
		}, none, ""},
		"permission with more": {byUna, shared, transfer.Send, change("list", "read", "write", "mkdir", "delete", "rename"), none, ""},
		"another key": {token, noTags, transfer.Send, func(t *testing.T, s scene) {
			r.key("bert")
			require.NoError(t, boss.DeleteAccessKey(t.Context(), "bert"))
		}, none, ""},
	}
	for i, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			id := fmt.Sprint("key", i)
			r.file(id+"/shared/g", 10)
			r.file(id+"/f", 4<<20)
			s := scene{key: r.key(id)}
			signer := apibed.SignerPEM()
			update(t, s, api.AccessKeyRequest{TokenVerificationKey: &signer})
			s.id = r.entry(s.key.Token(), api.RootID, "shared")
			var err error
			s.una, err = r.client(s.key).CreatePermission(t.Context(), api.PermissionRequest{FileID: api.ID(s.id), AccessType: "user", AccessID: "una", AccessLevels: []string{"list", "read", "write", "mkdir", "delete"}})
			require.NoError(t, err)

			r.file(id+"/up/sub/g", 10)
			up := r.entry(s.key.Token(), api.RootID, "up")
			s.sub = r.entry(s.key.Token(), up, "sub")
			_, err = r.client(s.key).CreatePermission(t.Context(), api.PermissionRequest{FileID: api.ID(up), AccessType: "user", AccessID: "una", AccessLevels: []string{"list", "read", "write", "mkdir"}})
			require.NoError(t, err)

			u := r.began(t, c.token(s), c.tags(s), c.dir, -1)
			c.do(t, s)
			if c.code == none {
				r.node.lookAgain(t.Context())
				u.goesOn()
				require.Equal(t, 1, u.tries)
				return
			}
			err = <-u.ended
			require.Equal(t, c.code, codeOf(t, err), "%v", err)
			require.ErrorContains(t, err, c.text)
		})
	}
}

// TestComesAgainByNewRules: a client whose session was ended since its key has changed goes on by what the key allows then, or hears that it is nothing any more.
func TestComesAgainByNewRules(t *testing.T) {
	r := startReal(t, "n", nil)
	anna := r.key("anna")
	r.file("anna/f", 10)
	u := r.began(t, anna.Token(), nil, transfer.Send, 0)
	require.NoError(t, r.client(nodeUser).UpdateAccessKey(t.Context(), "anna", api.AccessKeyRequest{Storage: json.RawMessage(`{"type":"local","path":"/moved"}`)}))
	u.goesOn()
	require.Equal(t, 2, u.tries)
	info, err := os.Stat(filepath.Join(r.docroot, "moved/f"))
	require.NoError(t, err)
	require.EqualValues(t, 4<<20, info.Size())
	info, err = os.Stat(filepath.Join(r.docroot, "anna/f"))
	require.NoError(t, err)
	require.EqualValues(t, 10, info.Size(), "nothing of the old place was touched")

	require.NoError(t, os.Remove(filepath.Join(r.docroot, "moved/f")))
	u = r.began(t, anna.Token(), nil, transfer.Send, 0)
	require.NoError(t, r.client(nodeUser).UpdateAccessKey(t.Context(), "anna", api.AccessKeyRequest{Tradewind: &api.KeySettings{Rights: &[]string{"read", "list"}}}))
	require.Equal(t, transfer.CodeNoPerms, codeOf(t, <-u.ended))
	require.NoFileExists(t, filepath.Join(r.docroot, "moved/f"))
	for _, x := range r.recorded(anna, 3, api.TransferQuery{}) {
		if x.Status != api.Completed {
			require.Equal(t, api.Failed, x.Status)
			require.EqualValues(t, transfer.CodePeerAborted, x.ErrorCode)
			require.Contains(t, x.ErrorDesc, "its credentials allow")
		}
	}
}

// TestJobsByNewRules: a job that runs while its key changes goes on by what the key allows then.
func TestJobsByNewRules(t *testing.T) {
	r, other := startReal(t, "n", nil), startReal(t, "other", nil)
	anna, bert := r.key("anna"), other.key("bert")
	content := r.file("anna/f", 4<<20)
	start := func() string {
		x, err := r.client(anna).StartTransfer(t.Context(), job(other, bert, map[string]any{"target_rate_kbps": 1000, "paths": []any{map[string]any{"source": "/f"}}}))
		require.NoError(t, err)
		waitFor(t, r.client(anna), x.ID, func(x api.Transfer) bool { return x.BytesTransferred > 0 })
		return x.ID
	}
	set := func(s api.KeySettings) {
		require.NoError(t, r.client(nodeUser).UpdateAccessKey(t.Context(), "anna", api.AccessKeyRequest{Tradewind: &s}))
	}
	id := start()
	set(api.KeySettings{Rights: &[]string{"read", "list"}})
	r.node.lookAgain(t.Context())
	fast := int64(1_000_000)
	_, err := r.client(anna).ChangeTransfer(t.Context(), id, api.ChangeTransfer{TargetRate: &fast})
	require.NoError(t, err)
	x := waitFor(t, r.client(anna), id, over)
	require.Equal(t, 1, x.Attempts, "it is none of its faults")
	require.Len(t, x.Sessions, 2)
	got, err := os.ReadFile(filepath.Join(other.docroot, "bert/in/f"))
	require.NoError(t, err)
	require.Equal(t, content, got)

	require.NoError(t, os.Remove(filepath.Join(other.docroot, "bert/in/f")))
	id = start()
	set(api.KeySettings{Rights: &[]string{"list"}})
	x = waitFor(t, r.client(anna), id, func(x api.Transfer) bool { return x.Status.Over() })
	require.Equal(t, api.Failed, x.Status)
	require.EqualValues(t, transfer.CodeNoPerms, x.ErrorCode, x.ErrorDesc)
	require.NoFileExists(t, filepath.Join(other.docroot, "bert/in/f"))

	// Where the key is kept by others, the next look finds it.
	set(api.KeySettings{Rights: &[]string{"read", "list"}})
	id = start()
	k, err := r.node.checker.Keys.Key(t.Context(), "anna")
	require.NoError(t, err)
	k.Disabled = true
	require.NoError(t, r.node.checker.Keys.Put(t.Context(), k))
	r.node.lookAgain(t.Context())
	boss := r.client(nodeUser)
	x = waitFor(t, boss, id, func(x api.Transfer) bool { return x.Status.Over() })
	require.Equal(t, api.Failed, x.Status)
	require.EqualValues(t, transfer.CodeAuth, x.ErrorCode, x.ErrorDesc)
}

// TestBoundsOfJobs: a cap that is changed holds for sessions of jobs that run, though the key's clients have none.
func TestBoundsOfJobs(t *testing.T) {
	r := startReal(t, "n", nil)
	r.key("anna")
	near, far := fasp.Pipe()
	sess, err := r.node.links.Join(near, vlink.Member{Key: "anna"}) // as dial does
	require.NoError(t, err)
	defer sess.Leave()
	most := int64(5 * fasp.Mbps)
	require.NoError(t, r.client(nodeUser).UpdateAccessKey(t.Context(), "anna", api.AccessKeyRequest{Tradewind: &api.KeySettings{RateCap: &most}}))
	require.Empty(t, r.node.guests.list())
	r.node.lookAgain(t.Context())
	require.Equal(t, 5*fasp.Mbps, far.Stats().Granted)
	require.NoError(t, r.client(nodeUser).DeleteAccessKey(t.Context(), "anna"))
	r.node.lookAgain(t.Context())
}

// TestKeysChangedElsewhere: where keys are kept by others the node looks every reviewEvery, for sessions to end and for caps.
func TestKeysChangedElsewhere(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		t := w.t
		key := func(edit func(*accesskey.Key)) { w.addKey(alice, edit) }
		ended := make(chan error, 1)
		file := filepath.Join(t.TempDir(), "f")
		require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("x"), 40<<20), 0o644)) // a minute and a half
		go func() {
			ended <- w.run(alice, transfer.Spec{Paths: []transfer.Path{{Source: file}}, Destination: "f", Compression: transfer.CompressionOff, Rates: fasp.Rates{Target: 4 * fasp.Mbps}})
		}()
		time.Sleep(time.Second)
		const seconds = 20
		rate := func() float64 {
			before := w.node.Stats().Totals.BytesIn
			time.Sleep(seconds * time.Second)
			return float64(w.node.Stats().Totals.BytesIn-before) * 8 / seconds
		}
		require.InEpsilon(t, 4e6, rate(), 0.1)
		key(func(k *accesskey.Key) { k.RateCap = int64(fasp.Mbps) })
		time.Sleep(reviewEvery + 5*time.Second)
		require.InEpsilon(t, 1e6, rate(), 0.1)
		key(func(k *accesskey.Key) { k.Disabled = true })
		gone := time.Now()
		require.Equal(t, transfer.CodeAuth, codeOf(t, <-ended))
		require.LessOrEqual(t, time.Since(gone), reviewEvery+time.Second)
	})
}

// TestChangedWhileItEnters: a change between what let a session in and its being known leads to another look.
func TestChangedWhileItEnters(t *testing.T) {
	g := newGuests()
	looked := func() bool {
		select {
		case <-g.wake:
			return true
		default:
			return false
		}
	}
	epoch := g.epoch.Load()
	leave := g.enter(&guest{}, epoch)
	require.False(t, looked())
	require.Len(t, g.list(), 1)
	leave()
	require.Empty(t, g.list())

	g.changed("", nil)
	g.changed("", nil)
	require.True(t, looked())
	require.False(t, looked(), "once is enough for both")
	x := &guest{}
	defer g.enter(x, epoch)()
	require.True(t, looked())
	epoch = g.epoch.Load()
	g.allowed(x, "7", accesskey.AllRights(), epoch)
	require.False(t, looked())
	g.changed("", nil)
	require.True(t, looked())
	g.allowed(x, "7", accesskey.AllRights(), epoch)
	require.True(t, looked())

	// Those who enter side by side do not have each other looked at: after one change, one look is for all who saw the time before, and none for the others.
	before := g.epoch.Load()
	g.changed("", nil)
	require.True(t, looked())
	after := g.epoch.Load()
	defer g.enter(&guest{}, before)()
	require.True(t, looked())
	defer g.enter(&guest{}, after)()
	require.False(t, looked())

	var numbers []uint64
	for _, x := range g.list() {
		numbers = append(numbers, x.number)
	}
	require.Len(t, numbers, 3)
	require.IsIncreasing(t, numbers)
}
