package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

const (
	testSecret = "very/secret+key0123456789abcdefghijklmn"
	testToken  = "session-token-that-nobody-may-see"
)

// fake returns a driver of a server that answers as handler does.
func fake(t testing.TB, handler http.HandlerFunc, change ...func(*Config)) *driver {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	cfg := Config{
		Endpoint: strings.TrimPrefix(srv.URL, "http://"), Insecure: true, Bucket: "bucket", Profile: AWS, Region: "us-east-1", Addressing: PathStyle,
		Credentials: Static{AccessKey: "AKIDEXAMPLE", SecretKey: testSecret, SessionToken: testToken},
	}
	for _, f := range change {
		f(&cfg)
	}
	return open(t, cfg)
}

func refuse(status int, code string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		if r.Method != http.MethodHead && code != "" {
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>said of it</Message><RequestId>R1</RequestId></Error>", code)
		}
	}
}

func TestErrorKinds(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   objstore.Kind
	}{
		{404, "NoSuchKey", objstore.NotFound},
		{404, "", objstore.NotFound},
		{403, "AccessDenied", objstore.Denied},
		{403, "", objstore.Denied},
		{403, "SignatureDoesNotMatch", objstore.Auth},
		{403, "InvalidAccessKeyId", objstore.Auth},
		{400, "ExpiredToken", objstore.Auth},
		{403, "ExpiredToken", objstore.Auth},
		{403, "RequestTimeTooSkewed", objstore.Clock},
		{503, "SlowDown", objstore.Busy},
		{503, "", objstore.Busy},
		{429, "", objstore.Busy},
		{429, "TooManyRequests", objstore.Busy},
		{500, "InternalError", objstore.Temporary},
		{500, "", objstore.Temporary},
		{502, "", objstore.Temporary},
		{504, "", objstore.Temporary},
		{400, "RequestTimeout", objstore.Temporary},
		{409, "OperationAborted", objstore.Temporary},
		{404, "NoSuchUpload", objstore.NoUpload},
		{400, "InvalidPart", objstore.BadPart},
		{400, "EntityTooLarge", objstore.Invalid},
		{400, "InvalidStorageClass", objstore.Invalid},
		{400, "MadeUpByThisStore", objstore.Invalid},
		{507, "XMinioStorageFull", objstore.Full},
		{507, "", objstore.Full},
		{403, "QuotaExceeded", objstore.Full},
		{400, "BadDigest", objstore.Corrupt},
		{400, "XAmzContentChecksumMismatch", objstore.Corrupt},
		{501, "NotImplemented", objstore.Unsupported},
		{405, "MethodNotAllowed", objstore.Unsupported},
		{301, "PermanentRedirect", objstore.Invalid},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.code), func(t *testing.T) {
			d := fake(t, refuse(c.status, c.code))
			_, err := d.PutPart(t.Context(), objstore.Upload{Key: "k", ID: "id"}, objstore.PartSpec{N: 2}, section("body"))
			require.Equal(t, c.want, objstore.KindOf(err), "%v", err)
			require.ErrorContains(t, err, `put part 2 "k"`)
			_, err = d.List(t.Context(), objstore.ListOptions{Prefix: "p"})
			if c.status != 404 {
				require.Equal(t, c.want, objstore.KindOf(err), "list: %v", err)
			}
			_, _, err = d.Read(t.Context(), "k", 0, -1, "")
			require.Equal(t, c.want, objstore.KindOf(err), "read: %v", err)
			_, err = d.Stat(t.Context(), "k")
			if c.code == "" {
				require.Equal(t, c.want, objstore.KindOf(err), "stat: %v", err)
			}
		})
	}
}

