package s3

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/internal/testservers"
	"github.com/tradewind-io/tradewind/objstore"
)

func TestStorageClass(t *testing.T) {
	for _, c := range []struct {
		name, class string
		cfg         func() Config
	}{
		{"moto", "STANDARD_IA", func() Config { return place(t, servers.Moto(t), Generic) }},
		{"minio", "REDUCED_REDUNDANCY", func() Config { return place(t, servers.MinIO(t), MinIO) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := c.cfg()
			plain := open(t, cfg)
			cfg.StorageClass = c.class
			d := open(t, cfg)
			put(t, plain, "plain", "x", objstore.PutOptions{})
			put(t, d, "put", "x", objstore.PutOptions{})
			upload(t, d, "upload", []byte("x"), 1, objstore.PutOptions{})
			_, err := d.Copy(t.Context(), "plain", "", "copy", nil)
			require.NoError(t, err)
			for key, want := range map[string]string{"plain": "", "put": c.class, "upload": c.class, "copy": c.class} {
				obj, err := d.Stat(t.Context(), key)
				require.NoError(t, err)
				require.Equal(t, want, obj.Class, key)
				page, err := d.List(t.Context(), objstore.ListOptions{Prefix: key})
				require.NoError(t, err)
				require.Equal(t, want, page.Objects[0].Class, "list %s", key)
			}
		})
	}
	cfg := place(t, servers.MinIO(t), MinIO)
	cfg.StorageClass = "STANDARD_IA"
	_, err := open(t, cfg).Put(t.Context(), "k", section("x"), objstore.PutOptions{})
	require.Equal(t, objstore.Invalid, objstore.KindOf(err), "%v", err)
}

// headerOf asks the store what an object's answer says.
func headerOf(t *testing.T, d *driver, key, name string) string {
	t.Helper()
	info, err := d.core.StatObject(t.Context(), d.cfg.Bucket, key, minio.StatObjectOptions{ServerSideEncryption: d.customer()})
	require.NoError(t, err)
	return info.Headers.Get(name)
}

func TestSSE(t *testing.T) {
	const header = "X-Amz-Server-Side-Encryption"
	s := servers.MinIO(t)
	for _, c := range []struct {
		sse       SSE
		want, key string
	}{
		{SSE{Mode: SSES3}, "AES256", ""},
		{SSE{Mode: SSEKMS, KeyID: s.KMSKey, Context: map[string]string{"project": "x"}}, "aws:kms", s.KMSKey},
	} {
		t.Run(c.want, func(t *testing.T) {
			cfg := place(t, s, MinIO)
			cfg.SSE = c.sse
			d := open(t, cfg)
			data := bytes.Repeat([]byte("0123456789"), 600<<10)
			put(t, d, "put", "text", objstore.PutOptions{})
			upload(t, d, "upload", data, 5<<20, objstore.PutOptions{})
			_, err := d.Copy(t.Context(), "upload", "", "copy", nil)
			require.NoError(t, err)
			for _, key := range []string{"put", "upload", "copy"} {
				require.Equal(t, c.want, headerOf(t, d, key, header), key)
				require.Contains(t, headerOf(t, d, key, header+"-Aws-Kms-Key-Id"), c.key)
			}
			require.Equal(t, string(data), get(t, d, "copy"))
		})
	}
}

