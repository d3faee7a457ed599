package nodeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/internal/apibed"
)

// settled waits until the storage of a key was tried.
func (b *bed) settled(id string) accesskey.Key {
	b.T.Helper()
	b.srv.probes.wg.Wait()
	k, err := b.Keys.Key(context.Background(), id)
	require.NoError(b.T, err)
	return k
}

func TestSelf(t *testing.T) {
	b := newBed(t)
	want := `{"id":"ak_alpha","root_file_id":"1","storage":{"type":"local","path":"/alpha"},
		"tradewind":{"tenant":"alpha","rights":["read","write","list","delete"],"rate_cap_bps":0,"disabled":false,"state":"synchronized","created":"2026-03-01T12:00:00Z"}}`
	for _, path := range []string{"/access_keys/self", "/access_keys/ak_alpha", "/self"} {
		a := b.Do(b.Alpha, "GET", path, "")
		require.Equal(t, 200, a.Status)
		require.JSONEq(t, want, a.Body, path)
	}
	a := b.Do(b.Alpha, "GET", "/access_keys", "")
	require.JSONEq(t, "["+want+"]", a.Body, "a key sees itself")
	require.Equal(t, "1", a.Header.Get("X-Total-Count"))
	require.Equal(t, 404, b.Do(b.Admin, "GET", "/access_keys/self", "").Status)
}

func TestMasterManagesKeys(t *testing.T) {
	b := newBed(t)
	c := b.Client(b.Admin)
	list, err := c.AccessKeys(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)

	a := b.Do(b.Admin, "POST", "/access_keys", `{"storage":{"type":"local","path":"/alpha"}}`)
	require.Equal(t, 201, a.Status, a.Body)
	var made api.AccessKey
	require.NoError(t, json.Unmarshal([]byte(a.Body), &made))
	require.Regexp(t, "^ak_.{16}$", made.ID)
	require.Len(t, made.Secret, 43)
	require.Equal(t, "pending", made.Tradewind.State)
	require.Equal(t, "1", made.RootFileID)
	require.Equal(t, accesskey.Ready, b.settled(made.ID).State)

	auth := accesskey.Credential{ID: made.ID, Secret: made.Secret}.Token()
	got := b.Do(auth, "GET", "/access_keys/self", "")
	require.Equal(t, 200, got.Status)
	require.NotContains(t, got.Body, made.Secret, "shown once")

	require.Equal(t, 409, b.Do(b.Admin, "POST", "/access_keys", `{"id":"ak_alpha","storage":{"type":"local","path":"/beta"}}`).Status)
	require.Equal(t, 200, b.Do(b.Alpha, "GET", "/self", "").Status, "the one that was there stays")
	require.NoError(t, c.DeleteAccessKey(t.Context(), made.ID))
	require.Equal(t, 401, b.Do(auth, "GET", "/self", "").Status)
	require.Equal(t, 404, b.Do(b.Admin, "DELETE", "/access_keys/"+made.ID, "").Status)
	require.Equal(t, 404, b.Do(b.Admin, "PUT", "/access_keys/"+made.ID, `{}`).Status)
}

// TestOneOfManyMakesAKey: of requests for the same id at the same time one succeeds.
func TestOneOfManyMakesAKey(t *testing.T) {
	b := newBed(t)
	require.Equal(t, 200, b.Do(b.Admin, "GET", "/info", "").Status) // from now on the password is known
	var wg sync.WaitGroup
	status := make([]int, 20)
	for i := range status {
		wg.Go(func() {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", "/access_keys", strings.NewReader(`{"id":"ak_new","storage":{"type":"local","path":"/alpha"}}`))
			r.Header.Set("Authorization", b.Admin)
			b.srv.ServeHTTP(w, r)
			status[i] = w.Code
		})
	}
	wg.Wait()
	slices.Sort(status)
	require.Equal(t, 201, status[0])
	require.Equal(t, slices.Repeat([]int{409}, 19), status[1:])
	require.Equal(t, accesskey.Ready, b.settled("ak_new").State)
}

