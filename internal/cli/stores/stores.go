package stores

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/faux"
	"github.com/tradewind-io/tradewind/objstore/filestore"
	"github.com/tradewind-io/tradewind/objstore/s3"
)

// Help tells users about URIs and where their secrets come from; commands print it.
const Help = `Places in object stores are URIs: SCHEME://HOST/PATH?OPTION=VALUE. Secrets never stand in them.

  s3://ENDPOINT/BUCKET/KEY   Amazon S3 and others that speak its protocol. Options: profile=aws|ibmcos|storagegrid|
                             activearchive|minio, region, storage-class, sse=AES256|aws:kms|C, sse-kms-key-id, checksum,
                             insecure=true (plain HTTP), path-style. Credentials: account=NAME is a section of the file
                             AWS_SHARED_CREDENTIALS_FILE (default ~/.aws/credentials), account=anonymous is none;
                             without it AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or
                             AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, or the section AWS_PROFILE, or with
                             profile=aws the role of the machine. AWS_ROLE_ARN is assumed with the keys that are there.
                             TRADEWIND_SSE_C_KEY is the base64 of the 32 bytes for sse=C.
  file:///PATH               a local folder
  faux:///NAME?SIZE          SIZE bytes that are made up; as a destination faux:// takes everything and keeps nothing
  stdio://                   standard input or output, in twcp

Options of all: part-size (64M), parallel (requests at a time), encrypt=true (what is written is encrypted here, with the
passphrase in TRADEWIND_PASSPHRASE, and what is read is decrypted; docs/encryption-at-rest.md).
`

// New returns the schemes that commands have, with the credentials of env.
func New(env cli.Env, log *slog.Logger) objstore.Schemes {
	c := &credentials{env: env, log: log}
	all := objstore.Schemes{
		"s3":   s3Opener(c),
		"file": filestore.OpenURI,
		"faux": faux.OpenURI,
	}
	for name, open := range all {
		all[name] = c.encrypted(open)
	}
	return all
}

const passphraseVariable = "TRADEWIND_PASSPHRASE"

// encrypted lets places be encrypted at rest by the option encrypt.
func (c *credentials) encrypted(open objstore.Opener) objstore.Opener {
	return func(ctx context.Context, u objstore.URI) (objstore.Driver, string, error) {
		on := false
		if v := u.Option("encrypt"); v != "" {
			var err error
			if on, err = strconv.ParseBool(v); err != nil {
				return nil, "", fmt.Errorf("%s URI: encrypt=%s: want true or false", u.Scheme, v)
			}
		}
		d, key, err := open(ctx, u)
		if err != nil || !on {
			return d, key, err
		}
		phrase := c.env.Get(passphraseVariable)
		if phrase == "" {
			return nil, "", errors.Join(fmt.Errorf("%s URI: encrypt=true needs the passphrase in %s", u.Scheme, passphraseVariable), d.Close())
		}
		sealed, err := objstore.WithEncryption(d, objstore.Encryption{Passphrase: phrase})
		if err != nil {
			return nil, "", errors.Join(err, d.Close())
		}
		return sealed, key, nil
	}
}

type credentials struct {
	env cli.Env
	log *slog.Logger
}

// s3Opener takes our own option account out before the driver sees the URI.
func s3Opener(c *credentials) objstore.Opener {
	return func(ctx context.Context, u objstore.URI) (objstore.Driver, string, error) {
		account := u.Option("account")
		open := s3.Opener(func(_ context.Context, u objstore.URI) (s3.Config, error) { return c.s3(u, account) })
		return open(ctx, u)
	}
}

// The variables that the tools of Amazon use, and one of our own.
const (
	accessKeyVariable = "AWS_ACCESS_KEY_ID"
	secretKeyVariable = "AWS_SECRET_ACCESS_KEY"
	sseKeyVariable    = "TRADEWIND_SSE_C_KEY"
)

func (c *credentials) s3(u objstore.URI, account string) (s3.Config, error) {
	cfg := s3.Config{Logger: c.log, Region: c.first("AWS_REGION", "AWS_DEFAULT_REGION"), UserAgent: "tradewind/" + cli.Version()}
	if v := c.env.Get(sseKeyVariable); v != "" {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(v))
		if err != nil || len(key) != len(cfg.SSE.Key) {
			return cfg, fmt.Errorf("%s: want the base64 of 32 bytes", sseKeyVariable)
		}
		copy(cfg.SSE.Key[:], key)
	}
	var err error
	cfg.Credentials, err = c.awsCredentials(u, account)
	return cfg, err
}

