package s3

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// account is a store that takes one access key and calls all others expired.
type account struct {
	mu  sync.Mutex
	key string
	saw []http.Header
}

func (a *account) set(key string) { a.mu.Lock(); defer a.mu.Unlock(); a.key = key }

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	key := a.key
	a.saw = append(a.saw, r.Header)
	a.mu.Unlock()
	if !strings.Contains(r.Header.Get("Authorization"), "Credential="+key+"/") {
		refuse(403, "ExpiredToken")(w, r)
		return
	}
	io.Copy(io.Discard, r.Body)
	w.Header().Set("ETag", `"e"`)
}

func try(t *testing.T, d *driver) error {
	_, err := d.Put(t.Context(), "k", section("x"), objstore.PutOptions{})
	return err
}

func TestFileCredentials(t *testing.T) {
	name := filepath.Join(t.TempDir(), "credentials")
	write := func(key string) {
		text := "[default]\naws_access_key_id = WRONG\naws_secret_access_key = w\n[work]\naws_access_key_id = " + key + "\naws_secret_access_key = " + testSecret + "\naws_session_token = " + testToken + "\n"
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	store := &account{key: "FIRST"}
	d := fake(t, store.ServeHTTP, func(c *Config) { c.Credentials = File{Path: name, Profile: "work"} })
	err := try(t, d)
	require.Equal(t, objstore.Auth, objstore.KindOf(err), "no file yet: %v", err)
	write("FIRST")
	require.NoError(t, try(t, d))
	require.Equal(t, testToken, store.saw[0].Get("X-Amz-Security-Token"))

	// The store calls them expired, and the file has no others.
	store.set("SECOND")
	err = try(t, d)
	require.Equal(t, objstore.Auth, objstore.KindOf(err), "%v", err)
	require.ErrorContains(t, err, "get new ones")
	// Somebody writes the file: the next call fails in a way that is worth another try.
	write("SECOND")
	err = try(t, d)
	require.Equal(t, objstore.Temporary, objstore.KindOf(err), "%v", err)
	require.NoError(t, try(t, d))
	require.NoError(t, os.Remove(name))
	require.NoError(t, try(t, d), "the file is not read for every request")
}

func TestMachineRole(t *testing.T) {
	var asked atomic.Int32
	lifetime := time.Hour
	keys := func(w http.ResponseWriter) {
		n := asked.Add(1)
		json.NewEncoder(w).Encode(map[string]any{
			"Code": "Success", "AccessKeyId": fmt.Sprintf("ROLE%d", n), "SecretAccessKey": testSecret, "Token": testToken, "Expiration": time.Now().Add(lifetime).UTC(),
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+sessionPath, func(w http.ResponseWriter, r *http.Request) {
		require.NotEmpty(t, r.Header.Get(ttlHeader))
		io.WriteString(w, "session")
	})
	mux.HandleFunc("GET "+rolesPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(sessionHeader) != "session" {
			w.WriteHeader(401)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/the-role") {
			keys(w)
		} else {
			io.WriteString(w, "the-role\n")
		}
	})
	mux.HandleFunc("GET /container/keys", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "container-token" {
			w.WriteHeader(401)
			return
		}
		keys(w)
	})
	meta := httptest.NewServer(mux)
	defer meta.Close()

	store := &account{key: "ROLE1"}
	d := fake(t, store.ServeHTTP, func(c *Config) { c.Credentials = IAMRole{Endpoint: meta.URL} })
	require.NoError(t, try(t, d))
	require.NoError(t, try(t, d))
	require.EqualValues(t, 1, asked.Load(), "they are kept while they last")
	store.set("ROLE2")
	require.Equal(t, objstore.Temporary, objstore.KindOf(try(t, d)))
	require.NoError(t, try(t, d))

	// Keys that are over when they come are asked for every time.
	lifetime = -time.Hour
	store.set("ROLE3")
	d = fake(t, store.ServeHTTP, func(c *Config) { c.Credentials = IAMRole{Endpoint: meta.URL} })
	require.NoError(t, try(t, d))
	store.set("ROLE4")
	require.NoError(t, try(t, d), "renewed ahead of the request")

	name := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(name, []byte("container-token\n"), 0o600))
	store.set("ROLE5")
	d = fake(t, store.ServeHTTP, func(c *Config) { c.Credentials = IAMRole{Endpoint: meta.URL + "/container/keys", TokenFile: name} })
	require.NoError(t, try(t, d))
	d = fake(t, store.ServeHTTP, func(c *Config) { c.Credentials = IAMRole{Endpoint: meta.URL + "/container/keys"} })
	err := try(t, d)
	require.Equal(t, objstore.Auth, objstore.KindOf(err), "%v", err)

	meta.Close()
	d = fake(t, store.ServeHTTP, func(c *Config) { c.Credentials = IAMRole{Endpoint: meta.URL} })
	require.Equal(t, objstore.Temporary, objstore.KindOf(try(t, d)), "the service may come back")
	_, err = d.List(t.Context(), objstore.ListOptions{})
	require.Equal(t, objstore.Temporary, objstore.KindOf(err), "%v", err)
}