func TestBadKeys(t *testing.T) {
	b := newBed(t)
	local := `"storage":{"type":"local","path":"/alpha"}`
	for body, why := range map[string]string{
		`{}`:                            "storage is missing",
		`{"storage":{"type":"tape"}}`:   "storage.type",
		`{"storage":{"type":"aws_s3"}}`: "storage.bucket is missing",
		`{"storage":{"type":"local","colour":1}}`:                                             "storage.colour",
		`{"id":"a b",` + local + `}`:                                                          "key id",
		`{"id":"self",` + local + `}`:                                                         "own key",
		`{"secret":"a line\nand another",` + local + `}`:                                      "line break",
		`{"secret":"short",` + local + `}`:                                                    "12 characters",
		`{"token_verification_key":"x",` + local + `}`:                                        "public key in PEM",
		`{"configuration":[],` + local + `}`:                                                  "configuration",
		`{"configuration":{"transfer":{"content_protection_secret":"s3cret"}},` + local + `}`: "content_protection_secret",
		`{"configuration":{"server":{"deny":["everybody"]}},` + local + `}`:                   "deny",
		`{"configuration":{"transfer":{"policy":"greedy"}},` + local + `}`:                    "policy",
		`{"tradewind":{"rights":["rule"]},` + local + `}`:                                     "rights",
		`{"tradewind":{"tenant":"a/b"},` + local + `}`:                                        "tenant",
		`{"tradewind":{"vlink":" "},` + local + `}`:                                           "vlink",
		`{"tradewind":{"rate_cap_bps":-1},` + local + `}`:                                     "rate cap",
		`{"tradewind":{"rotate_overlap_seconds":-1},` + local + `}`:                           "rotate_overlap_seconds",
		`{"tradewind":{"rotate_overlap_seconds":9},` + local + `}`:                            "new secret",
		`{"tradewind":{"note":"` + strings.Repeat("x", 5000) + `"},` + local + `}`:            "note",
	} {
		a := b.Do(b.Admin, "POST", "/access_keys", body)
		require.Equal(t, 400, a.Status, "%s: %s", body, a.Body)
		require.Contains(t, a.Body, why, body)
		require.NotContains(t, a.Body, "s3cret")
	}
	keys, err := b.Keys.Keys(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 2, "none was made")
}

func TestChangeKey(t *testing.T) {
	b := newBed(t)
	a := b.Do(b.Admin, "PUT", "/access_keys/ak_alpha", `{"configuration":{"transfer":{"policy":"fair"}},
		"tradewind":{"rights":["list"],"rate_cap_bps":5000000,"vlink":"slow","note":"for the film","tenant":"studio"}}`)
	require.Equal(t, 204, a.Status, a.Body)
	require.Empty(t, a.Body)
	require.JSONEq(t, `{"id":"ak_alpha","root_file_id":"1","storage":{"type":"local","path":"/alpha"},"configuration":{"transfer":{"policy":"fair"}},
		"tradewind":{"tenant":"studio","rights":["list"],"rate_cap_bps":5000000,"vlink":"slow","disabled":false,"note":"for the film","state":"synchronized","created":"2026-03-01T12:00:00Z"}}`,
		b.Do(b.Alpha, "GET", "/self", "").Body)
	require.Equal(t, 204, b.Do(b.Admin, "PUT", "/access_keys/ak_alpha", `{"configuration":null,"tradewind":{"rights":[],"note":""}}`).Status)
	require.Contains(t, b.Do(b.Alpha, "GET", "/self", "").Body, `"rights":[]`)

	a = b.Do(b.Admin, "PUT", "/access_keys/ak_alpha", `{"secret":"0123456789abcdef0123456789abcdef","tradewind":{"rotate_overlap_seconds":60}}`)
	require.Equal(t, 204, a.Status)
	next := accesskey.Credential{ID: "ak_alpha", Secret: "0123456789abcdef0123456789abcdef"}.Token()
	require.Contains(t, b.Do(next, "GET", "/self", "").Body, `"previous_secret_until":"2026-03-01T12:01:00Z"`)
	require.Equal(t, 200, b.Do(b.Alpha, "GET", "/self", "").Status, "the secret before is still good")
	a = b.Do(b.Admin, "PUT", "/access_keys/ak_alpha", `{"secret":"a weak secret"}`)
	require.Equal(t, 204, a.Status)
	require.Contains(t, a.Header.Get(warningHeader), "128 bits")
	require.Equal(t, 401, b.Do(next, "GET", "/self", "").Status)
	require.Equal(t, 400, b.Do(b.Admin, "PUT", "/access_keys/ak_alpha", `{"id":"other"}`).Status)
	require.Equal(t, 204, b.Do(b.Admin, "PUT", "/access_keys/ak_beta", `{"tradewind":{"disabled":true}}`).Status)
	require.Equal(t, 403, b.Do(b.Beta, "GET", "/self", "").Status)
}

