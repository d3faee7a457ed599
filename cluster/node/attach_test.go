package node

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/cluster/state"
)

// attached connects to whoever has the state folder.
func attached(t *testing.T, dir string) (*admin.Client, func()) {
	t.Helper()
	c, closed, err := Attach(t.Context(), dir, "test", nil)
	require.NoError(t, err)
	return c, sync.OnceFunc(func() { require.NoError(t, closed()) })
}

// TestAttach: the same calls work beside a node that runs and without one, and what they change is there for the other.
func TestAttach(t *testing.T) {
	a := startReal(t, "a", nil)
	dir := a.cfg.StateDir
	anna := a.key("anna")
	c, done := attached(t, dir)
	st, err := c.Status(t.Context())
	require.NoError(t, err)
	require.True(t, st.Running)
	require.Contains(t, string(st.Stats), `"MaxSessions":`)
	off := true
	require.NoError(t, c.UpdateAccessKey(t.Context(), "anna", api.AccessKeyRequest{Tradewind: &api.KeySettings{Disabled: &off}}))
	_, err = a.client(anna).Info(t.Context())
	require.ErrorContains(t, err, "disabled", "it holds at once")
	password := "a long password"
	require.NoError(t, c.ChangeAccount(t.Context(), "joe2", admin.AccountChange{Create: true, Password: &password}))
	if runtime.GOOS != "windows" {
		fi, err := os.Stat(filepath.Join(dir, admin.SocketName))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	}
	done()
	a.stop()
	require.NoFileExists(t, filepath.Join(dir, admin.SocketName))

	c, done = attached(t, dir)
	st, err = c.Status(t.Context())
	require.NoError(t, err)
	require.False(t, st.Running)
	off = false
	require.NoError(t, c.UpdateAccessKey(t.Context(), "anna", api.AccessKeyRequest{Tradewind: &api.KeySettings{Disabled: &off}}))
	list, err := c.Accounts(t.Context())
	require.NoError(t, err)
	require.Equal(t, "joe2", list[len(list)-1].Name)
	_, err = c.Browse(t.Context(), api.Browse{Path: "/"})
	require.Error(t, err, "files are for a node that runs")
	n, err := New(a.cfg)
	require.NoError(t, err)
	require.ErrorIs(t, n.Run(t.Context()), state.ErrLocked, "a node that starts waits until this is over")
	done()
	a.start()
	_, err = a.client(anna).Info(t.Context())
	require.NoError(t, err)
}

// TestAttachBeside: commands that look after the same folder take turns.
func TestAttachBeside(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadIdentity(dir)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for _, id := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			c, closed, err := Attach(t.Context(), dir, "test", nil)
			if err != nil {
				t.Error(err)
				return
			}
			root := id
			if _, err := c.CreateAccessKey(t.Context(), api.AccessKeyRequest{ID: id, Tradewind: &api.KeySettings{Root: &root}}); err != nil {
				t.Error(err)
			}
			if err := closed(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c, done := attached(t, dir)
	defer done()
	keys, err := c.AccessKeys(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 4)
}

// TestLongStateFolder: the name of a socket is short, that of a folder need not be.
func TestLongStateFolder(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux opens sockets in folders with long names")
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	require.NoError(t, os.MkdirAll(dir, 0o700))
	l, err := admin.Listen(dir)
	require.NoError(t, err)
	conn, err := admin.Dial(t.Context(), dir)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, l.Close())
	_, err = admin.Dial(t.Context(), dir)
	require.Error(t, err)
}

// TestMasterKeyLost: a node whose keys cannot be opened any more says so and makes no other master key.
func TestMasterKeyLost(t *testing.T) {
	a := startReal(t, "a", nil)
	a.key("anna")
	a.stop()
	path := filepath.Join(a.cfg.StateDir, "master.key")
	require.NoError(t, os.Remove(path))
	n, err := New(a.cfg)
	require.NoError(t, err)
	err = n.Run(t.Context())
	require.ErrorIs(t, err, accesskey.ErrCorrupt)
	require.ErrorContains(t, err, "no master.key")
	require.NoFileExists(t, path)
}

