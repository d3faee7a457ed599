package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// IAMRole are the temporary keys that a cloud gives to a machine or a container. It is not minio-go's, which reads the
// environment.
type IAMRole struct {
	// Endpoint is the URL of the metadata service: without a path that of a machine, "" meaning http://169.254.169.254;
	// with a path that of a container, which answers with the keys themselves.
	Endpoint string
	// TokenFile holds what a container sends as Authorization; "" = nothing.
	TokenFile string
}

// machineEndpoint is where machines find their metadata, the same in all clouds that copied it.
const machineEndpoint = "http://169.254.169.254"

// String names the endpoint.
func (r IAMRole) String() string { return "role of " + r.endpoint() }

func (r IAMRole) account() string { return r.String() }

func (r IAMRole) endpoint() string {
	if r.Endpoint == "" {
		return machineEndpoint
	}
	return r.Endpoint
}

func (r IAMRole) provider(base http.RoundTripper) (credentials.Provider, error) {
	u, err := url.Parse(r.endpoint())
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("credentials: the metadata endpoint is no URL")
	}
	return marked{&roleProvider{client: tokenClient(base), endpoint: u, tokenFile: r.TokenFile}}, nil
}

type roleProvider struct {
	credentials.Expiry
	client    *http.Client
	endpoint  *url.URL
	tokenFile string
}

func (p *roleProvider) Retrieve() (credentials.Value, error) { return p.RetrieveWithCredContext(nil) }

func (p *roleProvider) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	ctx := contextOf(cc)
	var answer []byte
	var err error
	if strings.Trim(p.endpoint.Path, "/") != "" {
		answer, err = p.container(ctx)
	} else {
		answer, err = p.machine(ctx)
	}
	if err != nil {
		return credentials.Value{}, err
	}
	var keys struct {
		Code, Message, AccessKeyID, SecretAccessKey, Token string
		Expiration                                         time.Time
	}
	if err := json.Unmarshal(answer, &keys); err != nil {
		return credentials.Value{}, errors.New("the metadata service answers with something else than keys") // not repeated: it may hold them
	}
	if keys.Code != "" && keys.Code != "Success" {
		return credentials.Value{}, fmt.Errorf("the metadata service says %.40q", keys.Code)
	}
	if keys.Expiration.IsZero() {
		keys.Expiration = time.Now().Add(noExpiry)
	}
	p.SetExpiration(keys.Expiration, credentials.DefaultExpiryWindow)
	return credentials.Value{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.Token, Expiration: keys.Expiration, SignerType: credentials.SignatureV4}, nil
}

// noExpiry is after how long keys are asked for again that came without a time when they expire.
const noExpiry = 15 * time.Minute

const (
	sessionPath   = "/latest/api/token"
	rolesPath     = "/latest/meta-data/iam/security-credentials/"
	sessionHeader = "X-Aws-Ec2-Metadata-Token"
	ttlHeader     = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
)

// machine asks the service of a machine: for a session, for the name of the role, for its keys.
func (p *roleProvider) machine(ctx context.Context) ([]byte, error) {
	session, err := p.ask(ctx, http.MethodPut, sessionPath, ttlHeader, "21600")
	var status statusError
	if errors.As(err, &status) && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) {
		session, err = nil, nil // the first version of the service, which has no sessions
	}
	if err != nil {
		return nil, err
	}
	names, err := p.ask(ctx, http.MethodGet, rolesPath, sessionHeader, string(session))
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(strings.TrimSpace(string(names)), "\n")
	if name == "" {
		return nil, errors.New("the machine has no role")
	}
	return p.ask(ctx, http.MethodGet, path.Join(rolesPath, strings.TrimSpace(name)), sessionHeader, string(session))
}

func (p *roleProvider) container(ctx context.Context) ([]byte, error) {
	token := ""
	if p.tokenFile != "" {
		var err error
		if token, err = readSecretFile(p.tokenFile); err != nil {
			return nil, err
		}
	}
	return p.ask(ctx, http.MethodGet, p.endpoint.Path, "Authorization", token)
}

type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("the metadata service answers HTTP %d", int(e))
}

func (p *roleProvider) ask(ctx context.Context, method, where, header, value string) ([]byte, error) {
	u := *p.endpoint
	u.Path = where
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if value != "" {
		req.Header.Set(header, value)
	}
	return do(p.client, req)
}

// do returns the body of a small answer.
func do(client *http.Client, req *http.Request) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode)
	}
	return body, nil
}

func contextOf(cc *credentials.CredContext) context.Context {
	if cc == nil || cc.Context == nil {
		return context.Background()
	}
	return cc.Context
}

// IBMAPIKey is a key of IBM Cloud, which gives tokens for requests to IBM Cloud Object Storage.
type IBMAPIKey struct {
	Key      string
	Endpoint string // URL that gives tokens; "" = https://iam.cloud.ibm.com/identity/token
}

const ibmEndpoint = "https://iam.cloud.ibm.com/identity/token"

// String does not show the key.
func (k IBMAPIKey) String() string { return "IBM API key [redacted]" }

// GoString is String.
func (k IBMAPIKey) GoString() string { return k.String() }

// Format writes String for every verb.
func (k IBMAPIKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// LogValue is String.
func (k IBMAPIKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText is String.
func (k IBMAPIKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// account is of the key itself, since nothing else names the account; only its fingerprint is used.
func (k IBMAPIKey) account() string { return "ibm " + k.Key }

func (k IBMAPIKey) provider(base http.RoundTripper) (credentials.Provider, error) {
	if k.Key == "" {
		return nil, errors.New("credentials: the IBM API key is empty")
	}
	endpoint := k.Endpoint
	if endpoint == "" {
		endpoint = ibmEndpoint
	}
	anonymous, err := Anonymous{}.provider(base)
	if err != nil {
		return nil, err
	}
	return &ibmProvider{Provider: anonymous, key: k.Key, endpoint: endpoint, client: tokenClient(base)}, nil
}

// ibmProvider has minio-go sign nothing, and gives the token that the transport puts in.
type ibmProvider struct {
	credentials.Provider
	key, endpoint string
	client        *http.Client

	gate  sync.Mutex // held while a token is fetched, by one call for all that wait; protects the rest
	value string
	until time.Time
}

// IsExpired makes minio-go ask never again; tokens are renewed by the transport.
func (p *ibmProvider) IsExpired() bool { return false }

func (p *ibmProvider) token(ctx context.Context) (string, error) {
	p.gate.Lock()
	defer p.gate.Unlock()
	if time.Now().Before(p.until) {
		return p.value, nil
	}
	form := url.Values{"grant_type": {"urn:ibm:params:oauth:grant-type:apikey"}, "apikey": {p.key}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", errors.New("the token endpoint is no URL")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	answer, err := do(p.client, req)
	if err != nil {
		return "", err
	}
	var t struct {
		Token  string `json:"access_token"`
		Expiry int64  `json:"expires_in"` // seconds
	}
	if err := json.Unmarshal(answer, &t); err != nil || t.Token == "" {
		return "", errors.New("the token service answers with something else than a token")
	}
	// As minio-go does it: renewed when a fifth of the time is left.
	p.value, p.until = t.Token, time.Now().Add(time.Duration(t.Expiry)*time.Second*4/5)
	return p.value, nil
}