func TestKeyChangesItself(t *testing.T) {
	b := newBed(t)
	for _, body := range []string{
		`{"storage":{"type":"local","path":"/beta"}}`, `{"tradewind":{"rights":["read"]}}`, `{"tradewind":{"tenant":"beta"}}`, `{"tradewind":{"rate_cap_bps":0}}`,
		`{"tradewind":{"vlink":""}}`, `{"tradewind":{"disabled":false}}`,
	} {
		require.Equal(t, 403, b.Do(b.Alpha, "PUT", "/access_keys/self", body).Status, body)
	}
	require.Equal(t, 403, b.Do(b.Alpha, "DELETE", "/access_keys/self", "").Status)
	pem := apibed.SignerPEM()
	quoted, err := json.Marshal(pem)
	require.NoError(t, err)
	require.Equal(t, 204, b.Do(b.Alpha, "PUT", "/access_keys/self", `{"token_verification_key":`+string(quoted)+`,"tradewind":{"note":"mine"}}`).Status)
	require.Contains(t, b.Do(b.Alpha, "GET", "/self", "").Body, "BEGIN PUBLIC KEY")
	require.Equal(t, 204, b.Do(b.Alpha, "PUT", "/access_keys/ak_alpha", `{"token_verification_key":"","secret":"0123456789abcdef0123456789abcdef"}`).Status)
	require.Equal(t, 401, b.Do(b.Alpha, "GET", "/self", "").Status)
}

func TestStorageIsTried(t *testing.T) {
	var broken error
	b := newBed(t, func(c *Config) {
		p := c.Places.(apibed.Folders)
		p.Ask = func(accesskey.Grant) error { return broken }
		c.Places = p
	})
	s3 := `{"type":"aws_s3","bucket":"b","endpoint":"s3.example","credentials":{"type":"key","access_key_id":"AKID","secret_access_key":"very-secret"}}`
	a := b.Do(b.Admin, "POST", "/access_keys", `{"id":"ak_s3","storage":`+s3+`}`)
	require.Equal(t, 201, a.Status, a.Body)
	require.NotContains(t, a.Body, "very-secret")
	require.NotContains(t, a.Body, "AKID")
	k := b.settled("ak_s3")
	require.Equal(t, accesskey.Failed, k.State)
	got := b.Do(b.Admin, "GET", "/access_keys/ak_s3", "").Body
	require.Contains(t, got, `"state":"error","state_reason":"this node has no driver for storage of type aws_s3"`)
	require.Contains(t, got, `"storage":{"bucket":"b","endpoint":"s3.example","type":"aws_s3"}`)
	require.NotContains(t, got, "very-secret")

	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("get %s: %w", "https://s3.example/?k=very-secret", fs.ErrPermission), "the storage refuses the credentials, or this path"},
		{fs.ErrNotExist, "the storage has no such bucket, container or folder"},
		{context.DeadlineExceeded, "the storage did not answer within 30s"},
		{errors.New("odd"), "the storage cannot be reached; the node's log says more"},
	} {
		broken = c.err
		require.Equal(t, 204, b.Do(b.Admin, "PUT", "/access_keys/ak_s3", `{"storage":`+s3+`}`).Status)
		require.Equal(t, c.want, b.settled("ak_s3").StateText)
	}
	require.NotContains(t, b.log.String(), "very-secret")
	require.Contains(t, b.log.String(), "[redacted]")

	broken = nil
	require.Equal(t, 204, b.Do(b.Admin, "PUT", "/access_keys/ak_s3", `{"storage":{"type":"local","path":"/alpha"}}`).Status)
	k = b.settled("ak_s3")
	require.Equal(t, accesskey.Ready, k.State)
	require.Empty(t, k.StateText)
}

