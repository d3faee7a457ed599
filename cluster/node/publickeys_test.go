package node

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/tradewind-io/tradewind/cluster/api"
)

// publicLine is a new key and its line in authorized_keys.
func publicLine(t *testing.T, comment string) (ssh.Signer, string) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	s, err := ssh.NewSignerFromSigner(private)
	require.NoError(t, err)
	return s, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey()))) + comment
}

// TestPublicKeys: a user of the node gives an account a key, which it logs in with from then on.
func TestPublicKeys(t *testing.T) {
	r := startReal(t, "a", func(c *Config) { c.SSH, c.SSHUser = "127.0.0.1:0", &joe })
	user := r.client(nodeUser)
	signer, line := publicLine(t, " joe@desk")
	logIn := func() error {
		c, err := ssh.Dial("tcp", r.node.SSHAddr().String(), &ssh.ClientConfig{User: "joe", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: time.Minute, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	require.Error(t, logIn())
	kept, err := user.AddPublicKey(t.Context(), "joe", "  "+line+"\n")
	require.NoError(t, err)
	require.Equal(t, line, kept)
	require.NoError(t, logIn())

	// The same key again, whatever stands beside it, changes nothing.
	kept, err = user.AddPublicKey(t.Context(), "joe", "restrict "+strings.TrimSuffix(line, " joe@desk")+" other")
	require.NoError(t, err)
	require.Equal(t, line, kept)
	list, _, err := user.Audit(t.Context(), "")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, []string{"public_key " + ssh.FingerprintSHA256(signer.PublicKey())}, list[0].Changed)
	require.Equal(t, "user admin account.add_public_key joe", fmt.Sprint(list[0].Actor, " ", list[0].Action, " ", list[0].Object))

	status := func(c *api.Client, account, line string) (int, string) {
		t.Helper()
		_, err := c.AddPublicKey(t.Context(), account, line)
		var e *api.Error
		require.ErrorAs(t, err, &e)
		return e.Code, e.UserMessage
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	weak, err := ssh.NewPublicKey(&small.PublicKey)
	require.NoError(t, err)
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"joe"}, ValidBefore: ssh.CertTimeInfinity}
	require.NoError(t, cert.SignCert(rand.Reader, signer))
	for bad, why := range map[string]string{
		"":                                     "want a public key",
		"# " + line:                            "none on the line",
		"ssh-ed25519 AAAA":                     "cannot be read",
		line + "\n" + line:                     "one line",
		`command="x" ` + line:                  "options",
		`from="10.0.0.0/8" ` + line:            "options",
		string(ssh.MarshalAuthorizedKey(weak)): "2,048 bits",
		string(ssh.MarshalAuthorizedKey(cert)): "certificates",
		line + strings.Repeat("x", 8<<10):      "more than 8192 bytes",
	} {
		code, text := status(user, "joe", bad)
		require.Equal(t, http.StatusBadRequest, code, why)
		require.Contains(t, text, why)
	}
	for _, name := range []string{"jim", "../joe", "admin", strings.Repeat("x", 300)} {
		code, _ := status(user, name, line)
		require.Equal(t, http.StatusNotFound, code, name)
	}
	code, _ := status(user, "", line)
	require.Equal(t, http.StatusBadRequest, code)
	anna := r.key("anna")
	for _, name := range []string{"joe", "jim"} {
		code, _ = status(r.client(anna), name, line)
		require.Equal(t, http.StatusForbidden, code, "whatever accounts there are")
	}

	// Many at once are all kept, and no more than there may be.
	var lines []string
	for range maxAccountKeys - 1 {
		_, l := publicLine(t, "")
		lines = append(lines, l)
	}
	var wg sync.WaitGroup
	for part := range slices.Chunk(lines, 25) {
		wg.Go(func() {
			for _, l := range part {
				if _, err := user.AddPublicKey(t.Context(), "joe", l); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	u, err := r.node.desk.state.User(t.Context(), kindSSH, "joe")
	require.NoError(t, err)
	var doc accountDoc
	require.NoError(t, json.Unmarshal(u.Doc, &doc))
	require.ElementsMatch(t, append(lines, line), doc.Keys)
	require.Equal(t, []string{"all"}, doc.Rights)
	_, more := publicLine(t, "")
	code, text := status(user, "joe", more)
	require.Equal(t, http.StatusConflict, code)
	require.Contains(t, text, "100")
	require.NoError(t, logIn())
	chain, err := user.VerifyAudit(t.Context())
	require.NoError(t, err)
	require.True(t, chain.OK)
	require.EqualValues(t, maxAccountKeys+1, chain.Last, "each key once, and that of anna")
	require.False(t, bytes.Contains(u.Doc, []byte(more)))
}
