package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Credentials are what requests are signed with, or where that is to be had. The types of this package are all there are.
// None prints a secret.
type Credentials interface {
	fmt.Stringer
	// provider returns what minio-go asks. Requests for credentials go through base.
	provider(base http.RoundTripper) (credentials.Provider, error)
	// account names whose they are, without a secret.
	account() string
}

// bearer is a provider whose requests carry a token and no signature.
type bearer interface {
	credentials.Provider
	token(ctx context.Context) (string, error)
}

// fingerprint shortens the name of an account so that it can be compared and says nothing.
func fingerprint(account string) string {
	if account == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(account))
	return hex.EncodeToString(sum[:8])
}

// credentialsError is a failure to get credentials.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// marked marks the errors of a provider as those of credentials.
type marked struct{ credentials.Provider }

func (p marked) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	v, err := p.Provider.RetrieveWithCredContext(cc)
	if err == nil && (v.AccessKeyID == "" || v.SecretAccessKey == "") {
		err = errors.New("there are none")
	}
	if err != nil {
		return credentials.Value{}, &credentialsError{err}
	}
	return v, nil
}

func (p marked) Retrieve() (credentials.Value, error) { return p.RetrieveWithCredContext(nil) }

// Anonymous signs nothing.
type Anonymous struct{}

// String says so.
func (Anonymous) String() string  { return "anonymous" }
func (Anonymous) account() string { return "" }
func (Anonymous) provider(http.RoundTripper) (credentials.Provider, error) {
	return &credentials.Static{Value: credentials.Value{SignerType: credentials.SignatureAnonymous}}, nil
}

// Static are keys that do not change.
type Static struct {
	AccessKey    string
	SecretKey    string
	SessionToken string // of temporary keys; "" = none
}

// String names the access key, which is no secret.
func (s Static) String() string { return "access key " + s.AccessKey + ", secret [redacted]" }

// GoString is String.
func (s Static) GoString() string { return s.String() }

// Format writes String for every verb.
func (s Static) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue is String.
func (s Static) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String.
func (s Static) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Static) account() string { return s.AccessKey }

func (s Static) provider(http.RoundTripper) (credentials.Provider, error) {
	if s.AccessKey == "" || s.SecretKey == "" {
		return nil, errors.New("credentials: want an access key and a secret key")
	}
	return &credentials.Static{Value: credentials.Value{AccessKeyID: s.AccessKey, SecretAccessKey: s.SecretKey, SessionToken: s.SessionToken, SignerType: credentials.SignatureV4}}, nil
}

// File is a credentials file as the AWS tools have it. It is read at the first request, again when what it held has expired,
// and once a minute where it does not say when that is. As with those tools, a profile with credential_process has that program run.
type File struct {
	Path    string
	Profile string // section; "" = default
}

// String names the file.
func (f File) String() string  { return "file " + f.Path + " profile " + f.profile() }
func (f File) account() string { return f.String() }

func (f File) profile() string {
	if f.Profile == "" {
		return "default"
	}
	return f.Profile
}

func (f File) provider(http.RoundTripper) (credentials.Provider, error) {
	if f.Path == "" {
		return nil, errors.New("credentials: want the path of a file")
	}
	return marked{&fileProvider{FileAWSCredentials: credentials.FileAWSCredentials{Filename: f.Path, Profile: f.profile()}}}, nil
}

// fileAge is how long keys from a file are used that do not say when they expire.
const fileAge = time.Minute

// fileProvider keeps keys without an expiry for a while. minio-go would read the file for every request.
type fileProvider struct {
	credentials.FileAWSCredentials
	until time.Time // zero: the keys say themselves
}

func (p *fileProvider) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	v, err := p.FileAWSCredentials.RetrieveWithCredContext(cc)
	p.until = time.Time{}
	if err == nil && v.Expiration.IsZero() {
		p.until = time.Now().Add(fileAge)
	}
	return v, err
}

func (p *fileProvider) IsExpired() bool {
	if p.until.IsZero() {
		return p.FileAWSCredentials.IsExpired()
	}
	return time.Now().After(p.until)
}

// AssumeRole are temporary keys that a security token service gives for other keys.
type AssumeRole struct {
	STSEndpoint string // URL, such as https://sts.eu-west-1.amazonaws.com
	RoleARN     string // not needed by MinIO
	SessionName string
	ExternalID  string
	Region      string        // that the request is signed for; "" = us-east-1
	Duration    time.Duration // 0 = what the service likes
	// Policy is a document, in JSON, that takes from the keys what it does not allow; "" = they may what the role may.
	Policy string
	Base   Static
}

// String names the role.
func (a AssumeRole) String() string { return "role " + a.RoleARN + " of " + a.Base.String() }

// GoString is String.
func (a AssumeRole) GoString() string { return a.String() }

// Format writes String for every verb.
func (a AssumeRole) Format(f fmt.State, _ rune) { fmt.Fprint(f, a.String()) }

// LogValue is String.
func (a AssumeRole) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText is String.
func (a AssumeRole) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (a AssumeRole) account() string { return a.Base.AccessKey + " " + a.RoleARN }

func (a AssumeRole) provider(base http.RoundTripper) (credentials.Provider, error) {
	if a.STSEndpoint == "" || a.Base.AccessKey == "" || a.Base.SecretKey == "" {
		return nil, errors.New("credentials: a role needs the endpoint of the token service, and keys to ask it with")
	}
	return marked{&credentials.STSAssumeRole{
		Client: tokenClient(base), STSEndpoint: a.STSEndpoint,
		Options: credentials.STSAssumeRoleOptions{
			AccessKey: a.Base.AccessKey, SecretKey: a.Base.SecretKey, SessionToken: a.Base.SessionToken, Policy: a.Policy,
			Location: a.Region, DurationSeconds: int(a.Duration / time.Second),
			RoleARN: a.RoleARN, RoleSessionName: a.SessionName, ExternalID: a.ExternalID,
		},
	}}, nil
}

// WebIdentity are temporary keys that a security token service gives for the token of an identity provider.
type WebIdentity struct {
	STSEndpoint string // URL
	RoleARN     string
	TokenFile   string        // read whenever keys are asked for
	Duration    time.Duration // 0 = what the service likes
}

// String names the role.
func (w WebIdentity) String() string  { return "role " + w.RoleARN + " by web identity" }
func (w WebIdentity) account() string { return w.STSEndpoint + " " + w.RoleARN + " " + w.TokenFile }

func (w WebIdentity) provider(base http.RoundTripper) (credentials.Provider, error) {
	if w.STSEndpoint == "" || w.TokenFile == "" {
		return nil, errors.New("credentials: web identity needs the endpoint of the token service, and a file with the token")
	}
	return marked{&credentials.STSWebIdentity{
		Client: tokenClient(base), STSEndpoint: w.STSEndpoint, RoleARN: w.RoleARN,
		GetWebIDTokenExpiry: func() (*credentials.WebIdentityToken, error) {
			text, err := readSecretFile(w.TokenFile)
			if err != nil {
				return nil, err
			}
			return &credentials.WebIdentityToken{Token: text, Expiry: int(w.Duration / time.Second)}, nil
		},
	}}, nil
}

// tokenTimeout bounds a request for credentials, whose context minio-go may have taken away.
const tokenTimeout = 30 * time.Second

func tokenClient(base http.RoundTripper) *http.Client {
	return &http.Client{Transport: base, Timeout: tokenTimeout}
}

// readSecretFile reads a file that holds one secret.
func readSecretFile(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(text)), nil
}
