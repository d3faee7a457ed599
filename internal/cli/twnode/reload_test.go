package twnode

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node"
)

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vlinks.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write("vlinks:\n- {name: a, out: 10M}\n- {name: b}\n")
	links, err := readLinks(path)
	require.NoError(t, err)
	keys := &accesskey.MemStore{}
	k, _, err := accesskey.NewKey(accesskey.Credential{ID: "k", Secret: "s"})
	require.NoError(t, err)
	k.VLink = "b"
	require.NoError(t, keys.Put(t.Context(), k))
	n, err := node.New(node.Config{DocRoot: t.TempDir(), StateDir: t.TempDir(), Keys: keys, VLinks: links})
	require.NoError(t, err)
	var log bytes.Buffer
	r := &reloader{path: path, now: links, node: n, log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, bad := range []string{"vlinks:\n- {name: a, out: 10M}\n- {name: b}\n- {name: a}\n", ""} { // the second is a file that is being written
		write(bad)
		r.reload(t.Context())
		require.Equal(t, links, r.now)
	}
	write("vlinks:\n- {name: a, out: 20M}\n- {name: c}\n")
	signals := make(chan os.Signal) // without room: what was taken is dealt with before run ends
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { r.run(ctx, signals); close(ended) }()
	signals <- syscall.SIGHUP
	cancel()
	<-ended
	text := log.String()
	require.Equal(t, 2, strings.Count(text, `level=ERROR msg="the vlinks stay as they were"`), text)
	require.Contains(t, text, path+`: line 4: vlink \"a\" is in line 2 already`)
	for _, want := range []string{
		`msg="vlink changed" vlink=a out="20 Mbit/s" in=none`, `msg="vlink added" vlink=c`, `msg="vlink removed" vlink=b`, "changes=3",
		`level=WARN msg="access keys name a vlink that is not configured, and are refused" keys=k`,
	} {
		require.Contains(t, text, want)
	}
}
