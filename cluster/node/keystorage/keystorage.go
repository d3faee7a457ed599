// Package keystorage makes drivers of the storage that access keys are bound to (accesskey.Storage), with the credentials that stand in the key.
package keystorage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/s3"
)

// Config sets up an Opener, which copies it. All of it may be left out.
type Config struct {
	UserAgent string
	// Roles are the node's own keys, with which it assumes the roles that storage of Amazon S3 names in place of keys. Without them such a storage is refused.
	Roles *s3.Static
	// STSEndpoint is the URL of the token service that roles are assumed at; "" is Amazon's of the storage's region, and of other servers the endpoint of the storage.
	STSEndpoint string
	Logger      *slog.Logger // nil is silent
}

// Opener returns a function for node.Config.OpenStorage. It makes no request. Types without a driver fail with a text that says so.
func Opener(c Config) func(context.Context, accesskey.Storage) (objstore.Driver, string, error) {
	return func(_ context.Context, s accesskey.Storage) (objstore.Driver, string, error) {
		if err := s.Check(); err != nil {
			return nil, "", err
		}
		switch s.Type {
		case "aws_s3", "ibm-s3":
			cfg, err := c.s3(s)
			if err != nil {
				return nil, "", err
			}
			cfg.UserAgent, cfg.Logger = c.UserAgent, c.Logger
			d, err := s3.New(cfg)
			return d, strings.Trim(s.Fields["path"], "/"), err
		}
		return nil, "", fmt.Errorf("storage of type %s: %w; aws_s3, ibm-s3 and local are offered", s.Type, errors.ErrUnsupported)
	}
}

// classes are the names of storage classes where the Node API has others than S3.
var classes = map[string]string{"INFREQUENT_ACCESS": "STANDARD_IA"}

func (c *Config) s3(s accesskey.Storage) (s3.Config, error) {
	cfg := s3.Config{Bucket: s.Fields["bucket"], Region: s.Fields["region"], StorageClass: s.Fields["storage_class"], Profile: s3.AWS}
	if s.Type == "ibm-s3" {
		cfg.Profile = s3.IBMCOS
	}
	if c, ok := classes[cfg.StorageClass]; ok {
		cfg.StorageClass = c
	}
	var err error
	if cfg.Endpoint, cfg.Insecure, err = endpoint(s.Fields["endpoint"]); err != nil {
		return cfg, err
	}
	if s.Type == "aws_s3" && !strings.HasSuffix(hostOf(cfg.Endpoint), ".amazonaws.com") {
		cfg.Profile = s3.Generic // some other server that speaks the protocol
	}
	switch mode := s.Fields["server_side_encryption"]; mode {
	case "":
	case "AES256":
		cfg.SSE.Mode = s3.SSES3
	case "AWS_KMS":
		cfg.SSE.Mode, cfg.SSE.KeyID = s3.SSEKMS, s.Fields["server_side_encryption_aws_kms_key_id"]
	default:
		return cfg, fmt.Errorf("storage.server_side_encryption %q: want AES256 or AWS_KMS", mode)
	}
	cred := s.Credentials
	switch cred["type"] {
	case "", "key":
		if cred["access_key_id"] == "" {
			return cfg, errors.New("storage.credentials: want type key with access_key_id and secret_access_key, iam-role, or assume-role")
		}
		cfg.Credentials = s3.Static{AccessKey: cred["access_key_id"], SecretKey: cred["secret_access_key"], SessionToken: cred["session_token"]}
	case "iam-role":
		cfg.Credentials = s3.IAMRole{}
	case "assume-role":
		if c.Roles == nil {
			return cfg, errors.New("storage.credentials: assume-role needs keys of the node itself to assume the role with, and it has none")
		}
		cfg.Credentials = c.role(&cfg, cred)
	}
	return cfg, nil
}

// defaultSession is the name of sessions where the storage names none: the service wants one.
const defaultSession = "tradewind"

// role are the credentials of a role that the node assumes.
func (c *Config) role(cfg *s3.Config, cred map[string]string) s3.AssumeRole {
	a := s3.AssumeRole{
		STSEndpoint: c.STSEndpoint, RoleARN: cred["assume_role_arn"], ExternalID: cred["assume_role_external_id"], SessionName: cred["assume_role_session_name"], Region: cfg.Region, Base: *c.Roles,
	}
	if a.SessionName == "" {
		a.SessionName = defaultSession
	}
	switch {
	case a.STSEndpoint != "":
	case cfg.Profile != s3.AWS:
		a.STSEndpoint = "https://" + cfg.Endpoint
		if cfg.Insecure {
			a.STSEndpoint = "http://" + cfg.Endpoint
		}
	case cfg.Region != "":
		a.STSEndpoint = "https://sts." + cfg.Region + ".amazonaws.com"
	default:
		a.STSEndpoint = "https://sts.amazonaws.com"
	}
	return a
}

// endpoint reads host, host:port, or a URL without a path.
func endpoint(text string) (host string, insecure bool, err error) {
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", false, errors.New("storage.endpoint: want a host, host:port, or https://host")
	}
	return u.Host, u.Scheme == "http", nil
}

func hostOf(endpoint string) string {
	host, _, ok := strings.Cut(endpoint, ":")
	if !ok {
		return endpoint
	}
	return host
}
