package s3

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/tradewind-io/tradewind/objstore"
)

// Config says which bucket, of which store, and how it is used.
type Config struct {
	Endpoint string // host or host:port, without a scheme
	Insecure bool   // plain HTTP instead of TLS
	Bucket   string
	Region   string // "" = found out (AWS), us-east-1 (all others)
	Profile  Profile
	// Addressing is how the bucket is named in requests; zero means in the path, and for AWS in the host name.
	Addressing Addressing

	StorageClass string // of what is written; "" = the bucket's default
	SSE          SSE
	Checksum     Checksum // of what is written; zero means what the Profile verifies

	Credentials Credentials // nil = Anonymous

	// Transport makes the requests; nil means one of our own, made for many large bodies and closed with the Driver. It
	// reads no proxy settings from the environment.
	Transport http.RoundTripper
	// RootCAs are the authorities that our own Transport trusts; nil means the system's.
	RootCAs *x509.CertPool
	// UserAgent is put behind minio-go's own, as NAME/VERSION; "" = nothing.
	UserAgent string
	// Logger gets an event at level Debug for every request; nil means silent.
	Logger *slog.Logger
}

// Profile is a kind of server.
type Profile uint8

// The profiles. Generic asks only for what all have.
const (
	Generic Profile = iota
	AWS
	IBMCOS
	StorageGRID
	ActiveArchive
	MinIO
)

var profileNames = [...]string{Generic: "generic", AWS: "aws", IBMCOS: "ibmcos", StorageGRID: "storagegrid", ActiveArchive: "activearchive", MinIO: "minio"}

// String returns the name that ParseProfile reads.
func (p Profile) String() string { return nameOf(profileNames[:], int(p), "profile") }

// ParseProfile reads the name of a profile; "" is Generic.
func ParseProfile(s string) (Profile, error) {
	n, err := parseName(profileNames[:], s, "profile")
	return Profile(n), err
}

// Addressing is how a bucket is named in requests.
type Addressing uint8

// The ways. AutoStyle is the Profile's.
const (
	AutoStyle Addressing = iota
	PathStyle            // https://ENDPOINT/BUCKET/KEY
	HostStyle            // https://BUCKET.ENDPOINT/KEY
)

// Checksum is what the store is given to verify the bytes of every Put and part.
type Checksum uint8

// The checksums. AutoChecksum is CRC32C for AWS and MinIO, and MD5 for the others and with SSE-C.
const (
	AutoChecksum Checksum = iota
	MD5
	CRC32C
	SHA256 // signed with the request
	None   // only TLS or TCP protect the bytes
)

var checksumNames = [...]string{AutoChecksum: "auto", MD5: "md5", CRC32C: "crc32c", SHA256: "sha256", None: "none"}

// String returns the name that ParseChecksum reads.
func (c Checksum) String() string { return nameOf(checksumNames[:], int(c), "checksum") }

// ParseChecksum reads the name of a checksum; "" is AutoChecksum.
func ParseChecksum(s string) (Checksum, error) {
	n, err := parseName(checksumNames[:], s, "checksum")
	return Checksum(n), err
}

func nameOf(names []string, n int, what string) string {
	if n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("%s %d", what, n)
}

