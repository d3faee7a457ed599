package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/faultproxy"
	"github.com/tradewind-io/tradewind/internal/testlog"
	"github.com/tradewind-io/tradewind/internal/testservers"
	"github.com/tradewind-io/tradewind/objstore"
)

// sessionKeys has MinIO's token service give keys that may do what policy says.
func sessionKeys(t *testing.T, s *testservers.Server, policy string) Static {
	t.Helper()
	d := open(t, Config{
		Endpoint: s.Endpoint, Insecure: true, Bucket: "unused", Region: s.Region, Profile: MinIO,
		Credentials: AssumeRole{STSEndpoint: s.URL(), Duration: time.Hour, Policy: policy, Base: Static{AccessKey: s.AccessKey, SecretKey: s.SecretKey}},
	})
	// A Bucket asks again while the server has only just started.
	_, err := objstore.NewBucket(d, objstore.Config{}).Stat(t.Context(), "nothing")
	require.ErrorIs(t, err, objstore.ErrNotFound)
	v, err := d.credentials(t.Context())
	require.NoError(t, err)
	return Static{AccessKey: v.AccessKeyID, SecretKey: v.SecretAccessKey, SessionToken: v.SessionToken}
}

// writeKeys makes a credentials file, or replaces it in one step.
func writeKeys(t *testing.T, name string, k Static) {
	t.Helper()
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n", k.AccessKey, k.SecretKey, k.SessionToken)
	require.NoError(t, os.WriteFile(name+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(name+".new", name))
}

func TestExpiredCredentials(t *testing.T) {
	expired := faultproxy.Fault{Answer: faultproxy.Expired()}
	t.Run("keys that stay", func(t *testing.T) {
		f := newFaulty(t, nil)
		a := f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: putPart + "2", Fault: expired})
		err := f.stream("k")
		f.oneError(err, objstore.Auth, "k")
		require.ErrorContains(t, err, "put part 1")
		require.ErrorContains(t, err, "ExpiredToken")
		require.ErrorContains(t, err, "the credentials have expired: get new ones")
		require.Equal(t, 1, a.Hits(), "it is not tried again")
		f.proxy.Clear()
		f.nothingOpen("k")
	})
	t.Run("for everything, so that the upload cannot be aborted", func(t *testing.T) {
		f := newFaulty(t, nil)
		f.proxy.Add(faultproxy.Rule{Contains: putPart, Fault: expired})
		f.proxy.Add(faultproxy.Rule{Method: http.MethodDelete, Fault: expired})
		err := f.stream("k")
		f.oneError(err, objstore.Auth, "k")
		require.ErrorContains(t, err, "get new ones", "what the user can do about the cause")
		require.ErrorContains(t, err, "remain in the store", "and what is left")
		f.proxy.Clear()
		n := 0
		for u, err := range f.Uploads(t.Context(), "k") {
			require.NoError(t, err)
			require.NoError(t, f.Abort(t.Context(), objstore.Upload{Key: u.Key, ID: u.ID}))
			n++
		}
		require.Equal(t, 1, n)
		f.nothingOpen("k")
	})
	t.Run("keys that somebody renews", func(t *testing.T) {
		s := servers.MinIO(t)
		first, second := sessionKeys(t, s, ""), sessionKeys(t, s, "")
		require.NotEqual(t, first.AccessKey, second.AccessKey)
		name := filepath.Join(t.TempDir(), "credentials")
		writeKeys(t, name, first)
		f := newFaulty(t, func(c *Config, b *objstore.Config) { c.Credentials = File{Path: name} })
		w, err := f.Create(t.Context(), "k", objstore.CreateOptions{Size: faultSize})
		require.NoError(t, err)
		put := func(n int) error {
			u := w.Upload()
			spec, size := u.Spec(n)
			return w.PutPart(t.Context(), n, false, io.NewSectionReader(bytes.NewReader(content()), spec.Off, size), size)
		}
		require.NoError(t, put(0))
		writeKeys(t, name, second)
		a := f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: putPart + "2", Times: 1, Fault: expired})
		require.NoError(t, put(1), "the upload goes on with what the file has now")
		require.Equal(t, 1, a.Hits())
		require.NoError(t, put(2))
		_, err = w.Complete(t.Context(), faultSize)
		require.NoError(t, err)
		f.whole("k")
		log := f.proxy.Log()
		require.Contains(t, log[0].Header.Get("Authorization"), first.AccessKey)
		require.Contains(t, log[len(log)-1].Header.Get("Authorization"), second.AccessKey)
		for _, secret := range []string{first.SecretKey, second.SecretKey} {
			require.Empty(t, f.proxy.Contains(secret), "no request holds it")
		}
		for _, secret := range []string{first.SecretKey, second.SecretKey, first.SessionToken, second.SessionToken} {
			require.NotContains(t, f.log.String(), secret)
		}
	})
}

