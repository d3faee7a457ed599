package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	certName = "api.crt"
	keyName  = "api.key"
	// certLife is how long a certificate that the node makes for itself is good. Nobody renews it by itself: a new one is made in its last month when the node starts.
	certLife  = 825 * 24 * time.Hour
	certRenew = 30 * 24 * time.Hour
)

// loadCertificate returns the certificate of the API in the state folder dir: api.crt and api.key, which the owner may replace with others, or one that the node signs itself for
// its host name and this machine.
func loadCertificate(dir string, now time.Time) (tls.Certificate, error) {
	cert, key := filepath.Join(dir, certName), filepath.Join(dir, keyName)
	c, err := tls.LoadX509KeyPair(cert, key)
	switch {
	case absent(cert) && absent(key):
	case err != nil:
		return c, fmt.Errorf("certificate of the API: %w", err)
	default:
		x, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			return c, fmt.Errorf("%s: %w", cert, err)
		}
		ours := x.Issuer.String() == x.Subject.String() && len(x.Subject.Organization) == 1 && x.Subject.Organization[0] == certOwner
		if !ours || now.Before(x.NotAfter.Add(-certRenew)) {
			return c, nil
		}
	}
	if err := makeCertificate(cert, key, now); err != nil {
		return c, fmt.Errorf("make the certificate of the API: %w", err)
	}
	return tls.LoadX509KeyPair(cert, key)
}

// openCertificate reads the certificate where it is not in use yet, and returns a tls.Config.GetCertificate of the one that is in use by then.
func (n *Node) openCertificate() (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	if n.certificate.Load() == nil {
		c, err := loadCertificate(n.cfg.StateDir, time.Now())
		if err != nil {
			return nil, err
		}
		n.certificate.Store(&c)
	}
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return n.certificate.Load(), nil }, nil
}

// absent says whether there is no such file.
func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

const certOwner = "Tradewind node, self-signed"

func makeCertificate(cert, key string, now time.Time) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host, Organization: []string{certOwner}}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true, IsCA: true,
		DNSNames: []string{host, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &private.PublicKey, private)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	// The key first: a certificate without its key would be an error ever after.
	if err := replaceFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return err
	}
	return replaceFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// replaceFile writes a file with mode 0600, whole or not at all.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