// TestLateProbe: what a probe finds is not noted with a storage that it did not try.
func TestLateProbe(t *testing.T) {
	entered, leave := make(chan struct{}, 1), make(chan error)
	b := newBed(t, func(c *Config) {
		p := c.Places.(apibed.Folders)
		p.Ask = func(g accesskey.Grant) error {
			if g.Storage.Fields["path"] == "/slow" {
				entered <- struct{}{}
				return <-leave
			}
			return nil
		}
		c.Places = p
	})
	require.Equal(t, 204, b.Do(b.Admin, "PUT", "/access_keys/ak_alpha", `{"storage":{"type":"local","path":"/slow"}}`).Status)
	<-entered
	require.Equal(t, 204, b.Do(b.Admin, "PUT", "/access_keys/ak_alpha", `{"storage":{"type":"local","path":"/alpha"}}`).Status)
	leave <- errors.New("slow is broken")
	k := b.settled("ak_alpha")
	require.Equal(t, accesskey.Ready, k.State, k.StateText)
}

func TestCloseCutsProbesOffAndResumeGoesOn(t *testing.T) {
	entered := make(chan struct{}, 1)
	hang := func(c *Config) { c.Places = hanging{entered} }
	b := newBed(t, hang)
	require.Equal(t, 204, b.Do(b.Admin, "PUT", "/access_keys/ak_alpha", `{"storage":{"type":"local","path":"/alpha"}}`).Status)
	<-entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, b.srv.Close(ctx), context.Canceled)
	require.Equal(t, accesskey.Pending, b.settled("ak_alpha").State)

	cfg := b.srv.cfg
	cfg.Places = apibed.Folders{Base: b.Base}
	next, err := New(cfg)
	require.NoError(t, err)
	require.NoError(t, next.Resume(t.Context()))
	require.NoError(t, next.Close(context.Background()), "waits for the probe")
	require.Equal(t, accesskey.Ready, b.settled("ak_alpha").State)
}

// hanging is a place that takes as long as it is let.
type hanging struct{ entered chan struct{} }

func (h hanging) Open(ctx context.Context, _ accesskey.Grant) (m manager, release func(), err error) {
	h.entered <- struct{}{}
	<-ctx.Done()
	return nil, nil, context.Cause(ctx)
}

