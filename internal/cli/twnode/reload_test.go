package twnode

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// TestReload: what can change at once does, the rest is named, and with a mistake in a file nothing changes.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	path, conf := filepath.Join(dir, "vlinks.yaml"), filepath.Join(dir, "twnode.yaml")
	write := func(name, text string) { require.NoError(t, os.WriteFile(name, []byte(text), 0o600)) }
	root, state := filepath.Join(dir, "root"), filepath.Join(dir, "state")
	require.NoError(t, os.Mkdir(root, 0o700))
	base := "docroot: " + root + "\nstate: " + state + "\nvlinks: " + path + "\n"
	write(path, "vlinks:\n- {name: a, out: 10M}\n- {name: b}\n")
	write(conf, base+"max_sessions: 5\n")
	flags := serveCommand(cli.Process{}).Flags()
	require.NoError(t, flags.Set("config", conf))
	again := func() (settings, error) { return loadSettings(flags, nil) }
	s, err := again()
	require.NoError(t, err)
	cfg, err := s.nodeConfig()
	require.NoError(t, err)
	keys := &accesskey.MemStore{}
	k, _, err := accesskey.NewKey(accesskey.Credential{ID: "k", Secret: "s"})
	require.NoError(t, err)
	k.VLink = "b"
	require.NoError(t, keys.Put(t.Context(), k))
	cfg.Keys = keys
	n, err := node.New(cfg)
	require.NoError(t, err)
	var text bytes.Buffer
	level := &slog.LevelVar{}
	log := &nodeLog{Logger: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: level})), level: level}
	var told []string
	r := &reloader{again: again, now: s, links: cfg.VLinks, node: n, log: log, notify: func(s string) error { told = append(told, s); return nil }}

	good := "vlinks:\n- {name: a, out: 10M}\n- {name: b}\n"
	for _, bad := range []struct{ name, text, why string }{
		{path, good + "- {name: a}\n", "vlink \"a\" is in line 2 already"},
		{path, "", "no list of vlinks"}, // a file that is being written
		{conf, base + "max_sessions: 0\n", "line 4: max_sessions: 0: want at least 1"},
		{conf, base + "log_level: loud\n", "line 4"},
	} {
		write(bad.name, bad.text)
		_, err := r.reload(t.Context())
		require.ErrorContains(t, err, bad.why)
		require.Equal(t, cfg.VLinks, r.links)
		require.Equal(t, 5, n.Stats().MaxSessions)
		write(path, good)
		write(conf, base+"max_sessions: 5\n")
	}
	require.Empty(t, told, "a node that is not ready does not pass for one that is because it reloads")
	r.ready()
	write(path, "vlinks:\n- {name: a, out: 20M}\n- {name: c}\n")
	write(conf, base+"max_sessions: 7\nlog_level: warn\npart_size: 32M\nlisten: 127.0.0.1:0\n")
	later, err := r.reload(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"listen", "part_size"}, later)
	require.Equal(t, 7, n.Stats().MaxSessions)
	require.Equal(t, slog.LevelWarn, level.Level())
	require.Equal(t, []string{daemon.SdNotifyReloading, daemon.SdNotifyReady}, told[len(told)-2:])

	// By a signal it is the same, and the log says what is wrong. What waits is told of again.
	write(conf, base+"max_sessions: 8\nlog_level: info\npart_size: 32M\n")
	signals := make(chan os.Signal) // without room: what was taken is dealt with before run ends
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.run(ctx, signals); close(ended) }()
	signals <- syscall.SIGHUP
	signals <- syscall.SIGHUP // the first is done
	cancel()
	<-ended
	require.Equal(t, 8, n.Stats().MaxSessions)
	r.stopping()
	write(conf, "docroot: [\n")
	_, err = r.reload(t.Context())
	require.ErrorContains(t, err, "line")
	require.Equal(t, daemon.SdNotifyStopping, told[len(told)-1], "nor does one that stops")
	for _, want := range []string{
		`msg="vlink changed" vlink=a out="20 Mbit/s" in=none`, `msg="vlink added" vlink=c`, `msg="vlink removed" vlink=b`, "vlinks_changed=3",
		`level=WARN msg="access keys name a vlink that is not configured, and are refused" keys=k`, "settings=part_size",
	} {
		require.Contains(t, text.String(), want)
	}
}

// TestLogFile: the log goes into a file, which gives way to another one, and what cannot be written there is on standard error.
func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.log")
	var stderr bytes.Buffer
	s := settings{LogFile: path, LogSize: "1M", LogCount: 2, LogLevel: "info"}
	log, err := openLog(&stderr, s)
	require.NoError(t, err)
	long := strings.Repeat("x", 100_000)
	for range 40 {
		log.Info(long)
	}
	require.NoError(t, os.Rename(path, path+".moved"))
	log.Info("to the moved one")
	require.NoError(t, log.reopen())
	log.Info("to the new one")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(b), "to the new one")
	require.NotContains(t, string(b), "to the moved one")
	require.Empty(t, stderr.String())
	require.NoError(t, log.close())
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "node-*.log"))
	require.NoError(t, err)
	require.NotEmpty(t, names)

	for _, bad := range []settings{
		{LogFile: filepath.Join(path, "x"), LogSize: "1M", LogCount: 1, LogLevel: "info"},
		{LogFile: path, LogSize: "1", LogCount: 1, LogLevel: "info"},
		{LogFile: path, LogSize: "1M", LogLevel: "info"},
		{LogLevel: "loud"},
	} {
		_, err := openLog(&stderr, bad)
		require.Error(t, err)
	}
	w := fallback{failing{}, &stderr}
	_, err = w.Write([]byte("lost?"))
	require.NoError(t, err)
	require.Equal(t, "lost?", stderr.String())
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrPermission }

// TestNotify: the service manager hears of a node where there is one.
func TestNotify(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: there are no datagram sockets with names here")
	}
	require.NoError(t, notifier(nil)(daemon.SdNotifyReady), "without one nothing is sent")
	name := filepath.Join(t.TempDir(), "n")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", name) // which the library reads itself
	require.NoError(t, notifier(cli.Env{"NOTIFY_SOCKET=" + name})(daemon.SdNotifyReady))
	b := make([]byte, 100)
	n, err := l.Read(b)
	require.NoError(t, err)
	require.Equal(t, "READY=1", string(b[:n]))
}