func TestErrorDetails(t *testing.T) {
	var e *objstore.Error
	d := fake(t, refuse(503, "SlowDown", "Retry-After", "7"))
	_, err := d.Put(t.Context(), "k", section("x"), objstore.PutOptions{})
	require.ErrorAs(t, err, &e)
	require.Equal(t, 7*time.Second, e.After)

	d = fake(t, refuse(404, "NoSuchBucket"))
	_, err = d.Put(t.Context(), "k", section("x"), objstore.PutOptions{})
	require.ErrorAs(t, err, &e)
	require.Equal(t, objstore.NotFound, e.Kind)
	require.Empty(t, e.Key, "it is the bucket that is not there")
	require.Contains(t, e.Hint, `"bucket"`)
	_, err = d.Stat(t.Context(), "k")
	require.ErrorAs(t, err, &e)
	require.Empty(t, e.Key, "the HEAD did not say so, another request did")

	for _, c := range []struct {
		name string
		do   func(d *driver) error
		want objstore.Kind
	}{
		{"put", func(d *driver) error {
			_, err := d.Put(t.Context(), "k", section("x"), objstore.PutOptions{IfAbsent: true})
			return err
		}, objstore.Exists},
		{"complete", func(d *driver) error {
			_, err := d.Complete(t.Context(), objstore.Upload{Key: "k", ID: "i"}, []objstore.Part{{ETag: "e"}}, objstore.PutOptions{IfAbsent: true})
			return err
		}, objstore.Exists},
		{"read", func(d *driver) error { _, _, err := d.Read(t.Context(), "k", 0, -1, "e"); return err }, objstore.Changed},
	} {
		require.Equal(t, c.want, objstore.KindOf(c.do(fake(t, refuse(412, "PreconditionFailed")))), c.name)
	}
	_, _, err = fake(t, refuse(416, "InvalidRange")).Read(t.Context(), "k", 9, 1, "")
	require.Equal(t, objstore.Range, objstore.KindOf(err))

	// A HEAD that is refused is followed by a GET, which says why.
	_, err = fake(t, refuse(403, "RequestTimeTooSkewed")).Stat(t.Context(), "k")
	require.Equal(t, objstore.Clock, objstore.KindOf(err), "%v", err)
}

// TestOneTry checks that no layer below tries again by itself.
func TestOneTry(t *testing.T) {
	var n atomic.Int32
	d := fake(t, func(w http.ResponseWriter, r *http.Request) { n.Add(1); refuse(503, "SlowDown")(w, r) })
	_, err := d.Put(t.Context(), "k", section("x"), objstore.PutOptions{})
	require.Equal(t, objstore.Busy, objstore.KindOf(err))
	_, _, err = d.Read(t.Context(), "k", 0, 1, "")
	require.Equal(t, objstore.Busy, objstore.KindOf(err))
	require.EqualValues(t, 2, n.Load())
}

// TestErrorIn200 checks answers that begin well and hold an error.
func TestErrorIn200(t *testing.T) {
	d := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("ETag", `"e"`)
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			w.Header().Set("Content-Length", "5")
			return
		}
		io.WriteString(w, "<?xml version=\"1.0\"?>\n\n<Error><Code>SlowDown</Code><Message>later</Message></Error>")
	})
	_, err := d.Complete(t.Context(), objstore.Upload{Key: "k", ID: "i"}, []objstore.Part{{ETag: "e"}}, objstore.PutOptions{})
	require.Equal(t, objstore.Busy, objstore.KindOf(err), "complete: %v", err)
	_, err = d.Copy(t.Context(), "a", "", "b", nil)
	require.Equal(t, objstore.Busy, objstore.KindOf(err), "copy: %v", err)
	d.copyMax = 1
	_, err = d.copyRange(t.Context(), d, objstore.Object{Key: "a"}, objstore.Upload{Key: "b", ID: "i", Size: 5, Plan: objstore.Plan{First: 5}}, 0, nil)
	require.Equal(t, objstore.Busy, objstore.KindOf(err), "copy part: %v", err)
}

func TestNetworkErrors(t *testing.T) {
	cut := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.Close()
		}
	}
	d := fake(t, cut)
	_, err := d.Put(t.Context(), "k", section(strings.Repeat("x", 1<<20)), objstore.PutOptions{})
	require.Equal(t, objstore.Temporary, objstore.KindOf(err), "%v", err)
	require.NotContains(t, err.Error(), "Retry again", "the error is the network's own: %v", err)
	_, err = d.List(t.Context(), objstore.ListOptions{})
	require.Equal(t, objstore.Temporary, objstore.KindOf(err), "%v", err)

	d = fake(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "short")
	})
	r, obj, err := d.Read(t.Context(), "k", 0, -1, "")
	require.NoError(t, err)
	require.EqualValues(t, 100, obj.Size)
	_, err = io.ReadAll(r)
	require.Equal(t, objstore.Temporary, objstore.KindOf(err), "%v", err)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, r.Close())

	d = fake(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<ListBucketResult><Contents>") })
	_, err = d.List(t.Context(), objstore.ListOptions{})
	require.Equal(t, objstore.Temporary, objstore.KindOf(err), "%v", err)

	d = fake(t, refuse(200, ""), func(c *Config) { c.Insecure = false })
	_, err = d.Stat(t.Context(), "k")
	require.Equal(t, objstore.Other, objstore.KindOf(err))
	require.ErrorContains(t, err, "insecure=true")

	tls := httptest.NewTLSServer(refuse(200, ""))
	defer tls.Close()
	tls.Config.ErrorLog = nil
	d = fake(t, refuse(200, ""), func(c *Config) { c.Insecure, c.Endpoint = false, strings.TrimPrefix(tls.URL, "https://") })
	_, err = d.Stat(t.Context(), "k")
	require.Equal(t, objstore.Other, objstore.KindOf(err))
	require.ErrorContains(t, err, "certificate")

	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("given up")
	d = fake(t, func(_ http.ResponseWriter, r *http.Request) { cancel(why); <-r.Context().Done() })
	_, err = d.List(ctx, objstore.ListOptions{})
	require.ErrorIs(t, err, why)
	require.False(t, objstore.KindOf(err).Temporary())
}