// TestRestoreRefused: a backup that is not whole leaves nothing behind.
func TestRestoreRefused(t *testing.T) {
	a := startReal(t, "a", nil)
	a.key("anna")
	c, done := attached(t, a.cfg.StateDir)
	var b bytes.Buffer
	require.NoError(t, c.Backup(t.Context(), &b))
	done()
	dir := t.TempDir()
	_, err := LoadIdentity(dir)
	require.NoError(t, err)
	require.ErrorContains(t, Restore(t.Context(), dir, bytes.NewReader(b.Bytes()), nil), "master.key")
	master, err := os.ReadFile(filepath.Join(a.cfg.StateDir, "master.key"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "master.key"), master, 0o600))
	require.Error(t, Restore(t.Context(), dir, bytes.NewReader(b.Bytes()[:b.Len()-10]), nil))
	require.NoFileExists(t, filepath.Join(dir, stateName))

	// Another master key, which a node would find out about when it starts.
	other := t.TempDir()
	_, err = accesskey.LoadMaster(other)
	require.NoError(t, err)
	err = Restore(t.Context(), other, bytes.NewReader(b.Bytes()), nil)
	require.ErrorIs(t, err, accesskey.ErrCorrupt)
	require.ErrorContains(t, err, "is master.key the one")
	left, err := os.ReadDir(other)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing but master.key")

	// What another process has made meanwhile stays, and half of a restore is not taken for a store.
	path := filepath.Join(dir, stateName)
	err = Restore(t.Context(), dir, io.MultiReader(bytes.NewReader(b.Bytes()[:b.Len()-10]), reader(func() {
		require.NoFileExists(t, path)
		s, err := state.Open(t.Context(), state.Config{Path: path})
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}), bytes.NewReader(b.Bytes()[b.Len()-10:])), nil)
	require.ErrorIs(t, err, fs.ErrExist)
	require.FileExists(t, path)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path+"-wal", []byte("left over"), 0o600))
	require.ErrorContains(t, Restore(t.Context(), dir, bytes.NewReader(b.Bytes()), nil), "state.db-wal is there already")
	require.NoError(t, os.Remove(path+"-wal"))
	require.NoError(t, Restore(t.Context(), dir, bytes.NewReader(b.Bytes()), nil))
	require.ErrorContains(t, Restore(t.Context(), dir, bytes.NewReader(b.Bytes()), nil), "is there already")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, closed, err := Attach(ctx, dir, "test", nil)
	require.NoError(t, err)
	keys, err := d.AccessKeys(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, keys)
	require.NoError(t, closed())
}

// reader is an empty one that does something when it is read.
type reader func()

func (r reader) Read([]byte) (int, error) {
	r()
	return 0, io.EOF
}

// TestNamesOfOthers: nobody over the API passes for who works on the machine, and a new account does not have the public keys of one that is gone.
func TestNamesOfOthers(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadIdentity(dir)
	require.NoError(t, err)
	c, done := attached(t, dir)
	defer done()
	password := "a long password"
	require.ErrorContains(t, c.SetUser(t.Context(), admin.Actor, password), "choose another name")
	require.NoError(t, c.SetUser(t.Context(), "admin", password))
	require.NoError(t, c.ChangeAccount(t.Context(), "joe", admin.AccountChange{Create: true}))
	file := filepath.Join(dir, keysFolder, "joe")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte("ssh-ed25519 AAAA\n"), 0o600))
	require.NoError(t, c.DeleteAccount(t.Context(), "joe"))
	require.NoFileExists(t, file)
	require.ErrorContains(t, c.DeleteAccount(t.Context(), "joe"), "there is no account")
	done()

	n, err := New(Config{StateDir: dir, DocRoot: t.TempDir(), Listen: "127.0.0.1:0", API: "127.0.0.1:0", APIUser: &accesskey.Credential{ID: admin.Actor, Secret: password}})
	require.NoError(t, err)
	require.ErrorContains(t, n.Run(t.Context()), "choose another name")
}

// goneAfter is a store of keys whose caller goes away when a key was removed.
type goneAfter struct {
	accesskey.Store
	leave func()
}

func (g goneAfter) Delete(ctx context.Context, id string) error {
	defer g.leave()
	return g.Store.Delete(ctx, id)
}

// TestDeleteWithoutCaller: with a key goes its history, also when nobody waits for the end of it.
func TestDeleteWithoutCaller(t *testing.T) {
	a := startReal(t, "a", nil)
	anna := a.key("anna")
	spec, err := a.client(anna).UploadSetup(t.Context(), api.TransferRequest{DestinationRoot: "/"})
	require.NoError(t, err)
	require.NoError(t, a.up(spec.Token, "/f"))
	total := func() int64 {
		u, err := a.node.desk.state.UsageTotal(t.Context(), state.UsageFilter{Key: "anna"})
		require.NoError(t, err)
		return u.Sessions
	}
	require.Eventually(t, func() bool { return total() == 1 }, time.Minute, time.Millisecond, "it is written down a moment later")
	ctx, leave := context.WithCancel(t.Context())
	require.NoError(t, managedKeys{goneAfter{a.node.checker.Keys, leave}, a.node.desk.jobs, a.node.guests.changed}.Delete(ctx, "anna"))
	require.Zero(t, total())
}

// TestNothingToKeepItIn: a node without a state store refuses what would have to be kept there, and does not leave it out.
func TestNothingToKeepItIn(t *testing.T) {
	c := &accesskey.Credential{ID: "a", Secret: "a secret of more than 128 bits, surely"}
	for name, edit := range map[string]func(*Config){
		"AccessKey": func(cfg *Config) { cfg.AccessKey = c }, "APIUser": func(cfg *Config) { cfg.APIUser = c }, "SSHUser": func(cfg *Config) { cfg.SSHUser = c },
	} {
		cfg := Config{DocRoot: t.TempDir(), StateDir: t.TempDir(), Keys: &accesskey.MemStore{}}
		edit(&cfg)
		require.ErrorContains(t, cfg.Check(), name)
		cfg.API = "127.0.0.1:0"
		require.NoError(t, cfg.Check(), name)
	}
}