func TestBearers(t *testing.T) {
	b := newBed(t)
	b.File("alpha/f", "x")
	pem, private := apibed.SignerPEM(), apibed.Signer()
	k, err := b.Keys.Key(t.Context(), "ak_alpha")
	require.NoError(t, err)
	k.TokenKey = pem
	require.NoError(t, b.Keys.Put(t.Context(), k))
	bearer := func(admin bool, ends time.Time) string {
		text, err := accesskey.SealBearer(accesskey.Bearer{User: "ann@example", Key: "ak_alpha", Admin: admin, Expires: ends}, private)
		require.NoError(t, err)
		return "Bearer " + text
	}
	hour := noon.Add(time.Hour)
	with := func(auth, method, path, body string) apibed.Answer {
		return b.Do(auth, method, path, body, "X-Aspera-AccessKey", "ak_alpha")
	}
	require.Equal(t, 200, with(bearer(true, hour), "POST", "/files/browse", `{"path":"/"}`).Status)
	a := with(bearer(false, hour), "POST", "/files/browse", `{"path":"/"}`)
	require.Equal(t, 403, a.Status)
	require.Contains(t, a.Body, "admin:all")
	require.Equal(t, 403, with(bearer(false, hour), "GET", "/files/f/contents", "").Status)
	require.Equal(t, 200, with(bearer(false, hour), "GET", "/access_keys/self", "").Status)
	require.Equal(t, 403, with(bearer(true, hour), "PUT", "/access_keys/self", `{"secret":"0123456789abcdef0123456789abcdef"}`).Status)
	require.Equal(t, 403, with(bearer(true, hour), "POST", "/access_keys", `{}`).Status)
	a = with(bearer(true, noon), "GET", "/info", "")
	require.Equal(t, 401, a.Status)
	require.Contains(t, a.Body, "the bearer token has expired")
	require.Equal(t, 401, b.Do(bearer(true, hour), "GET", "/info", "", "X-Aspera-AccessKey", "ak_beta").Status, "it is for another key")

	a = with(bearer(true, hour), "POST", "/files/download_setup", `{"transfer_requests":[{"transfer_request":{"paths":[{"source":"/f"}]}}]}`)
	require.Equal(t, 200, a.Status)
	var out api.SetupAnswer
	require.NoError(t, json.Unmarshal([]byte(a.Body), &out))
	token, err := b.ring.Open(out.Specs[0].Spec.Token, "", noon)
	require.NoError(t, err)
	require.True(t, token.Expires.Equal(hour), "no later than the bearer token")
}

// TestConfigurationBinds: what has an effect of a configuration has it, and a key does not loosen what it is bound by.
func TestConfigurationBinds(t *testing.T) {
	b := newBed(t)
	change := func(auth, configuration string) int {
		return b.Do(auth, "PUT", "/access_keys/ak_alpha", `{"configuration":`+configuration+`}`).Status
	}
	require.Equal(t, 204, change(b.Admin, `{"transfer":{"policy":"low","target_rate_kbps":7000,"target_rate_cap_kbps":9000},"server":{"deny":["192.0.2.1"]}}`))
	setup := func(request string) string {
		return b.Do(b.Alpha, "POST", "/files/upload_setup", `{"transfer_requests":[{"transfer_request":{"destination_root":"/"`+request+`}}]}`).Body
	}
	require.Contains(t, setup(""), `"rate_policy":"low"`)
	require.Contains(t, setup(""), `"target_rate_kbps":7000`)
	require.Contains(t, setup(`,"rate_policy":"high","target_rate_kbps":20000`), `"target_rate_kbps":9000`)
	require.Contains(t, setup(`,"rate_policy":"high"`), `"rate_policy":"high"`)

	require.Equal(t, 204, change(b.Alpha, `{"transfer":{"policy":"high","target_rate_cap_kbps":9000},"server":{"deny":["192.0.2.1/32"]}}`))
	for _, loose := range []string{`{}`, `null`, `{"transfer":{"target_rate_cap_kbps":90000},"server":{"deny":["192.0.2.1"]}}`, `{"transfer":{"target_rate_cap_kbps":9000}}`} {
		require.Equal(t, 403, change(b.Alpha, loose), loose)
	}
	require.Equal(t, 204, change(b.Admin, `{"server":{"allow":["192.0.2.0/24"]}}`))
	a := b.Do(b.Alpha, "GET", "/self", "")
	require.Equal(t, 403, a.Status)
	require.Contains(t, a.Body, "does not admit this address")
	require.Equal(t, 401, b.Do(accesskey.Credential{ID: "ak_alpha", Secret: "wrong"}.Token(), "GET", "/self", "").Status, "who does not hold the secret is not told")
	require.Equal(t, 200, b.Do(b.Beta, "GET", "/self", "").Status)
	require.Equal(t, 204, change(b.Admin, `{"server":{"allow":["127.0.0.0/8","::1"]}}`))
	require.Equal(t, 200, b.Do(b.Alpha, "GET", "/self", "").Status)
}
