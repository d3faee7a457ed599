package s3

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tradewind-io/tradewind/objstore"
)

// TestWire checks what goes over plain HTTP: the bytes as they are, unsigned unless asked for, with the checksum in a header.
func TestWire(t *testing.T) {
	const text = "the bytes"
	sum := binary.BigEndian.AppendUint32(nil, crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
	for _, c := range []struct {
		checksum          Checksum
		sha, md5, crc32c  string
		beginsWithSumName string
	}{
		{None, "UNSIGNED-PAYLOAD", "", "", ""},
		{MD5, "UNSIGNED-PAYLOAD", "zhqk4ZgIC9ozrgQeoVWr+A==", "", ""},
		{CRC32C, "UNSIGNED-PAYLOAD", "", base64.StdEncoding.EncodeToString(sum), "CRC32C"},
		{SHA256, "sha256", "", "", ""},
	} {
		t.Run(c.checksum.String(), func(t *testing.T) {
			var mu sync.Mutex
			var got *http.Request
			var body []byte
			d := fake(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				got = r
				body, _ = io.ReadAll(r.Body)
				w.Header().Set("ETag", `"e"`)
				if r.Method == http.MethodPost {
					io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>")
				}
			}, func(cfg *Config) { cfg.Checksum = c.checksum })
			check := func() {
				require.Equal(t, text, string(body), "no framing")
				require.EqualValues(t, len(text), got.ContentLength)
				require.Empty(t, got.TransferEncoding)
				require.Empty(t, got.Header.Get("Content-Encoding"))
				require.Empty(t, got.Header.Get("X-Amz-Trailer"))
				if c.sha == "sha256" {
					require.Len(t, got.Header.Get("X-Amz-Content-Sha256"), 64)
				} else {
					require.Equal(t, c.sha, got.Header.Get("X-Amz-Content-Sha256"))
				}
				require.Equal(t, c.crc32c, got.Header.Get(crc32cHeader))
				require.Equal(t, c.md5 != "", got.Header.Get("Content-Md5") != "")
			}
			_, err := d.Put(t.Context(), "k", section(text), objstore.PutOptions{})
			require.NoError(t, err)
			check()
			u, err := d.Begin(t.Context(), objstore.Upload{Key: "k"}, objstore.PutOptions{})
			require.NoError(t, err)
			require.Equal(t, c.beginsWithSumName, got.Header.Get("X-Amz-Checksum-Algorithm"))
			_, err = d.PutPart(t.Context(), u, objstore.PartSpec{N: 6}, section(text))
			require.NoError(t, err)
			check()
			require.Equal(t, "7", got.URL.Query().Get("partNumber"), "S3 counts from 1")
		})
	}
}

// TestSumReturned checks that a store which computed another sum is not believed.
func TestSumReturned(t *testing.T) {
	d := fake(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("ETag", `"e"`)
		w.Header().Set(crc32cHeader, "AAAAAA==")
	})
	_, err := d.Put(t.Context(), "k", section("x"), objstore.PutOptions{})
	require.Equal(t, objstore.Corrupt, objstore.KindOf(err), "%v", err)
	_, err = d.PutPart(t.Context(), objstore.Upload{Key: "k", ID: "i"}, objstore.PartSpec{}, section("x"))
	require.Equal(t, objstore.Corrupt, objstore.KindOf(err), "%v", err)
}

// guarded fails the test when it is read after the call that it was given to has returned.
type guarded struct {
	mu   sync.Mutex
	over bool
	late int
}

func (g *guarded) ReadAt(p []byte, _ int64) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		g.late++
	}
	return len(p), nil
}

func TestBodyNotReadLater(t *testing.T) {
	d := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		refuse(403, "AccessDenied")(w, &http.Request{Body: http.NoBody, Method: "PUT"})
	},
		func(c *Config) { c.Checksum = None })
	g := &guarded{}
	_, err := d.Put(t.Context(), "k", io.NewSectionReader(g, 0, 1<<30), objstore.PutOptions{})
	require.Error(t, err)
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
	require.NoError(t, d.Close())
	g.mu.Lock()
	defer g.mu.Unlock()
	require.Zero(t, g.late)
}

