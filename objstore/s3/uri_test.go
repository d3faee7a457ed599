package s3

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

func settings(context.Context, objstore.URI) (Config, error) {
	return Config{Credentials: Static{AccessKey: "AK", SecretKey: "SK"}, SSE: SSE{Key: [32]byte{7}}}, nil
}

func TestOpener(t *testing.T) {
	schemes := objstore.Schemes{"s3": Opener(settings)}
	d, key, err := schemes.Open(t.Context(), "s3://s3.eu-1.example.com:9000/bucket/dir/a%3Fb c?region=eu-1&profile=storagegrid&storage-class=COLD&sse=aws:kms&sse-kms-key-id=k1&checksum=none&insecure=true")
	require.NoError(t, err)
	require.Equal(t, "dir/a?b c", key)
	cfg := d.(*driver).cfg
	require.Equal(t, Config{
		Endpoint: "s3.eu-1.example.com:9000", Insecure: true, Bucket: "bucket", Region: "eu-1", Profile: StorageGRID, Addressing: PathStyle, StorageClass: "COLD",
		SSE: SSE{Mode: SSEKMS, KeyID: "k1"}, Checksum: None, Credentials: Static{AccessKey: "AK", SecretKey: "SK"},
	}, cfg)
	require.NoError(t, d.Close())

	for uri, check := range map[string]func(Config) bool{
		"s3://h/bucket": func(c Config) bool {
			return c.SSE.Mode == SSENone && c.SSE.Key == [32]byte{} && c.Region == "us-east-1" && c.Checksum == MD5
		},
		"s3://h/bucket/":                              func(c Config) bool { return c.Addressing == PathStyle },
		"s3://h/bucket?sse=C":                         func(c Config) bool { return c.SSE.Mode == SSEC && c.SSE.Key[0] == 7 },
		"s3://h/bucket?sse=AES256":                    func(c Config) bool { return c.SSE.Mode == SSES3 },
		"s3://h/bucket?sse-kms-key-id=x":              func(c Config) bool { return c.SSE.Mode == SSEKMS && c.SSE.KeyID == "x" },
		"s3://s3.amazonaws.com/bucket?profile=aws":    func(c Config) bool { return c.Addressing == HostStyle && c.Region == "" && c.Checksum == CRC32C },
		"s3://s3.amazonaws.com/b.ucket?profile=AWS":   func(c Config) bool { return c.Addressing == PathStyle },
		"s3://h/bucket?path-style=false&checksum=md5": func(c Config) bool { return c.Addressing == HostStyle && c.Checksum == MD5 },
	} {
		d, _, err := schemes.Open(t.Context(), uri)
		require.NoError(t, err, uri)
		require.True(t, check(d.(*driver).cfg), uri)
		require.NoError(t, d.Close())
	}

	for uri, want := range map[string]string{
		"s3://h/bucket?colour=red":                  "known are region, profile",
		"s3://h/bucket?region=a&region=b":           "given 2 times",
		"s3://h":                                    "s3://ENDPOINT/BUCKET/KEY",
		"s3:///bucket/key":                          "s3://ENDPOINT/BUCKET/KEY",
		"s3://h/B":                                  "bucket",
		"s3://h/bucket?insecure=perhaps":            "true or false",
		"s3://h/bucket?profile=gopher":              "known are generic, aws",
		"s3://h/bucket?checksum=crc":                "known are auto, md5",
		"s3://h/bucket?sse=ROT13":                   "known are AES256",
		"s3://h/bucket?sse=C&insecure=true":         "TLS",
		"s3://h/bucket?sse=AES256&sse-kms-key-id=x": "aws:kms only",
		"s3://h/bucket?sse=C&checksum=crc32c":       "md5",
	} {
		_, _, err := schemes.Open(t.Context(), uri)
		require.ErrorContains(t, err, want, uri)
		require.Equal(t, objstore.Invalid, objstore.KindOf(err), uri)
	}
	_, _, err = schemes.Open(t.Context(), "s3://h/bucket?secret-key=x")
	require.ErrorIs(t, err, objstore.ErrSecret)
	none := errors.New("no credentials for it")
	_, _, err = Opener(func(context.Context, objstore.URI) (Config, error) { return Config{}, none })(t.Context(), objstore.URI{})
	require.ErrorIs(t, err, none)
}

func FuzzURI(f *testing.F) {
	for _, s := range []string{"s3://h:9/bucket/key?region=r&sse=C", "s3://h/b?path-style=true", "s3://h/bucket?sse=aws:kms&sse-kms-key-id=k&checksum=sha256&profile=minio", "s3://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := objstore.ParseURI(s)
		if err != nil {
			return
		}
		var cfg Config
		key, err := cfg.apply(u)
		if err != nil {
			return
		}
		require.Equal(t, u.Path == cfg.Bucket || u.Path == cfg.Bucket+"/"+key, true)
		if d, err := New(cfg); err == nil {
			require.NoError(t, d.Close())
		}
	})
}

func FuzzValue(f *testing.F) {
	for _, s := range []string{"plain", "José", "=?utf-8?q?x?=", " a ", "", "a  b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := encodeValue(s)
		require.Equal(t, s, decodeValue(v))
		require.Equal(t, -1, strings.IndexFunc(v, func(c rune) bool { return c < ' ' || c >= 0x7f }), "%q", v)
	})
}
