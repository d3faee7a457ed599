package s3

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/tradewind-io/tradewind/objstore"
)

// uriOptions are those that a URI may have.
var uriOptions = [...]string{"region", "profile", "storage-class", "sse", "sse-kms-key-id", "checksum", "insecure", "path-style"}

// Opener opens places such as
//
//	s3://ENDPOINT/BUCKET/KEY?profile=minio&region=eu-1&storage-class=STANDARD_IA&sse=aws:kms&sse-kms-key-id=K
//
// settings returns what a URI does not say for the place that it names: credentials, the key for sse=C, a logger, a
// transport. What the URI says comes on top. The options are region, profile (aws, ibmcos, storagegrid, activearchive,
// minio), storage-class, sse (AES256, aws:kms, C, none), sse-kms-key-id, checksum (md5, crc32c, sha256, none), insecure
// (true for plain HTTP) and path-style (true, false).
func Opener(settings func(ctx context.Context, u objstore.URI) (Config, error)) objstore.Opener {
	return func(ctx context.Context, u objstore.URI) (objstore.Driver, string, error) {
		cfg, err := settings(ctx, u)
		if err != nil {
			return nil, "", err
		}
		key, err := cfg.apply(u)
		if err != nil {
			return nil, "", &objstore.Error{Op: "open", Kind: objstore.Invalid, Err: err}
		}
		d, err := New(cfg)
		return d, key, err
	}
}

// apply puts what the URI says into the Config, and returns the key.
func (cfg *Config) apply(u objstore.URI) (key string, err error) {
	// The options are taken out of a map of our own.
	options := make(map[string][]string, len(u.Options))
	for k, v := range u.Options {
		if len(v) > 1 {
			return "", fmt.Errorf("s3 URI: option %q is given %d times", k, len(v))
		}
		options[k] = v
	}
	u.Options = options
	cfg.Endpoint = u.Host
	cfg.Bucket, key, _ = strings.Cut(u.Path, "/")
	if cfg.Endpoint == "" || cfg.Bucket == "" {
		return "", fmt.Errorf("s3 URI: want s3://ENDPOINT/BUCKET/KEY")
	}
	set := func(to *string, name string) {
		if v := u.Option(name); v != "" {
			*to = v
		}
	}
	set(&cfg.Region, "region")
	set(&cfg.StorageClass, "storage-class")
	if v := u.Option("profile"); v != "" {
		if cfg.Profile, err = ParseProfile(v); err != nil {
			return "", fmt.Errorf("s3 URI: %w", err)
		}
	}
	if v := u.Option("checksum"); v != "" {
		if cfg.Checksum, err = ParseChecksum(v); err != nil {
			return "", fmt.Errorf("s3 URI: %w", err)
		}
	}
	if v := u.Option("insecure"); v != "" {
		if cfg.Insecure, err = parseBool("insecure", v); err != nil {
			return "", err
		}
	}
	if v := u.Option("path-style"); v != "" {
		path, err := parseBool("path-style", v)
		if err != nil {
			return "", err
		}
		cfg.Addressing = HostStyle
		if path {
			cfg.Addressing = PathStyle
		}
	}
	if err := cfg.SSE.apply(u.Option("sse"), u.Option("sse-kms-key-id")); err != nil {
		return "", fmt.Errorf("s3 URI: %w", err)
	}
	return key, u.Unknown(uriOptions[:]...)
}

// apply sets the mode that the options say. A key for SSE-C that is there is kept for that mode only.
func (s *SSE) apply(mode, keyID string) error {
	switch strings.ToLower(mode) {
	case "":
		if keyID != "" {
			s.Mode = SSEKMS
		} else if s.Mode != SSEC {
			s.Key = [32]byte{}
		}
	case "none":
		*s = SSE{}
	case "aes256":
		*s = SSE{Mode: SSES3}
	case "aws:kms":
		*s = SSE{Mode: SSEKMS, KeyID: s.KeyID, Context: s.Context}
	case "c":
		*s = SSE{Mode: SSEC, Key: s.Key}
	default:
		return fmt.Errorf("sse %q is not known; known are AES256, aws:kms, C, none", mode)
	}
	if keyID != "" {
		if s.Mode != SSEKMS {
			return fmt.Errorf("sse-kms-key-id goes with sse=aws:kms only")
		}
		s.KeyID, s.Key = keyID, [32]byte{}
	}
	return nil
}

func parseBool(name, s string) (bool, error) {
	v, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("s3 URI: %s=%s: want true or false", name, s)
	}
	return v, nil
}
