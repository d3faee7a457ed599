package sshd

import (
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/accesskey"
)

// TestOpenSSH: the client that most have, over loopback. Without the program the test is skipped, or fails where TRADEWIND_REQUIRE has the word ssh, as in CI.
func TestOpenSSH(t *testing.T) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		why := "no ssh program; Debian's package openssh-client has it"
		if strings.Contains(","+os.Getenv("TRADEWIND_REQUIRE")+",", ",ssh,") {
			t.Fatal("TRADEWIND_REQUIRE wants ssh: " + why)
		}
		t.Skip("SKIPPED, UNPROVEN HERE: " + why)
	}
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.start(Config{}, l)
	defer func() { require.NoError(t, w.stop()) }()
	w.write("f", "hello")

	dir := t.TempDir()
	private, signer := newPrivateKey(t)
	w.change(func(a *Account) { a.Keys = append(a.Keys, signer.PublicKey()) })
	key, known := filepath.Join(dir, "key"), filepath.Join(dir, "known_hosts")
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(private), 0o600))
	host, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(known, []byte("["+host+"]:"+port+" "+string(ssh.MarshalAuthorizedKey(w.host.PublicKey()))), 0o600))
	run := func(user, input string, args ...string) (string, string, error) {
		c := exec.CommandContext(t.Context(), program, append([]string{
			"-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "UserKnownHostsFile=" + known, "-o", "BatchMode=yes", "-p", port, user + "@" + host,
		}, args...)...)
		c.WaitDelay = 10 * time.Second
		var out, errs strings.Builder
		c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &out, &errs
		err := c.Run()
		return out.String(), errs.String(), err
	}
	out, errs, err := run("joe", "", "tradewind-ticket", "upload", `"/a b"`)
	require.NoError(t, err, errs)
	var ticket Ticket
	require.NoError(t, json.Unmarshal([]byte(out), &ticket))
	require.True(t, accesskey.IsTransferToken(ticket.Token))
	out, errs, err = run("joe", "as_md5sum /f\nas_exit\n", "ascmd")
	require.NoError(t, err, errs)
	all := split(t, out)
	require.Len(t, all, 2)
	require.Equal(t, "5d41402abc4b2a76b9719d911017c592", all[1].field(t, md5Text))
	_, errs, err = run("joe", "")
	require.Error(t, err)
	require.Contains(t, errs, "shell request failed")
	_, errs, err = run("joe", "", "id")
	require.Error(t, err)
	require.Contains(t, errs, "no shell")
	_, errs, err = run("ann", "", "ascmd")
	require.Error(t, err)
	require.Contains(t, errs, "Permission denied")
	_, _, err = run("joe", "", "-W", "127.0.0.1:"+port)
	require.Error(t, err)
}

func newPrivateKey(t *testing.T) (*pem.Block, ssh.Signer) {
	raw := newEd25519(t)
	block, err := ssh.MarshalPrivateKey(raw, "")
	require.NoError(t, err)
	s, err := ssh.NewSignerFromKey(raw)
	require.NoError(t, err)
	return block, s
}