// tlsMinIO starts a MinIO with a certificate made for it: it takes customer keys over TLS only.
func tlsMinIO(t *testing.T) (cfg Config) {
	t.Helper()
	bin, err := testservers.Path("", testservers.MinIOName)
	if err != nil {
		servers.MinIO(t) // skips or fails as it must
	}
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "public.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "private.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(cert)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	cmd := exec.Command(bin, "server", "--quiet", "--address", addr, "--certs-dir", dir, filepath.Join(dir, "data"))
	cmd.Env = []string{"HOME=" + dir, "MINIO_ROOT_USER=tlsadmin", "MINIO_ROOT_PASSWORD=tlssecret", "MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CALLHOME_ENABLE=off"}
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }() // it is killed
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })

	cfg = Config{Endpoint: addr, Bucket: "tls", Profile: MinIO, RootCAs: roots, Credentials: Static{AccessKey: "tlsadmin", SecretKey: "tlssecret"}}
	transport := ownTransport(cfg)
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := client.Get("https://" + addr + "/minio/health/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case <-ended:
			t.Fatal("MinIO ended at once")
		case <-t.Context().Done():
			t.Fatal("MinIO does not answer")
		case <-tick.C:
		}
	}
	c, err := minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4("tlsadmin", "tlssecret", ""), Secure: true, Transport: transport})
	require.NoError(t, err)
	require.NoError(t, c.MakeBucket(t.Context(), cfg.Bucket, minio.MakeBucketOptions{}))
	return cfg
}

func TestCustomerKey(t *testing.T) {
	cfg := tlsMinIO(t)
	plain := open(t, cfg)
	put(t, plain, "plain", "text", objstore.PutOptions{}) // the unsigned payload over TLS
	require.Equal(t, "text", get(t, plain, "plain"))

	cfg.SSE = SSE{Mode: SSEC, Key: [32]byte{1, 2, 3}}
	d := open(t, cfg)
	require.Equal(t, MD5, d.cfg.Checksum)
	data := bytes.Repeat([]byte("0123456789"), 600<<10)
	attr := objstore.Attr{Mtime: time.Unix(5, 5).UTC()}
	put(t, d, "put", "text", objstore.PutOptions{Attr: attr})
	upload(t, d, "upload", data, 5<<20, objstore.PutOptions{Attr: attr})
	require.Equal(t, "text", get(t, d, "put"))
	require.Equal(t, string(data), get(t, d, "upload"))
	r, obj, err := d.Read(t.Context(), "upload", 5<<20-3, 6, "")
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Equal(t, string(data[5<<20-3:5<<20+3]), string(text))
	require.Equal(t, attr.Mtime, obj.Attr.Mtime)

	cfg.SSE.Key = [32]byte{9}
	other := open(t, cfg)
	for _, wrong := range []*driver{plain, other} {
		_, err = wrong.Stat(t.Context(), "put")
		require.Error(t, err, "another key, or none, must not do")
		_, _, err = wrong.Read(t.Context(), "put", 0, -1, "")
		require.Error(t, err)
	}

	// From one key to another, as a whole and by ranges.
	_, err = d.Copy(t.Context(), "put", "", "same key", nil)
	require.NoError(t, err)
	require.Equal(t, "text", get(t, d, "same key"))
	_, err = other.CopyFrom(t.Context(), d, "upload", "", "other key", nil)
	require.NoError(t, err)
	require.Equal(t, string(data), get(t, other, "other key"))
	other.copyMax = 5 << 20
	obj, err = other.CopyFrom(t.Context(), d, "upload", "", "by ranges", nil)
	require.NoError(t, err)
	require.Equal(t, attr.Mtime, obj.Attr.Mtime)
	require.Equal(t, string(data), get(t, other, "by ranges"))

	cfg.Insecure = true
	_, err = New(cfg)
	require.ErrorContains(t, err, "TLS")
}

// TestListOddMetadata has a name of metadata that MinIO writes into its XML as it is, which nobody can read then.
func TestListOddMetadata(t *testing.T) {
	d := open(t, place(t, servers.MinIO(t), MinIO))
	good := objstore.Attr{Mtime: time.Unix(5, 5).UTC(), Metadata: map[string]string{"a.b-c_d": "José <&>  x "}}
	put(t, d, "good", "x", objstore.PutOptions{Attr: good})
	page, err := d.List(t.Context(), objstore.ListOptions{})
	require.NoError(t, err)
	require.Equal(t, good, page.Objects[0].Attr)

	odd := objstore.Attr{Metadata: map[string]string{"a$b": "x"}}
	put(t, d, "odd", "x", objstore.PutOptions{Attr: odd})
	page, err = d.List(t.Context(), objstore.ListOptions{})
	require.NoError(t, err)
	require.Len(t, page.Objects, 2)
	require.False(t, page.Objects[0].HasAttr, "the list does without")
	obj, err := d.Stat(t.Context(), "odd")
	require.NoError(t, err)
	require.Equal(t, odd, obj.Attr)
}