// roundTrip is a transport without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestAddressing checks where requests go, the listings that are asked for here among them.
func TestAddressing(t *testing.T) {
	for _, c := range []struct {
		name     string
		cfg      Config
		put, get string // URLs without the query
		region   string // that the signature is for
	}{
		{
			"aws",
			Config{Endpoint: "s3.amazonaws.com", Profile: AWS, Region: "eu-west-1"},
			"https://bucket.s3.dualstack.eu-west-1.amazonaws.com/k", "https://bucket.s3.eu-west-1.amazonaws.com/", "eu-west-1",
		},
		{
			"aws finds the region",
			Config{Endpoint: "s3.amazonaws.com", Profile: AWS},
			"https://bucket.s3.dualstack.ap-south-1.amazonaws.com/k", "https://bucket.s3.ap-south-1.amazonaws.com/", "ap-south-1",
		},
		{
			"aws by path",
			Config{Endpoint: "s3.eu-west-1.amazonaws.com", Profile: AWS, Addressing: PathStyle},
			"https://s3.dualstack.eu-west-1.amazonaws.com/bucket/k", "https://s3.eu-west-1.amazonaws.com/bucket/", "eu-west-1",
		},
		{
			"generic",
			Config{Endpoint: "store.example.com:443"},
			"https://store.example.com/bucket/k", "https://store.example.com/bucket/", "us-east-1",
		},
		{
			"generic by host",
			Config{Endpoint: "store.example.com:8443", Addressing: HostStyle, Region: "x"},
			"https://bucket.store.example.com:8443/k", "https://bucket.store.example.com:8443/", "x",
		},
		{
			"insecure",
			Config{Endpoint: "store.example.com:80", Insecure: true},
			"http://store.example.com/bucket/k", "http://store.example.com/bucket/", "us-east-1",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var seen []*http.Request
			c.cfg.Bucket = "bucket"
			c.cfg.Credentials = Static{AccessKey: "AK", SecretKey: "SK"}
			c.cfg.UserAgent = "tradewind/1"
			c.cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				text := "<ListBucketResult></ListBucketResult>"
				if _, ok := r.URL.Query()["location"]; ok {
					text = "<LocationConstraint>ap-south-1</LocationConstraint>"
				} else {
					seen = append(seen, r)
				}
				return &http.Response{StatusCode: 200, Header: http.Header{"Etag": {"e"}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
			})
			d := open(t, c.cfg)
			_, err := d.Put(t.Context(), "k", section("x"), objstore.PutOptions{})
			require.NoError(t, err)
			_, err = d.List(t.Context(), objstore.ListOptions{})
			require.NoError(t, err)
			require.Len(t, seen, 2)
			for i, want := range []string{c.put, c.get} {
				u := *seen[i].URL
				u.RawQuery = ""
				require.Equal(t, want, u.String())
				require.Contains(t, seen[i].Header.Get("Authorization"), "/"+c.region+"/s3/aws4_request")
			}
			require.Contains(t, seen[0].Header.Get("User-Agent"), "tradewind/1")
		})
	}
}

// TestFirstListVersion has a store that knows the first version of listing only, and names no marker.
func TestFirstListVersion(t *testing.T) {
	for _, profile := range []Profile{ActiveArchive, Generic} {
		var asked []string
		d := fake(t, func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			asked = append(asked, q.Get("list-type")+" "+q.Get("marker"))
			switch q.Get("marker") {
			case "":
				io.WriteString(w, "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a</Key></Contents><CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes></ListBucketResult>")
			case "b/":
				io.WriteString(w, "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>c</Key></Contents></ListBucketResult>")
			}
		}, func(c *Config) { c.Profile = profile })
		page, err := d.List(t.Context(), objstore.ListOptions{Delimited: true})
		require.NoError(t, err)
		require.Len(t, page.Objects, 2)
		require.True(t, page.Objects[1].Folder)
		page, err = d.List(t.Context(), objstore.ListOptions{Delimited: true, Token: page.Next})
		require.NoError(t, err)
		require.Len(t, page.Objects, 1)
		require.Empty(t, page.Next)
		first := map[Profile]string{ActiveArchive: " ", Generic: "2 "}[profile]
		require.Equal(t, []string{first, " b/"}, asked)
		_, err = d.List(t.Context(), objstore.ListOptions{Token: "made up"})
		require.Equal(t, objstore.Invalid, objstore.KindOf(err))
	}
}
