package keystorage

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/internal/testservers"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/s3"
)

var servers testservers.Group

func TestMain(m *testing.M) {
	code := m.Run()
	servers.Close()
	os.Exit(code)
}

func storage(t *testing.T, text string) accesskey.Storage {
	t.Helper()
	s, err := accesskey.StorageFromJSON([]byte(text))
	require.NoError(t, err)
	return s
}

// TestStorageInMinIO: a storage with keys of its own, and one with a role that the node assumes, reach what is there.
func TestStorageInMinIO(t *testing.T) {
	s := servers.MinIO(t)
	s.MakeBucket(t, "films")
	open := Opener(Config{UserAgent: "test/1", Roles: &s3.Static{AccessKey: s.AccessKey, SecretKey: s.SecretKey}})
	for name, credentials := range map[string]string{
		"key":         fmt.Sprintf(`{"type":"key","access_key_id":%q,"secret_access_key":%q}`, s.AccessKey, s.SecretKey),
		"assume-role": `{"type":"assume-role","assume_role_arn":"arn:aws:iam::1:role/films","assume_role_external_id":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			d, prefix, err := open(t.Context(), storage(t, fmt.Sprintf(`{"type":"aws_s3","bucket":"films","endpoint":%q,"path":"/a/%s/","credentials":%s}`, s.URL(), name, credentials)))
			require.NoError(t, err)
			require.Equal(t, "a/"+name, prefix)
			b := objstore.NewBucket(d, objstore.Config{})
			_, err = b.Put(t.Context(), prefix+"/k", strings.NewReader("x"), 1, objstore.PutOptions{})
			require.NoError(t, err)
			got, _, err := b.Get(t.Context(), prefix+"/k", 10)
			require.NoError(t, err)
			require.Equal(t, "x", string(got))
			require.NoError(t, b.Close())
		})
	}
}

// TestRefused: what cannot be opened says why, without a secret.
func TestRefused(t *testing.T) {
	for text, why := range map[string]string{
		`{"type":"swift","endpoint":"e","container":"c","credentials":{"username":"u","api_key":"hunter2"}}`:                                               "type swift",
		`{"type":"aws_s3","bucket":"b","endpoint":"e","credentials":{"type":"assume-role","assume_role_arn":"arn"}}`:                                       "keys of the node itself",
		`{"type":"aws_s3","bucket":"b","endpoint":"http://u:hunter2@e","credentials":{"type":"iam-role"}}`:                                                 "storage.endpoint",
		`{"type":"aws_s3","bucket":"b","endpoint":"e","server_side_encryption":"ROT13","credentials":{"access_key_id":"a","secret_access_key":"hunter2"}}`: "ROT13",
		`{"type":"aws_s3","bucket":"b","endpoint":"e"}`:                                                                                                    "storage.credentials",
	} {
		_, _, err := Opener(Config{})(t.Context(), storage(t, text))
		require.ErrorContains(t, err, why)
		require.False(t, strings.Contains(err.Error(), "hunter2"), err)
	}
}

// TestTokenService: a role is assumed where its storage is, or where the configuration says.
func TestTokenService(t *testing.T) {
	for _, c := range []struct{ endpoint, region, set, want string }{
		{"s3.eu-west-1.amazonaws.com", "eu-west-1", "", "https://sts.eu-west-1.amazonaws.com"},
		{"s3.amazonaws.com", "", "", "https://sts.amazonaws.com"},
		{"http://minio:9000", "", "", "http://minio:9000"},
		{"minio:9000", "x", "", "https://minio:9000"},
		{"minio:9000", "", "https://sts.example", "https://sts.example"},
	} {
		cfg := Config{Roles: &s3.Static{AccessKey: "a", SecretKey: "b"}, STSEndpoint: c.set}
		got, err := cfg.s3(storage(t, fmt.Sprintf(`{"type":"aws_s3","bucket":"b","endpoint":%q,"region":%q,"credentials":{"type":"assume-role","assume_role_arn":"arn"}}`, c.endpoint, c.region)))
		require.NoError(t, err)
		role := got.Credentials.(s3.AssumeRole)
		require.Equal(t, c.want, role.STSEndpoint)
		require.Equal(t, defaultSession, role.SessionName)
	}
}
