package objstore

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseURI(t *testing.T) {
	for _, c := range []struct {
		in   string
		want URI
		out  string // String; "" = in
	}{
		{"s3://host/bucket/key", URI{Scheme: "s3", Host: "host", Path: "bucket/key", Options: url.Values{}}, ""},
		{"S3://Host:9000/b", URI{Scheme: "s3", Host: "Host:9000", Path: "b", Options: url.Values{}}, "s3://Host:9000/b"},
		{"s3:///b/k", URI{Scheme: "s3", Path: "b/k", Options: url.Values{}}, ""},
		{"file:///etc//x", URI{Scheme: "file", Path: "etc//x", Options: url.Values{}}, ""},
		{"stdio://", URI{Scheme: "stdio", Options: url.Values{}}, "stdio:///"},
		{"s3://h/b/a b+c#d@e&f=g", URI{Scheme: "s3", Host: "h", Path: "b/a b+c#d@e&f=g", Options: url.Values{}}, "s3://h/b/a b+c%23d@e&f=g"},
		{"s3://h/b/%3F%25%23?x=1", URI{Scheme: "s3", Host: "h", Path: "b/?%#", Options: url.Values{"x": {"1"}}}, ""},
		{"s3://h/b/\xff", URI{Scheme: "s3", Host: "h", Path: "b/\xff", Options: url.Values{}}, ""},
		{"s3://h/b?storage-class=COLD&a=%26", URI{Scheme: "s3", Host: "h", Path: "b", Options: url.Values{"storage-class": {"COLD"}, "a": {"&"}}}, "s3://h/b?a=%26&storage-class=COLD"},
	} {
		u, err := ParseURI(c.in)
		require.NoError(t, err, c.in)
		require.Equal(t, c.want, u, c.in)
		out := c.out
		if out == "" {
			out = c.in
		}
		require.Equal(t, out, u.String())
		require.True(t, IsURI(c.in))
	}
}

func TestParseURIRefuses(t *testing.T) {
	for _, s := range []string{"", "/a", "a", `C:\x`, "C://x", "://", "1s://h", "s_3://h", "s3:/h", "s3://h/%", "s3://h/%zz", "s3://h/%00", "s3://h/?%zz", "s3://h/?a;b"} {
		_, err := ParseURI(s)
		require.Error(t, err, "%q", s)
	}
}

func TestSecretsInURIs(t *testing.T) {
	for _, s := range []string{
		"s3://HUSH@host/b", "s3://user:HUSH@host/b", "s3://h/b?secret=HUSH", "s3://h/b?Secret-Access-Key=HUSH", "s3://h/b?x=1&access_key=HUSH",
		"s3://h/b?password=HUSH", "az://h/b?sig=HUSH&sv=1", "az://h/b?SAS=HUSH", "s3://h/b?session%2Dtoken=HUSH", "s3://h/b?passphrase=HUSH",
		"s3://h/b?secret=HUSH&%zz", "s3://h/b?%zz&secret=HUSH", "s3://h/b?X-Amz-Signature=HUSH", "s3://h/b?X-Amz-Credential=HUSH", "gs://h/b?account-key=HUSH",
	} {
		_, err := ParseURI(s)
		require.ErrorIs(t, err, ErrSecret, s)
		require.NotContains(t, err.Error(), "HUSH")
	}
	for _, s := range []string{"s3//user:HUSH@host/b", "x?secret=HUSH", "x?secret=HUSH@y", "HUSH@x?HUSH"} { // not URIs at all
		_, err := ParseURI(s)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "HUSH")
	}
	require.False(t, IsSecretOption("design"), "only the whole word sig")
	require.False(t, IsSecretOption("storage-class"))
}

func TestURIOptions(t *testing.T) {
	u, err := ParseURI("s3://h/b?region=x&bad=1&worse=2")
	require.NoError(t, err)
	require.Equal(t, "x", u.Option("region"))
	require.Equal(t, "", u.Option("region"))
	require.EqualError(t, u.Unknown("region", "path-style"), `s3 URI: unknown option ["bad" "worse"]; known are region, path-style`)
	u.Option("bad")
	u.Option("worse")
	require.NoError(t, u.Unknown())
}

func TestSchemes(t *testing.T) {
	f := newFake()
	s := Schemes{"mem": func(_ context.Context, u URI) (Driver, string, error) { return f, u.Path, nil }}
	d, key, err := s.Open(t.Context(), "mem:///a/b")
	require.NoError(t, err)
	require.Equal(t, Driver(f), d)
	require.Equal(t, "a/b", key)
	_, _, err = s.Open(t.Context(), "s3://h/b")
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, "known are mem://")
	_, _, err = s.Open(t.Context(), "s3://u:HUSH@h/b")
	require.ErrorIs(t, err, ErrSecret)
}

func FuzzParseURI(f *testing.F) {
	for _, s := range []string{"s3://h/b/k?x=1&x=2", "file:///a%25b", "s3://h?x", "s3://user:pw@h/", "stdio://", "s3://h/?sig=HUSH", "ab://%/?%", "s3://h/a#b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			return
		}
		again, err := ParseURI(u.String())
		require.NoError(t, err, "%q of %q", u.String(), s)
		require.Equal(t, u, again)
		for name := range u.Options {
			require.False(t, IsSecretOption(name))
		}
		require.False(t, strings.Contains(u.Host, "@"))
	})
}