// awsCredentials chooses as Help says.
func (c *credentials) awsCredentials(u objstore.URI, account string) (s3.Credentials, error) {
	role, token := c.env.Get("AWS_ROLE_ARN"), c.env.Get("AWS_WEB_IDENTITY_TOKEN_FILE")
	session := c.env.Get("AWS_ROLE_SESSION_NAME")
	switch {
	case account == "anonymous":
		return s3.Anonymous{}, nil
	case account != "":
		return c.file(account)
	case c.env.Get(accessKeyVariable) != "":
		static := s3.Static{AccessKey: c.env.Get(accessKeyVariable), SecretKey: c.env.Get(secretKeyVariable), SessionToken: c.env.Get("AWS_SESSION_TOKEN")}
		if static.SecretKey == "" {
			return nil, fmt.Errorf("%s is set and %s is not", accessKeyVariable, secretKeyVariable)
		}
		if role != "" && token == "" {
			return s3.AssumeRole{STSEndpoint: c.sts(u), RoleARN: role, SessionName: session, Base: static, Region: c.first("AWS_REGION", "AWS_DEFAULT_REGION")}, nil
		}
		return static, nil
	case role != "" && token != "":
		return s3.WebIdentity{STSEndpoint: c.sts(u), RoleARN: role, TokenFile: token}, nil
	}
	if name := c.env.Get("AWS_PROFILE"); name != "" {
		return c.file(name)
	}
	if f, err := c.file(""); err == nil {
		if _, err := os.Stat(f.(s3.File).Path); err == nil {
			return f, nil
		}
	}
	if u.Options.Get("profile") == s3.AWS.String() {
		return s3.IAMRole{}, nil
	}
	return nil, fmt.Errorf("no credentials for %s://%s: set %s and %s, or name a section of the credentials file with account=NAME, or account=anonymous",
		u.Scheme, u.Host, accessKeyVariable, secretKeyVariable)
}

func (c *credentials) file(section string) (s3.Credentials, error) {
	path := c.env.Get("AWS_SHARED_CREDENTIALS_FILE")
	if path == "" {
		home := c.env.Get("HOME")
		if home == "" {
			return nil, errors.New("neither AWS_SHARED_CREDENTIALS_FILE nor HOME is set: where are the credentials?")
		}
		path = filepath.Join(home, ".aws", "credentials")
	}
	return s3.File{Path: path, Profile: section}, nil
}

// sts is the token service: that of the environment, or of the store itself, as with MinIO, or Amazon's.
func (c *credentials) sts(u objstore.URI) string {
	if e := TokenService(c.env); e != "" {
		return e
	}
	if u.Options.Get("profile") != s3.AWS.String() {
		scheme := "https"
		if u.Options.Get("insecure") == "true" {
			scheme = "http"
		}
		return scheme + "://" + u.Host
	}
	if r := c.first("AWS_REGION", "AWS_DEFAULT_REGION"); r != "" {
		return "https://sts." + r + ".amazonaws.com"
	}
	return "https://sts.amazonaws.com"
}

func (c *credentials) first(names ...string) string { return first(c.env, names...) }

func first(env cli.Env, names ...string) string {
	for _, n := range names {
		if v := env.Get(n); v != "" {
			return v
		}
	}
	return ""
}

// TokenService is the URL of the token service that the environment names, "" for none.
func TokenService(env cli.Env) string {
	return first(env, "AWS_ENDPOINT_URL_STS", "TRADEWIND_STS_ENDPOINT")
}

// RoleKeys are the keys of the environment, with which roles are assumed; nil if there are none.
func RoleKeys(env cli.Env) *s3.Static {
	k := s3.Static{AccessKey: env.Get(accessKeyVariable), SecretKey: env.Get(secretKeyVariable), SessionToken: env.Get("AWS_SESSION_TOKEN")}
	if k.AccessKey == "" || k.SecretKey == "" {
		return nil
	}
	return &k
}
