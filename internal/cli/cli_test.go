package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/fasp"
)

func TestKnownHosts(t *testing.T) {
	k := KnownHosts{filepath.Join(t.TempDir(), "a", "known_hosts")}
	one, two := fasp.Fingerprint{1}, fasp.Fingerprint{2}
	known, err := k.Check("host:33001", one)
	require.NoError(t, err)
	require.False(t, known)
	require.NoError(t, k.Add("Host:33001", one))
	require.NoError(t, k.Add("host:33001", one), "again is no error and no second line")
	known, err = k.Check("HOST:33001", one)
	require.NoError(t, err)
	require.True(t, known)
	known, err = k.Check("host:33002", two)
	require.NoError(t, err)
	require.False(t, known, "another port is another server")

	hand := KnownHosts{filepath.Join(t.TempDir(), "by_hand")}
	require.NoError(t, os.WriteFile(hand.Path, []byte("Host:33001 "+two.String()+"\n"), 0o600))
	_, err = hand.Check("host:33001", one)
	require.Error(t, err, "a pin in capitals counts")

	_, err = k.Check("host:33001", two)
	var m *HostMismatch
	require.ErrorAs(t, err, &m)
	require.Equal(t, []fasp.Fingerprint{one}, m.Known)
	require.Equal(t, 1, m.Line)
	for _, part := range []string{one.String(), two.String(), k.Path, "remove line 1"} {
		require.Contains(t, err.Error(), part)
	}
	require.ErrorAs(t, k.Add("host:33001", two), &m, "nothing is added over a known key")

	data, err := os.ReadFile(k.Path)
	require.NoError(t, err)
	text := "# mine\n\n" + strings.TrimSuffix(string(data), "\n") + " and a comment\nhost:33001 " + two.String() // no line feed at the end
	require.NoError(t, os.WriteFile(k.Path, []byte(text), 0o600))
	for _, fp := range []fasp.Fingerprint{one, two} {
		known, err = k.Check("host:33001", fp)
		require.NoError(t, err)
		require.True(t, known, "any of a server's lines will do")
	}
	require.NoError(t, k.Add("other:1", one))
	data, err = os.ReadFile(k.Path)
	require.NoError(t, err)
	require.Equal(t, text+"\nother:1 "+one.String()+"\n", string(data), "what was there stays")

	require.NoError(t, os.WriteFile(k.Path, []byte("bad:1 sha256:zz\nworse:1\n"), 0o600))
	_, err = k.Check("bad:1", one)
	require.ErrorContains(t, err, ":1: ")
	_, err = k.Check("worse:1", one)
	require.ErrorContains(t, err, ":2: ")
	require.Error(t, k.Add("two words:1", one))
}

func TestKnownHostsTogether(t *testing.T) {
	k := KnownHosts{filepath.Join(t.TempDir(), "known_hosts")}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if err := k.Add(fmt.Sprintf("host%d:1", i%20), fasp.Fingerprint{byte(i % 20)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	data, err := os.ReadFile(k.Path)
	require.NoError(t, err)
	require.Equal(t, 20, strings.Count(string(data), "\n"))
	for i := range 20 {
		known, err := k.Check(fmt.Sprintf("host%d:1", i), fasp.Fingerprint{byte(i)})
		require.NoError(t, err)
		require.True(t, known)
	}
}

func FuzzKnownHosts(f *testing.F) {
	fp := fasp.Fingerprint{7}
	f.Add("# comment\n\nhost:1 " + fp.String() + " x\n")
	f.Add("host:1\nhost:1 sha256:")
	f.Fuzz(func(t *testing.T, text string) {
		k := KnownHosts{"file"}
		known, err := k.check([]byte(text), "host:1", fp)
		require.False(t, known && err != nil)
		if known {
			require.Contains(t, strings.ToLower(text), fp.String())
		}
	})
}

func TestEnv(t *testing.T) {
	e := Env{"A=1", "HOME=/h", "A=2", "EMPTY="}
	require.Equal(t, "2", e.Get("A"))
	v, ok := e.Lookup("EMPTY")
	require.True(t, ok)
	require.Empty(t, v)
	_, ok = e.Lookup("B")
	require.False(t, ok)
	if runtime.GOOS == "windows" {
		return
	}
	dir, err := e.ConfigDir()
	require.NoError(t, err)
	require.Equal(t, "/h/.config/tradewind", dir)
	dir, err = append(e, "XDG_STATE_HOME=/s", "XDG_CONFIG_HOME=relative").StateDir()
	require.NoError(t, err)
	require.Equal(t, "/s/tradewind", dir)
	_, err = Env{}.StateDir()
	require.Error(t, err)
}

func TestLogger(t *testing.T) {
	var b strings.Builder
	log, level, err := NewLogger(&b, "warn", true)
	require.NoError(t, err)
	log.Info("quiet")
	log.Warn("loud")
	require.NotContains(t, b.String(), "quiet")
	require.Contains(t, b.String(), `"msg":"loud"`)
	level.Set(slog.LevelInfo)
	log.Info("now heard")
	require.Contains(t, b.String(), "now heard")
	_, _, err = NewLogger(&b, "blue", false)
	require.Error(t, err)
}

func TestVersionText(t *testing.T) {
	require.Regexp(t, `^x version [0-9.]+`, VersionText("x"))
}

func TestSignalErrorIsCancel(t *testing.T) {
	require.True(t, errors.Is(fmt.Errorf("x: %w", SignalError{os.Interrupt}), context.Canceled))
}

// TestShown: what is printable stands as it is, and what could steer a terminal is quoted.
func TestShown(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		`C:\films "one" für Ä`:       `C:\films "one" für Ä`,
		"\x1b]0;x\a\x1b[2J":          `"\x1b]0;x\a\x1b[2J"`,
		"a\nid  root\tb\u009b2J\xff": `"a\nid  root\tb\u009b2J\xff"`,
		"\u202egnp.exe":              `"\u202egnp.exe"`,
	} {
		require.Equal(t, want, Shown(text))
	}
}