func TestUploadsOfMinIO(t *testing.T) {
	d := open(t, place(t, servers.MinIO(t), MinIO))
	var ids []string
	for _, key := range []string{"dir/a", "dir/b", "other"} {
		u, err := d.Begin(t.Context(), objstore.Upload{Key: key}, objstore.PutOptions{})
		require.NoError(t, err)
		ids = append(ids, u.ID)
	}
	for prefix, want := range map[string][]string{"": ids, "dir/": ids[:2], "dir/a": ids[:1], "x": nil} {
		list, next, err := d.Uploads(t.Context(), prefix, "")
		require.NoError(t, err)
		require.Empty(t, next)
		var got []string
		for _, u := range list {
			got = append(got, u.ID)
			require.False(t, u.Begun.IsZero())
		}
		require.ElementsMatch(t, want, got, "prefix %q", prefix)
	}
}

func TestBucketMissing(t *testing.T) {
	for _, cfg := range []Config{place(t, servers.MinIO(t), MinIO), place(t, servers.VersityGW(t), Generic), place(t, servers.Moto(t), Generic)} {
		cfg.Bucket = "not-there"
		d := open(t, cfg)
		var e *objstore.Error
		_, err := d.Stat(t.Context(), "k")
		require.ErrorAs(t, err, &e)
		require.Equal(t, objstore.NotFound, e.Kind, "%v", err)
		require.Empty(t, e.Key, "%v", err)
		_, err = d.Put(t.Context(), "k", section("x"), objstore.PutOptions{})
		require.ErrorAs(t, err, &e)
		require.Equal(t, objstore.NotFound, e.Kind, "%v", err)
		require.Empty(t, e.Key, "%v", err)
		_, err = d.List(t.Context(), objstore.ListOptions{})
		require.ErrorIs(t, err, objstore.ErrNotFound)
	}
}

// TestChecksums has every server take every checksum, and refuse a wrong one where it verifies it.
func TestChecksums(t *testing.T) {
	for _, s := range []*testservers.Server{servers.MinIO(t), servers.VersityGW(t)} {
		for _, sum := range []Checksum{MD5, CRC32C, SHA256, None} {
			t.Run(s.Name+" "+sum.String(), func(t *testing.T) {
				cfg := place(t, s, Generic)
				cfg.Checksum = sum
				d := open(t, cfg)
				data := bytes.Repeat([]byte("0123456789"), 600<<10)
				put(t, d, "put", "text", objstore.PutOptions{})
				put(t, d, "empty", "", objstore.PutOptions{})
				upload(t, d, "upload", data, 5<<20, objstore.PutOptions{})
				require.Equal(t, "text", get(t, d, "put"))
				require.Equal(t, string(data), get(t, d, "upload"))
				if sum == None {
					return
				}
				// The bytes change between the checksum and the sending, as they would in bad memory.
				u, err := d.Begin(t.Context(), objstore.Upload{Key: "bad"}, objstore.PutOptions{})
				require.NoError(t, err)
				_, err = d.PutPart(t.Context(), u, objstore.PartSpec{}, io.NewSectionReader(&changing{}, 0, 100))
				require.Equal(t, objstore.Corrupt, objstore.KindOf(err), "%v", err)
				_, err = d.Put(t.Context(), "bad", io.NewSectionReader(&changing{}, 0, 100), objstore.PutOptions{})
				require.Equal(t, objstore.Corrupt, objstore.KindOf(err), "%v", err)
				_, err = d.Stat(t.Context(), "bad")
				require.ErrorIs(t, err, objstore.ErrNotFound)
			})
		}
	}
}

// changing returns other bytes every time.
type changing struct{ n byte }

func (c *changing) ReadAt(p []byte, _ int64) (int, error) {
	c.n++
	for i := range p {
		p[i] = c.n
	}
	return len(p), nil
}