// TestAssumeRole has MinIO's own token service give keys.
func TestAssumeRole(t *testing.T) {
	s := servers.MinIO(t)
	cfg := place(t, s, MinIO)
	cfg.Credentials = AssumeRole{STSEndpoint: s.URL(), RoleARN: "arn:xxx:xxx:xxx:xxxx", SessionName: "test", Duration: time.Hour, Base: cfg.Credentials.(Static)}
	d := open(t, cfg)
	require.NoError(t, try(t, d))
	v, err := d.credentials(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, v.SessionToken)
	require.NotEqual(t, s.AccessKey, v.AccessKeyID)
	require.Equal(t, "x", get(t, d, "k"))
	_, err = d.List(t.Context(), objstore.ListOptions{})
	require.NoError(t, err, "lists are signed with the token too")

	base := cfg.Credentials.(AssumeRole)
	base.Base.SecretKey = "wrong" + testSecret
	cfg.Credentials = base
	err = try(t, open(t, cfg))
	require.Equal(t, objstore.Auth, objstore.KindOf(err), "%v", err)
	require.NotContains(t, err.Error(), testSecret)
}

func TestWebIdentity(t *testing.T) {
	name := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(name, []byte("first-token\n"), 0o600))
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "arn:role", r.FormValue("RoleArn"))
		require.Equal(t, "900", r.FormValue("DurationSeconds"))
		if r.FormValue("WebIdentityToken") != "first-token" {
			w.WriteHeader(400)
			io.WriteString(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>InvalidIdentityToken</Code><Message>no</Message></Error></ErrorResponse>`)
			return
		}
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
			<AccessKeyId>WEB</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration>
			</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, testSecret, testToken, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	}))
	defer sts.Close()
	store := &account{key: "WEB"}
	d := fake(t, store.ServeHTTP, func(c *Config) {
		c.Credentials = WebIdentity{STSEndpoint: sts.URL, RoleARN: "arn:role", TokenFile: name, Duration: 15 * time.Minute}
	})
	require.NoError(t, try(t, d))
	require.NoError(t, os.WriteFile(name, []byte("another-token"), 0o600))
	err := try(t, d)
	require.Equal(t, objstore.Auth, objstore.KindOf(err), "the token is read again: %v", err)
	require.NotContains(t, err.Error(), "another-token")
}

func TestIBMAPIKey(t *testing.T) {
	var asked atomic.Int32
	iam := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("apikey") != testSecret || r.FormValue("grant_type") != "urn:ibm:params:oauth:grant-type:apikey" {
			w.WriteHeader(400)
			return
		}
		asked.Add(1)
		io.WriteString(w, `{"access_token":"`+testToken+`","expires_in":3600}`)
	}))
	defer iam.Close()
	var saw []http.Header
	d := fake(t, func(w http.ResponseWriter, r *http.Request) {
		saw = append(saw, r.Header)
		if r.Method == http.MethodGet {
			io.WriteString(w, "<ListBucketResult></ListBucketResult>")
			return
		}
		io.Copy(io.Discard, r.Body)
		w.Header().Set("ETag", `"e"`)
	}, func(c *Config) { c.Profile, c.Credentials = IBMCOS, IBMAPIKey{Key: testSecret, Endpoint: iam.URL} })
	require.NoError(t, try(t, d))
	_, err := d.List(t.Context(), objstore.ListOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 1, asked.Load())
	for _, h := range saw {
		require.Equal(t, "Bearer "+testToken, h.Get("Authorization"))
	}
	d = fake(t, refuse(200, ""), func(c *Config) { c.Credentials = IBMAPIKey{Key: "wrong" + testSecret, Endpoint: iam.URL} })
	err = try(t, d)
	require.Equal(t, objstore.Auth, objstore.KindOf(err), "%v", err)
	require.NotContains(t, err.Error(), testSecret)
}

func TestAnonymous(t *testing.T) {
	d := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			w.WriteHeader(400)
		}
		if r.Method == http.MethodGet {
			io.WriteString(w, "<ListBucketResult></ListBucketResult>")
		}
	}, func(c *Config) { c.Credentials = nil })
	require.NoError(t, try(t, d))
	_, err := d.List(t.Context(), objstore.ListOptions{})
	require.NoError(t, err)
}
