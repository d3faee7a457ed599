package fasp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Fingerprint is the SHA-256 of a public key in SubjectPublicKeyInfo form: a server's identity.
type Fingerprint [sha256.Size]byte

// String returns "sha256:" and 64 hexadecimal digits.
func (f Fingerprint) String() string { return "sha256:" + hex.EncodeToString(f[:]) }

// ParseFingerprint reads what String writes; the hexadecimal digits may be of either case.
func ParseFingerprint(s string) (f Fingerprint, err error) {
	digits, ok := strings.CutPrefix(s, "sha256:")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(f) {
		return f, fmt.Errorf("fingerprint %q: want sha256: and 64 hexadecimal digits", s)
	}
	return Fingerprint(b), nil
}

// PinnedKey accepts only the server with the given fingerprint. It is for Config.VerifyServer.
func PinnedKey(want Fingerprint) func(Fingerprint) error {
	return func(got Fingerprint) error {
		if got != want {
			return fmt.Errorf("the server's key is %v, expected %v", got, want)
		}
		return nil
	}
}

// Identity is a server's private key with the certificate that carries it in the handshake. It is immutable.
type Identity struct {
	cert  tls.Certificate
	fp    Fingerprint
	reset []byte // key of the reset tokens
}

// NewIdentity makes a new P-256 key.
func NewIdentity() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return identityFromKey(key)
}

// ParseIdentity reads the PEM block of a PKCS #8 private key, as MarshalPEM writes it.
func ParseIdentity(data []byte) (*Identity, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("identity: no PEM block of type PRIVATE KEY")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("identity: this kind of key cannot sign")
	}
	return identityFromKey(signer)
}

func identityFromKey(key crypto.Signer) (*Identity, error) {
	// Nobody reads the certificate beside its key, so it says as little as possible and does not expire.
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	reset, err := hkdf.Key(sha256.New, pkcs8, nil, "tw reset", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return &Identity{
		reset: reset,
		cert:  tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		fp:    sha256.Sum256(leaf.RawSubjectPublicKeyInfo),
	}, nil
}

// MarshalPEM returns the private key as a PEM block. Keep it secret.
func (id *Identity) MarshalPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(id.cert.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Fingerprint returns the identity that clients pin.
func (id *Identity) Fingerprint() Fingerprint { return id.fp }