// TestClockSkew has a real server refuse requests that say another time.
func TestClockSkew(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		f := newFaulty(t, func(c *Config, _ *objstore.Config) {
			own := ownTransport(*c)
			t.Cleanup(own.CloseIdleConnections)
			c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				r = r.Clone(r.Context())
				at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
				if err != nil {
					return nil, err
				}
				r.Header.Set("X-Amz-Date", at.Add(by).Format("20060102T150405Z"))
				return own.RoundTrip(r)
			})
		})
		for name, call := range map[string]func() error{
			"write": func() error { return f.write("k") },
			"read":  func() error { _, err := f.read("k"); return err },
			"stat":  func() error { _, err := f.Stat(t.Context(), "k"); return err },
			"list":  func() error { _, err := f.ListPage(t.Context(), objstore.ListOptions{Prefix: "k"}); return err },
		} {
			before := f.proxy.Stats().Requests
			err := call()
			f.oneError(err, objstore.Clock, "k")
			require.ErrorContains(t, err, "set this machine's clock", name)
			require.LessOrEqual(t, f.proxy.Stats().Requests-before, int64(2), "%s is not tried again; a HEAD is asked once more for why", name)
		}
	}
}

// TestPutAllowedListDenied has keys that may write and read objects, and list nothing.
func TestPutAllowedListDenied(t *testing.T) {
	s := servers.MinIO(t)
	keys := sessionKeys(t, s, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],"Resource":["arn:aws:s3:::*"]},
		{"Effect":"Deny","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::*"]}]}`)
	f := newFaulty(t, func(c *Config, _ *objstore.Config) { c.Credentials = keys })
	require.NoError(t, f.stream("big"))
	got, err := f.read("big")
	require.NoError(t, err)
	require.True(t, bytes.Equal(content(), got))
	_, err = f.Put(t.Context(), "dir/small", strings.NewReader("x"), 1, objstore.PutOptions{IfAbsent: true})
	require.NoError(t, err)
	o, err := f.Stat(t.Context(), "dir/small")
	require.NoError(t, err)
	require.EqualValues(t, 1, o.Size)

	tree := objstore.NewTree(f.Bucket, "")
	for name, c := range map[string]struct {
		key string
		f   func() error
	}{
		"list":   {"dir/", func() error { _, err := f.ListPage(t.Context(), objstore.ListOptions{Prefix: "dir/"}); return err }},
		"folder": {"dir/", func() error { _, err := tree.ReadDir(t.Context(), "dir", "", 0); return err }},
		"walk":   {"dir/", func() error { return tree.Walk(t.Context(), "dir", func(objstore.Object) error { return nil }) }},
		"delete": {"dir/small", func() error { return f.Delete(t.Context(), "dir/small") }},
		"list uploads": {"p", func() error {
			for _, err := range f.Uploads(t.Context(), "p") {
				return err
			}
			return nil
		}},
	} {
		before := f.proxy.Stats().Requests
		err := c.f()
		require.Error(t, err, name)
		f.oneError(err, objstore.Denied, c.key)
		require.ErrorIs(t, err, objstore.ErrDenied)
		require.Regexp(t, `lack a right|may not`, err.Error(), name)
		require.LessOrEqual(t, f.proxy.Stats().Requests-before, int64(3), "%s is not tried again", name)
	}

	// An upload that fails cannot be removed by who may not: the error says so, and who may finds it.
	f.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Contains: putPart, Fault: faultproxy.Fault{Answer: faultproxy.Denied()}})
	err = f.stream("left")
	f.oneError(err, objstore.Denied, "left")
	require.ErrorContains(t, err, "remain in the store")
	cfg := f.cfg
	cfg.Endpoint, cfg.Credentials = s.Endpoint, Static{AccessKey: s.AccessKey, SecretKey: s.SecretKey}
	owner := open(t, cfg)
	list, _, err := owner.Uploads(t.Context(), "left", "")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NoError(t, owner.Abort(t.Context(), objstore.Upload{Key: "left", ID: list[0].ID}))
}

// TestBucketMissingForEveryCall: every call says which bucket is not there.
func TestBucketMissingForEveryCall(t *testing.T) {
	f := newFaulty(t, func(c *Config, _ *objstore.Config) { c.Bucket = "not-there" })
	tree := objstore.NewTree(f.Bucket, "")
	for name, call := range map[string]func() error{
		"put": func() error {
			_, err := f.Put(t.Context(), "k", strings.NewReader("x"), 1, objstore.PutOptions{})
			return err
		},
		"write":          func() error { return f.stream("k") },
		"stat":           func() error { _, err := f.Stat(t.Context(), "k"); return err },
		"open":           func() error { _, err := f.Open(t.Context(), "k", objstore.ReadOptions{}); return err },
		"copy":           func() error { _, err := f.Copy(t.Context(), "k", "l"); return err },
		"delete":         func() error { return f.Delete(t.Context(), "k") },
		"delete several": func() error { return f.Delete(t.Context(), "k", "l", "m") },
		"list":           func() error { _, err := f.ListPage(t.Context(), objstore.ListOptions{}); return err },
		"folder":         func() error { _, err := tree.ReadDir(t.Context(), "d", "", 0); return err },
		"mkdir":          func() error { return tree.Mkdir(t.Context(), "d", objstore.Attr{}) },
		"uploads": func() error {
			for _, err := range f.Uploads(t.Context(), "") {
				return err
			}
			return nil
		},
	} {
		before := f.proxy.Stats().Requests
		err := call()
		var e *objstore.Error
		require.ErrorAs(t, err, &e, name)
		require.Equal(t, objstore.NotFound, e.Kind, "%s: %v", name, err)
		require.NotEmpty(t, e.Op)
		require.ErrorContains(t, err, `there is no bucket "not-there"`, name)
		require.LessOrEqual(t, f.proxy.Stats().Requests-before, int64(3), "%s is not tried again", name)
	}
}

// TestNoCredentialAnywhere looks for secrets in everything that good and failing operations print.
func TestNoCredentialAnywhere(t *testing.T) {
	s := servers.MinIO(t)
	keys := sessionKeys(t, s, "")
	dir := t.TempDir()
	name := filepath.Join(dir, "credentials")
	writeKeys(t, name, keys)
	secrets := []string{keys.SecretKey, keys.SessionToken, s.SecretKey}
	for i, cred := range []Credentials{
		keys,
		File{Path: name},
		AssumeRole{STSEndpoint: s.URL(), Duration: time.Hour, Base: Static{AccessKey: s.AccessKey, SecretKey: s.SecretKey}},
	} {
		t.Run(fmt.Sprintf("%T", cred), func(t *testing.T) {
			f := newFaulty(t, func(c *Config, b *objstore.Config) { c.Credentials, b.RetryTimeout = cred, -1 })
			v, err := f.Driver().(*driver).credentials(t.Context())
			require.NoError(t, err)
			secrets := append([]string{v.SecretAccessKey, v.SessionToken}, secrets...)
			everything(f)
			answers := []*faultproxy.Answer{
				faultproxy.S3Error(400, "InvalidToken", "no such token: "+url.QueryEscape(v.SessionToken)+" "+v.SessionToken),
				{Status: 400, Body: "bad header x-amz-security-token: " + v.SessionToken},
				{Status: 307, Header: http.Header{"Location": {"http://" + f.cfg.Endpoint + "/else?X-Amz-Security-Token=" + url.QueryEscape(v.SessionToken)}}},
				faultproxy.Expired(), faultproxy.Denied(), faultproxy.InternalError(), faultproxy.Skewed(),
			}
			if i > 0 {
				answers = answers[:4] // the rest says nothing about where keys are from
			}
			for _, answer := range answers {
				f.proxy.Clear()
				f.proxy.Add(faultproxy.Rule{Fault: faultproxy.Fault{Answer: answer}})
				everything(f)
			}
			f.proxy.Clear()
			f.proxy.Add(faultproxy.Rule{Fault: faultproxy.Fault{Lost: true}})
			everything(f)
			printAll(&f.log, f.cfg, &f.cfg, cred, f.Driver().Caps())
			require.Contains(t, f.log.String(), "InvalidToken", "the errors are among it")
			mustNotHold(t, f.log.String(), secrets...)
			for _, secret := range []string{v.SecretAccessKey, s.SecretKey} {
				require.Empty(t, f.proxy.Contains(secret), "a request holds a secret key")
			}
		})
	}
	t.Run("wrong keys", func(t *testing.T) {
		wrong := Static{AccessKey: keys.AccessKey, SecretKey: testSecret, SessionToken: keys.SessionToken}
		f := newFaulty(t, func(c *Config, _ *objstore.Config) { c.Credentials = wrong })
		_, err := f.Stat(t.Context(), "k")
		f.oneError(err, objstore.Auth, "k")
		everything(f)
		mustNotHold(t, f.log.String(), append(secrets, testSecret)...)
	})
	t.Run("customer key", func(t *testing.T) {
		f := &faulty{t: t, pool: objstore.NewPool(16 * faultPart)}
		f.cfg = tlsMinIO(t)
		f.cfg.SSE = SSE{Mode: SSEC, Key: [32]byte([]byte("an encryption key of 32 bytes !!"))}
		f.cfg.Logger = slog.New(slog.NewTextHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		for _, key := range []SSE{f.cfg.SSE, {Mode: SSEC, Key: [32]byte([]byte("another key that has 32 bytes !!"))}} {
			f.cfg.SSE = key
			d, err := New(f.cfg)
			require.NoError(t, err)
			f.Bucket = objstore.NewBucket(d, objstore.Config{PartSize: faultPart, Pool: f.pool, RetryTimeout: -1, Logger: f.cfg.Logger})
			everything(f)
			printAll(&f.log, f.cfg, &f.cfg, key)
			require.NoError(t, f.Close())
			mustNotHold(t, f.log.String(), string(key.Key[:]), base64.StdEncoding.EncodeToString(key.Key[:]), hex.EncodeToString(key.Key[:]), "tlssecret", "97, 110, 32, 101", "97 110 32 101")
		}
		require.Contains(t, f.log.String(), "PUT")
	})
}

// everything does what can be done, and prints the errors in every way that fmt, log/slog and encoding/json have.
func everything(f *faulty) {
	ctx := f.t.Context()
	tree := objstore.NewTree(f.Bucket, "")
	note := func(_ any, err error) { printAll(&f.log, err) }
	note(f.Put(ctx, "first", strings.NewReader("x"), 1, objstore.PutOptions{}))
	note(nil, f.stream("k"))
	note(f.read("k"))
	note(f.read("nothing"))
	note(f.Stat(ctx, "k"))
	note(f.Stat(ctx, "nothing"))
	note(f.ListPage(ctx, objstore.ListOptions{}))
	note(f.ReadAt(ctx, "k", make([]byte, 10), 1<<40, "another"))
	note(f.Put(ctx, "first", strings.NewReader("x"), 1, objstore.PutOptions{IfAbsent: true}))
	note(f.Copy(ctx, "k", "copy"))
	note(tree.ReadDir(ctx, ".", "", 0))
	note(f.Resume(ctx, objstore.Upload{Key: "k", ID: "none", Size: faultSize, Plan: objstore.Plan{First: faultPart}}, objstore.PutOptions{}))
	for u, err := range f.Uploads(ctx, "") {
		note(u, err)
	}
	note(nil, f.Delete(ctx, "first", "k", "copy"))
	note(nil, f.Delete(ctx, "k"))
}

// printAll writes values to l in every way.
func printAll(l *testlog.Buffer, values ...any) {
	for _, v := range values {
		if v == nil {
			continue
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if _, isErr := v.(error); verb == "%x" && !isErr {
				continue // hexadecimal is looked for only where it may come from
			}
			fmt.Fprintf(l, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(l, nil)).Info("value", "v", v)
		slog.New(slog.NewJSONHandler(l, nil)).Info("value", "v", v)
		if text, err := json.Marshal(v); err == nil { // what cannot be marshalled is not printed
			_, _ = l.Write(text)
		}
		if err, ok := v.(error); ok {
			for ; err != nil; err = errors.Unwrap(err) {
				fmt.Fprintf(l, "%#v\n", err)
			}
		}
	}
}

// mustNotHold does not show the text, nor the secret, when it fails.
func mustNotHold(t *testing.T, text string, secrets ...string) {
	t.Helper()
	require.NotEmpty(t, text)
	for i, s := range secrets {
		for how, form := range map[string]string{
			"as it is": s, "quoted": strings.Trim(fmt.Sprintf("%q", s), `"`), "escaped": url.QueryEscape(s), "escaped as path": url.PathEscape(s),
			"hexadecimal": hex.EncodeToString([]byte(s)), "base64": base64.StdEncoding.EncodeToString([]byte(s)),
		} {
			if n := strings.Index(text, form); s != "" && n >= 0 {
				t.Errorf("secret %d stands %s behind %q", i, how, text[max(0, n-200):n])
			}
		}
	}
}