func parseName(names []string, s, what string) (int, error) {
	if s == "" {
		return 0, nil
	}
	for i, name := range names {
		if strings.EqualFold(s, name) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%s %q is not known; known are %s", what, s, strings.Join(names, ", "))
}

// driver is the Driver. Its fields do not change but for the atomic ones.
type driver struct {
	cfg       Config
	core      *minio.Core
	creds     *credentials.Credentials
	renewable bool // new credentials may be had when these have expired
	sse       encrypt.ServerSide
	transport *transport
	scheme    string
	store     string
	copyMax   int64 // bytes that one request may copy

	bucketSeen  atomic.Bool // a request has succeeded, so the bucket is there
	noMulti     atomic.Bool // the store has no request for deleting several objects
	noListAttrs atomic.Bool // its listings with metadata could not be read
}

// New returns the Driver of a bucket. It makes no request. The error is an *objstore.Error of Kind Invalid.
func New(cfg Config) (objstore.Driver, error) {
	d, err := newDriver(cfg)
	if err != nil {
		return nil, &objstore.Error{Op: "open", Kind: objstore.Invalid, Err: err}
	}
	return d, nil
}

func newDriver(cfg Config) (*driver, error) {
	switch {
	case cfg.Endpoint == "" || strings.ContainsAny(cfg.Endpoint, "/?#@ "):
		return nil, fmt.Errorf("endpoint %q: want HOST or HOST:PORT", cfg.Endpoint)
	case int(cfg.Profile) >= len(profileNames):
		return nil, fmt.Errorf("%s is not known", cfg.Profile)
	case cfg.Addressing > HostStyle:
		return nil, fmt.Errorf("addressing %d is not known", cfg.Addressing)
	case int(cfg.Checksum) >= len(checksumNames):
		return nil, fmt.Errorf("%s is not known", cfg.Checksum)
	}
	if err := s3utils.CheckValidBucketName(cfg.Bucket); err != nil {
		return nil, fmt.Errorf("bucket %q: %w", cfg.Bucket, err)
	}
	if cfg.Credentials == nil {
		cfg.Credentials = Anonymous{}
	}
	if cfg.Region == "" && cfg.Profile != AWS {
		cfg.Region = "us-east-1"
	}
	if cfg.Addressing == AutoStyle {
		cfg.Addressing = PathStyle
		// A bucket with dots in its name does not fit the store's certificate.
		if cfg.Profile == AWS && (cfg.Insecure || !strings.Contains(cfg.Bucket, ".")) {
			cfg.Addressing = HostStyle
		}
	}
	if cfg.Checksum == AutoChecksum {
		cfg.Checksum = MD5
		if (cfg.Profile == AWS || cfg.Profile == MinIO) && cfg.SSE.Mode != SSEC {
			cfg.Checksum = CRC32C
		}
	}
	d := &driver{cfg: cfg, scheme: "https", copyMax: maxPut}
	if cfg.Insecure {
		d.scheme = "http"
	}
	var err error
	if d.sse, err = cfg.SSE.serverSide(); err != nil {
		return nil, err
	}
	if cfg.SSE.Mode == SSEC && cfg.Insecure {
		return nil, fmt.Errorf("SSE-C sends the key with every request and so needs TLS")
	}
	if cfg.SSE.Mode == SSEC && cfg.Checksum == CRC32C {
		// The store would want the key again for listing parts, which the client library cannot send.
		return nil, fmt.Errorf("SSE-C does not go with the checksum crc32c: use md5")
	}
	d.transport = newTransport(cfg, &d.bucketSeen)
	provider, err := cfg.Credentials.provider(d.transport.base)
	if err != nil {
		return nil, err
	}
	d.creds = credentials.New(provider)
	if b, ok := provider.(bearer); ok {
		d.transport.bearer = b
	}
	_, static := provider.(*credentials.Static)
	d.renewable = !static
	d.store = "s3:" + strings.ToLower(cfg.Endpoint) + ":" + fingerprint(cfg.Credentials.account())
	lookup := minio.BucketLookupPath
	if cfg.Addressing == HostStyle {
		lookup = minio.BucketLookupDNS
	}
	d.core, err = minio.NewCore(cfg.Endpoint, &minio.Options{
		Creds: d.creds, Secure: !cfg.Insecure, Transport: d.transport, Region: cfg.Region, BucketLookup: lookup,
		MaxRetries: 1,
	})
	if err != nil {
		return nil, err
	}
	if name, version, ok := strings.Cut(cfg.UserAgent, "/"); ok {
		d.core.SetAppInfo(name, version)
	} else if cfg.UserAgent != "" {
		return nil, fmt.Errorf("user agent %q: want NAME/VERSION", cfg.UserAgent)
	}
	return d, nil
}

// ownTransport returns a transport for many large bodies. HTTP/2 is left out: it would put all of them on one connection.
func ownTransport(cfg Config) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	return &http.Transport{
		DialContext:           stallingDial(dialer, stallTimeout),
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: stallTimeout,
		ExpectContinueTimeout: 0,
		MaxIdleConns:          0,
		MaxIdleConnsPerHost:   idleConns,
		IdleConnTimeout:       idleTimeout,
		DisableCompression:    true, // the bytes of the object are wanted, as they are
		WriteBufferSize:       64 << 10,
		ReadBufferSize:        64 << 10,
		Protocols:             protocols,
	}
}
