package node

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// tagged are the tags of a transfer below the folder of an id.
func tagged(key, folder string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"aspera":{"node":{"access_key":%q,"file_id":%q},"xfer_id":"x-1","usage_id":"u-1"},"app":{"case":"7"}}`, key, folder))
}

// in uploads a file named f with these tags; back downloads source.
func (r *realNode) in(token string, tags json.RawMessage, dest string) error {
	file := filepath.Join(r.t.TempDir(), "f")
	require.NoError(r.t, os.WriteFile(file, []byte("mine"), 0o644))
	_, err := transfer.Run(r.t.Context(), transfer.Config{RetryTimeout: -1, Dial: r.dial(token)}, transfer.Spec{
		Paths: []transfer.Path{{Source: file}}, Destination: dest, CreateDir: true, Tags: tags, Cookie: "biscuit",
	})
	return err
}

func (r *realNode) back(token string, tags json.RawMessage, source string, more ...func(*transfer.Spec)) (string, error) {
	dir := r.t.TempDir()
	spec := transfer.Spec{Direction: transfer.Receive, Paths: []transfer.Path{{Source: source}}, Destination: dir, CreateDir: true, Tags: tags}
	for _, edit := range more {
		edit(&spec)
	}
	_, err := transfer.Run(r.t.Context(), transfer.Config{RetryTimeout: -1, Dial: r.dial(token)}, spec)
	return dir, err
}

// recorded waits until n transfers of a key are written down to their end, and returns them, newest first.
func (r *realNode) recorded(c accesskey.Credential, n int, q api.TransferQuery) []api.Transfer {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		list, _, err := r.client(c).Transfers(r.t.Context(), q)
		require.NoError(r.t, err)
		over := len(list) == n
		for _, x := range list {
			over = over && x.Status.Over()
		}
		if over {
			return list
		}
		require.True(r.t, time.Now().Before(deadline), "%+v", list)
		time.Sleep(5 * time.Millisecond)
	}
}

// entry is the id of the one file of this name in a folder, as the API shows it to who has the authorization.
func (r *realNode) entry(auth, folder, name string) string {
	r.t.Helper()
	list, _, err := (&api.Client{URL: "https://" + r.node.APIAddr().String(), Authorization: auth, HTTP: r.http}).Entries(r.t.Context(), folder, api.EntryQuery{Name: name})
	require.NoError(r.t, err)
	require.Len(r.t, list, 1, name)
	return list[0].ID
}

// TestOwnerOf: users of an application are not each other, nor the key.
func TestOwnerOf(t *testing.T) {
	key := accesskey.Grant{KeyID: "anna"}
	olga := accesskey.Grant{KeyID: "anna", User: "olga", Owner: true}
	una, ute := accesskey.Grant{KeyID: "anna", User: "una"}, accesskey.Grant{KeyID: "anna", User: "ute"}
	require.Equal(t, "anna", ownerOf(key))
	require.Equal(t, "anna", ownerOf(olga))
	require.NotEqual(t, "anna", ownerOf(una))
	require.NotEqual(t, ownerOf(una), ownerOf(ute))
}

// TestFolderThatWent: what happens to a folder between its being found and being opened tells nobody where it was.
func TestFolderThatWent(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "secret"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret/file"), nil, 0o644))
	d, err := transfer.OpenDir(dir)
	require.NoError(t, err)
	defer d.Close()
	for name, code := range map[string]transfer.Code{"secret/gone": transfer.CodeNoSuchFile, "gone/x": transfer.CodeNoSuchFile, "secret/file": transfer.CodeNotDir} {
		_, err := d.Folder(t.Context(), name)
		require.Error(t, err, name)
		err = openError(err)
		require.Equal(t, code, codeOf(t, err), name)
		require.NotContains(t, err.Error(), "secret")
		require.NotContains(t, err.Error(), "gone")
	}
}

// TestManagingByPermission: a session to look and arrange knows no permission to rename, so that there is none for users whose permissions are all they have.
func TestManagingByPermission(t *testing.T) {
	n := &Node{guests: newGuests()}
	for g, code := range map[*accesskey.Grant]transfer.Code{
		{KeyID: "anna", User: "una"}:               transfer.CodeNoPerms,
		{KeyID: "anna", User: "olga", Owner: true}: transfer.CodeNoSuchFile, // since this node keeps no state
		{KeyID: "anna"}:                            transfer.CodeNoSuchFile,
	} {
		_, err := n.placeOf(&guest{grant: *g}, nil, transfer.Place{})(t.Context(), transfer.Asked{Manage: true, Folder: "2"})
		require.Equal(t, code, codeOf(t, err), "%v", err)
	}
}

// TestTransfersByFolderID: files land in the folder of the id, wherever that is by now, or nowhere.
func TestTransfersByFolderID(t *testing.T) {
	r := startReal(t, "n", func(c *Config) { c.SSH, c.SSHUser, c.WSS = "127.0.0.1:0", &joe, "127.0.0.1:0" })
	anna, bert := r.key("anna"), r.key("bert")
	r.file("anna/projects/alpha/g", 1000)
	r.file("bert/g", 1000)
	projects := r.entry(anna.Token(), api.RootID, "projects")
	alpha := r.entry(anna.Token(), projects, "alpha")
	g := r.entry(anna.Token(), alpha, "g")
	berts := r.entry(bert.Token(), api.RootID, "g")

	// As ascli does with an access key: the destination "/" is the folder of the id.
	require.NoError(t, r.in(anna.Token(), tagged("anna", alpha), "/"))
	require.FileExists(t, filepath.Join(r.docroot, "anna/projects/alpha/f"))
	require.NoFileExists(t, filepath.Join(r.docroot, "anna/f"))
	require.NoError(t, r.in(anna.Token(), tagged("anna", alpha), "new/er"))
	require.FileExists(t, filepath.Join(r.docroot, "anna/projects/alpha/new/er/f"))
	require.NoError(t, r.in(anna.Token(), tagged("anna", api.RootID), "/"))
	require.FileExists(t, filepath.Join(r.docroot, "anna/f"))
	dir, err := r.back(anna.Token(), tagged("anna", alpha), "g")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dir, "g"))

	// The record says where, and has what the application gave with it.
	list := r.recorded(anna, 4, api.TransferQuery{Tag: "app.case=7"})
	require.Equal(t, []string{"/projects/alpha/g"}, list[0].Spec.SourcePaths)
	require.Equal(t, "/projects/alpha", list[3].Spec.DestinationPath)
	require.Equal(t, "biscuit", list[3].Spec.Cookie)
	require.JSONEq(t, string(tagged("anna", alpha)), string(list[3].Spec.Tags))
	moved, err := r.client(anna).MovedFor(t.Context(), "u-1")
	require.NoError(t, err)
	require.EqualValues(t, 3*len("mine")+1000, moved.BytesTotal)

	// A folder that was renamed keeps its id.
	require.NoError(t, r.client(anna).RenameEntry(t.Context(), alpha, "beta"))
	require.NoError(t, r.in(anna.Token(), tagged("anna", alpha), "after"))
	require.FileExists(t, filepath.Join(r.docroot, "anna/projects/beta/after/f"))
	require.NoDirExists(t, filepath.Join(r.docroot, "anna/projects/alpha"))

	// A ticket for everything is as good as the key; one for some paths is not for ids.
	ticket, _ := r.wss(anna.Token(), `{"for":"upload","paths":["."]}`)
	require.NoError(t, r.in(ticket.Token, tagged("anna", alpha), "ticket"))
	require.FileExists(t, filepath.Join(r.docroot, "anna/projects/beta/ticket/f"))
	narrow, _ := r.wss(anna.Token(), `{"for":"upload","paths":["in"]}`)
	account := r.ticket("upload .")
	for name, c := range map[string]struct {
		err  error
		code transfer.Code
	}{
		"no such id":                      {r.in(anna.Token(), tagged("anna", "999"), "/"), transfer.CodeNoSuchFile},
		"no id at all":                    {r.in(anna.Token(), tagged("anna", "../.."), "/"), transfer.CodeNoSuchFile},
		"a file":                          {r.in(anna.Token(), tagged("anna", g), "/"), transfer.CodeNotDir},
		"out of the folder":               {r.in(anna.Token(), tagged("anna", alpha), "../x"), transfer.CodeBadPath},
		"an id of another key":            {r.in(bert.Token(), tagged("bert", alpha), "/"), transfer.CodeNoSuchFile},
		"the tags of another key":         {r.in(anna.Token(), tagged("bert", berts), "/"), transfer.CodeNoPerms},
		"a ticket for another path":       {r.in(narrow.Token, tagged("anna", alpha), "in"), transfer.CodeNoPerms},
		"an account":                      {r.in(account.Token, tagged("ssh:joe", api.RootID), "/"), transfer.CodeNoSuchFile},
		"a usage id that is none":         {r.in(anna.Token(), json.RawMessage(`{"aspera":{"usage_id":[]}}`), "/"), transfer.CodeUsage},
		"tags of which the key is a list": {r.in(anna.Token(), json.RawMessage(`{"aspera":{"node":{"access_key":[],"file_id":"1"}}}`), "/"), transfer.CodeUsage},
	} {
		require.Error(t, c.err, name)
		require.Equal(t, c.code, codeOf(t, c.err), "%s: %v", name, c.err)
	}
	require.NoError(t, os.RemoveAll(filepath.Join(r.docroot, "anna/projects")))
	require.Equal(t, transfer.CodeNoSuchFile, codeOf(t, r.in(anna.Token(), tagged("anna", alpha), "/")))
	require.NoDirExists(t, filepath.Join(r.docroot, "anna/projects"))
}

// TestTransfersByPermission: a user of an application transfers where permissions let him, as far as they let him, and nothing leads out of there.
func TestTransfersByPermission(t *testing.T) {
	r := startReal(t, "n", nil)
	anna := r.key("anna")
	signer := apibed.SignerPEM()
	require.NoError(t, r.client(nodeUser).UpdateAccessKey(t.Context(), "anna", api.AccessKeyRequest{TokenVerificationKey: &signer}))
	bearer := func(b accesskey.Bearer) string {
		b.Key, b.Expires = "anna", time.Now().Add(time.Hour)
		text, err := accesskey.SealBearer(b, apibed.Signer())
		require.NoError(t, err)
		return "Bearer " + text
	}
	una, owner := bearer(accesskey.Bearer{User: "una", Groups: []string{"crew"}}), bearer(accesskey.Bearer{User: "olga", Admin: true})
	r.file("anna/a/shared/f", 100)
	r.file("anna/a/view/f", 100)
	r.file("anna/a/closed/f", 100)
	require.NoError(t, os.Symlink("../closed/f", filepath.Join(r.docroot, "anna/a/shared/out")))
	require.NoError(t, os.Symlink("../closed", filepath.Join(r.docroot, "anna/a/shared/closed")))
	a := r.entry(anna.Token(), api.RootID, "a")
	ids := map[string]string{}
	for _, name := range []string{"shared", "view", "closed"} {
		ids[name] = r.entry(anna.Token(), a, name)
	}
	allow := func(folder, kind, who string, levels ...string) {
		_, err := r.client(anna).CreatePermission(t.Context(), api.PermissionRequest{FileID: api.ID(ids[folder]), AccessType: kind, AccessID: api.ID(who), AccessLevels: levels})
		require.NoError(t, err)
	}
	allow("shared", "user", "una", "list", "read", "write", "mkdir", "delete")
	allow("view", "group", "crew", "list", "read")

	require.NoError(t, r.in(una, tagged("anna", ids["shared"]), "sub"))
	require.FileExists(t, filepath.Join(r.docroot, "anna/a/shared/sub/f"))
	_, err := r.back(una, tagged("anna", ids["view"]), "f")
	require.NoError(t, err)
	require.NoError(t, r.in(owner, tagged("anna", ids["closed"]), "/"))
	require.NoError(t, r.in(owner, nil, "/by/path"))

	// Whose transfers these were is told.
	var users, types []string
	for _, x := range r.recorded(anna, 4, api.TransferQuery{}) {
		users, types = append(users, x.Spec.ClientUser), append(types, x.Spec.TokenType)
	}
	require.Equal(t, []string{"olga", "olga", "una", "una"}, users)
	require.Equal(t, []string{"bearer_token", "bearer_token", "bearer_token", "bearer_token"}, types)
	events, _, err := r.client(anna).Events(t.Context(), "")
	require.NoError(t, err)
	said := ""
	for _, e := range events {
		said += string(e.Data)
	}
	require.Contains(t, said, `"user_id":"una"`)

	deny := func(code transfer.Code, err error) {
		t.Helper()
		require.Error(t, err)
		require.Equal(t, code, codeOf(t, err), "%v", err)
	}
	deny(transfer.CodeNoPerms, r.in(una, tagged("anna", ids["view"]), "/"))
	deny(transfer.CodeNoSuchFile, r.in(una, tagged("anna", ids["closed"]), "/"))
	deny(transfer.CodeNoSuchFile, r.in(una, tagged("anna", a), "/"))
	deny(transfer.CodeNoSuchFile, r.in(una, tagged("anna", api.RootID), "/"))
	deny(transfer.CodeNoSuchFile, r.in(una, tagged("anna", "999"), "/"))
	deny(transfer.CodeNoPerms, r.in(una, nil, "/"))
	_, err = r.back(una, nil, "a/shared/f")
	deny(transfer.CodeNoPerms, err)
	for _, source := range []string{"out", "closed/f", "../closed/f"} {
		_, err = r.back(una, tagged("anna", ids["shared"]), source)
		require.Error(t, err, source)
	}
	for _, dest := range []string{"closed", "closed/x", "../closed"} {
		require.Error(t, r.in(una, tagged("anna", ids["shared"]), dest), dest)
	}
	require.NoFileExists(t, filepath.Join(r.docroot, "anna/a/closed/x"))
	dir, err := r.back(una, tagged("anna", ids["shared"]), ".")
	require.Error(t, err) // some files failed: what the links lead to
	require.NoFileExists(t, filepath.Join(dir, "out"))
	require.NoDirExists(t, filepath.Join(dir, "closed/f"))

	// Who has the same work as somebody else does not end it.
	file := filepath.Join(t.TempDir(), "same")
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o644))
	same := transfer.Spec{Paths: []transfer.Path{{Source: file}}, Destination: "/", Tags: tagged("anna", ids["shared"])}
	var second error
	_, err = transfer.Run(t.Context(), transfer.Config{RetryTimeout: -1, Dial: r.dial(anna.Token()), Events: func(e transfer.Event) {
		if e.Kind == transfer.EventSessionStarted {
			_, second = transfer.Run(t.Context(), transfer.Config{RetryTimeout: -1, Dial: r.dial(una)}, same)
		}
	}}, same)
	require.NoError(t, second)
	require.NoError(t, err)

	// A link in place of the folder is not the folder.
	require.NoError(t, os.Rename(filepath.Join(r.docroot, "anna/a/shared"), filepath.Join(r.docroot, "anna/a/was")))
	require.NoError(t, os.Symlink("closed", filepath.Join(r.docroot, "anna/a/shared")))
	deny(transfer.CodeNotDir, r.in(una, tagged("anna", ids["shared"]), "x"))
	require.NoFileExists(t, filepath.Join(r.docroot, "anna/a/closed/x/f"))
}

// TestCancelledByClient: what the client has ended itself is no failure.
func TestCancelledByClient(t *testing.T) {
	r := startReal(t, "n", nil)
	anna := r.key("anna")
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, make([]byte, 1<<20), 0o644))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := transfer.Run(ctx, transfer.Config{RetryTimeout: -1, Dial: r.dial(anna.Token()), Events: func(e transfer.Event) {
		if e.Kind == transfer.EventSessionStarted {
			cancel()
		}
	}}, transfer.Spec{Paths: []transfer.Path{{Source: file}}, Destination: "/", Rates: fasp.Rates{Target: fasp.Mbps}})
	require.Equal(t, transfer.CodeUserCancel, codeOf(t, err))
	list := r.recorded(anna, 1, api.TransferQuery{})
	require.Equal(t, api.Canceled, list[0].Status)
	require.EqualValues(t, transfer.CodeUserCancel, list[0].ErrorCode)
}

// TestHowAClientWantsIt: the record of a client's session has what it asked for, whichever way the files go.
func TestHowAClientWantsIt(t *testing.T) {
	r := startReal(t, "n", nil)
	anna := r.key("anna")
	r.file("anna/f", 10)
	dir := t.TempDir()
	rates := fasp.Rates{Policy: fasp.High, Target: 50 * fasp.Mbps, Min: fasp.Mbps}
	for _, s := range []transfer.Spec{
		{Direction: transfer.Receive, Paths: []transfer.Path{{Source: "f"}}, Destination: dir},
		{Paths: []transfer.Path{{Source: filepath.Join(dir, "f")}}, Destination: "in"},
	} {
		s.Rates, s.CreateDir, s.Resume, s.Overwrite = rates, true, transfer.ResumeFull, transfer.OverwriteAlways
		_, err := transfer.Run(t.Context(), transfer.Config{RetryTimeout: -1, Dial: r.dial(anna.Token())}, s)
		require.NoError(t, err)
	}
	require.NoError(t, r.up(anna.Token(), "plain"))
	for i, x := range r.recorded(anna, 3, api.TransferQuery{}) {
		got := []any{x.Spec.RatePolicy, x.Spec.TargetRate, x.Spec.MinRate, x.Spec.CreateDir, x.Spec.Resume, x.Spec.Overwrite}
		want := []any{"high", int64(50_000), int64(1000), true, transfer.ResumeFull.String(), "always"}
		if i == 0 {
			want = []any{"fair", int64(0), int64(0), false, transfer.ResumeSparse.String(), "diff"}
		}
		require.Equal(t, want, got, x.Spec.Direction)
	}
}