// failing is a source that breaks.
type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestSourceErrors(t *testing.T) {
	broken := errors.New("the disk broke")
	for _, sum := range []Checksum{None, CRC32C} {
		d := fake(t, refuse(200, ""), func(c *Config) { c.Checksum = sum })
		_, err := d.Put(t.Context(), "k", io.NewSectionReader(failing{broken}, 0, 100), objstore.PutOptions{})
		require.ErrorIs(t, err, broken, "%v", sum)
		require.False(t, objstore.KindOf(err).Temporary())
	}
}

// TestNoSecrets has a server that repeats all that it was told, and a transport that fails with all of it.
func TestNoSecrets(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var key [32]byte
	copy(key[:], "0123456789abcdef0123456789abcdeZ")
	echo := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		var all strings.Builder
		r.Header.Write(&all)
		text := strings.NewReplacer("<", "", "&", "").Replace(all.String())
		w.WriteHeader(400)
		fmt.Fprintf(w, "<Error><Code>Odd</Code><Message>%s</Message></Error>", text)
	}
	srv := httptest.NewTLSServer(http.HandlerFunc(echo))
	defer srv.Close()
	d := fake(t, echo, func(c *Config) {
		c.Insecure, c.Endpoint, c.Transport, c.Logger = false, strings.TrimPrefix(srv.URL, "https://"), srv.Client().Transport, logger
		c.SSE = SSE{Mode: SSEC, Key: key}
	})
	var all []string
	note := func(err error) {
		require.Error(t, err)
		all = append(all, err.Error(), fmt.Sprintf("%+v %#v", err, err))
		for e := err; e != nil; e = errors.Unwrap(e) {
			all = append(all, fmt.Sprintf("%+v %#v", e, e))
		}
	}
	_, err := d.Put(t.Context(), "k", section("x"), objstore.PutOptions{})
	note(err)
	_, _, err = d.Read(t.Context(), "k", 0, 1, "")
	note(err)
	_, err = d.Stat(t.Context(), "k")
	note(err)
	_, err = d.List(t.Context(), objstore.ListOptions{})
	note(err)
	_, err = d.PutPart(t.Context(), objstore.Upload{Key: "k", ID: "i"}, objstore.PartSpec{}, section("x"))
	note(err)
	note(d.Delete(t.Context(), "a", "b"))
	srv.Close()
	_, err = d.Stat(t.Context(), "k")
	note(err)
	all = append(all, log.String())
	cfg := d.cfg
	cfg.Transport, cfg.Logger = nil, nil // in use, and so not to be looked into
	for _, v := range []any{cfg.Credentials, cfg.SSE, cfg, &cfg, AssumeRole{Base: cfg.Credentials.(Static)}, IBMAPIKey{Key: testSecret}} {
		all = append(all, fmt.Sprintf("%v %+v %#v %s %x %d", v, v, v, v, v, v))
		logger.Info("value", "v", v)
	}
	all = append(all, log.String())
	text := strings.Join(all, "\n")
	for _, secret := range []string{testSecret, testToken, string(key[:]), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZVo=", fmt.Sprintf("%x", testSecret), fmt.Sprintf("%x", key[:8]), "48, 49, 50, 51"} {
		require.NotContains(t, text, secret)
	}
	require.NotRegexp(t, "Signature=[0-9a-f]", text)
	require.Contains(t, log.String(), "store request", "the log was on")
}
