package node

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
)

// killEnv has what TestNodeKillHelper runs: a folder, and the addresses of UDP and of the API.
const killEnv = "TRADEWIND_NODE_KILL"

// TestNodeKillHelper is the process that TestNodeKilledWhileJobsRun kills: a node that says its addresses when it is ready.
func TestNodeKillHelper(t *testing.T) {
	dir, rest, ok := strings.Cut(os.Getenv(killEnv), "|")
	if !ok {
		t.Skip("it is run by TestNodeKilledWhileJobsRun")
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		os.Exit(3)
	}()
	listen, serve, _ := strings.Cut(rest, "|")
	n, err := New(Config{DocRoot: filepath.Join(dir, "root"), StateDir: filepath.Join(dir, "state"), Listen: listen, API: serve, APIUser: &nodeUser, Version: "test"})
	require.NoError(t, err)
	go func() {
		<-n.Ready()
		fmt.Printf("ready %s %s\n", n.Addr(), n.APIAddr())
	}()
	require.NoError(t, n.Run(context.Background()))
}

// doomed is a node in a process of its own.
type doomed struct {
	t           *testing.T
	dir         string
	listen, api string
	cmd         *exec.Cmd
	http        *http.Client
}

// start runs the node over what is there, at the same ports as before.
func (d *doomed) start() {
	exe, err := os.Executable()
	require.NoError(d.t, err)
	d.cmd = exec.Command(exe, "-test.run=^TestNodeKillHelper$")
	d.cmd.Env = append(d.cmd.Environ(), killEnv+"="+strings.Join([]string{d.dir, d.listen, d.api}, "|"))
	d.cmd.Stderr = os.Stderr
	_, err = d.cmd.StdinPipe() // closed with this process
	require.NoError(d.t, err)
	out, err := d.cmd.StdoutPipe()
	require.NoError(d.t, err)
	require.NoError(d.t, d.cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "ready %s %s", &d.listen, &d.api); n == 2 {
			break
		}
		d.t.Log(lines.Text())
	}
	pem, err := os.ReadFile(filepath.Join(d.dir, "state", certName))
	require.NoError(d.t, err, "it did not start")
	pool := x509.NewCertPool()
	require.True(d.t, pool.AppendCertsFromPEM(pem))
	d.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

// kill ends it as nothing can prevent.
func (d *doomed) kill() {
	require.NoError(d.t, d.cmd.Process.Kill())
	_ = d.cmd.Wait() // it was killed
	d.http.CloseIdleConnections()
}

func (d *doomed) client(c accesskey.Credential) *api.Client {
	return &api.Client{URL: "https://" + d.api, Authorization: c.Token(), HTTP: d.http}
}

// TestNodeKilledWhileJobsRun kills a node in the middle of jobs of both directions, some of which run and some wait, several times over the same state. No job is lost, all files arrive whole, each
// job ends once, and what the sessions moved is counted once.
func TestNodeKilledWhileJobsRun(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	const size = 2 << 20
	other := startReal(t, "other", nil)
	bert := other.key("bert")
	d := &doomed{t: t, dir: t.TempDir(), listen: "127.0.0.1:0", api: "127.0.0.1:0"}
	local := &realNode{t: t, docroot: filepath.Join(d.dir, "root")}
	require.NoError(t, os.MkdirAll(local.docroot, 0o755))
	d.start()
	defer func() { d.kill() }()
	k, err := d.client(nodeUser).CreateAccessKey(t.Context(), api.AccessKeyRequest{ID: "anna", Storage: []byte(`{"type":"local","path":"/anna"}`)})
	require.NoError(t, err)
	anna := accesskey.Credential{ID: k.ID, Secret: k.Secret}

	want := map[string][]byte{} // by path of the file that must come to be
	var ids []string
	add := func() {
		n := len(ids)
		name := fmt.Sprint("f", strings.Repeat("x", n))
		fields := map[string]any{"paths": []any{map[string]any{"source": name}}, "target_rate_kbps": 8000, "tags": map[string]any{"aspera": map[string]any{"usage_id": "film"}}}
		if n%3 == 2 {
			fields["direction"], fields["destination_root"], fields["create_dir"] = "receive", "/back/", true
			want[filepath.Join(local.docroot, "anna/back", name)] = other.file("bert/"+name, size)
		} else {
			want[filepath.Join(other.docroot, "bert/in", name)] = local.file("anna/"+name, size)
		}
		x, err := d.client(anna).StartTransfer(t.Context(), job(other, bert, fields))
		require.NoError(t, err)
		ids = append(ids, x.ID)
	}
	for range 8 { // of which five run at a time
		add()
	}
	list := func() (all []api.Transfer) {
		all, _, err := d.client(anna).Transfers(t.Context(), api.TransferQuery{Count: 1000})
		require.NoError(t, err)
		require.Len(t, all, len(ids), "none is lost, none is twice")
		return all
	}
	rounds := 3 // each of which is a try of the jobs that run, of four
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		// Not before several jobs are in the middle of their files.
		least := int64(1 + rng.IntN(size/2))
		deadline := time.Now().Add(time.Minute)
		for moving := 0; moving < 2; {
			require.True(t, time.Now().Before(deadline), "nothing moves")
			moving = 0
			for _, x := range list() {
				if x.Status == api.Running && x.BytesTransferred >= least || x.Status.Over() {
					moving++
				}
			}
			time.Sleep(time.Millisecond)
		}
		add() // what was taken a moment ago is kept, too
		d.kill()
		d.start()
		list()
	}
	deadline := time.Now().Add(2 * time.Minute)
	var sum api.Moved
	sessions := 0
	for done := 0; done < len(ids); {
		require.True(t, time.Now().Before(deadline), "the jobs stay %+v", list())
		done, sessions, sum = 0, 0, api.Moved{ID: "film"}
		for _, id := range ids {
			x, err := d.client(anna).Transfer(t.Context(), id)
			require.NoError(t, err)
			require.NotEqual(t, api.Failed, x.Status, "%+v", x)
			ended := x.Status == api.Completed
			for _, s := range x.Sessions {
				ended = ended && s.Status != "running"
				sessions++
				if x.Spec.Direction == "send" {
					sum.BytesOut += s.BytesTransferred
				} else {
					sum.BytesIn += s.BytesTransferred
				}
			}
			if ended {
				done++
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	for path, data := range want {
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, string(data) == string(got), path)
	}
	sum.BytesTotal = sum.BytesIn + sum.BytesOut
	for _, ask := range []func() (api.Moved, error){
		func() (api.Moved, error) { return d.client(anna).Moved(t.Context()) },
		func() (api.Moved, error) { return d.client(anna).MovedFor(t.Context(), "film") },
	} {
		u, err := ask()
		require.NoError(t, err)
		u.ID = sum.ID
		require.Equal(t, sum, u)
	}
	require.Greater(t, sessions, len(ids), "the test shows nothing")
	ended := map[string]int{}
	events, _, err := d.client(anna).Events(t.Context(), "")
	require.NoError(t, err)
	for _, e := range events {
		ended[e.Types[0]]++
	}
	require.Equal(t, map[string]int{"transfer.started": len(ids), "transfer.ended": len(ids)}, ended)
	t.Logf("%d jobs in %d sessions, %d bytes", len(ids), sessions, sum.BytesTotal)
}
