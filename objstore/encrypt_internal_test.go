package objstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEncryptedSizes checks that stored sizes follow from plaintext sizes and back (section 61).
func TestEncryptedSizes(t *testing.T) {
	const seg = segmentSize
	for _, size := range []int64{0, 1, seg - 41, seg - 40, seg - 1, seg, seg + 1, 2*seg - 1, 2 * seg, 5 << 40} {
		got, ok := plainSize(storedSize(size))
		require.True(t, ok)
		require.Equal(t, size, got)
		require.Equal(t, size, mostPlain(storedSize(size)), "%d", size)
	}
	for limit := int64(headerSize + segmentOverhead); limit < headerSize+3*segmentStored; limit += 13 {
		most := mostPlain(limit)
		require.LessOrEqual(t, storedSize(most), limit)
		require.Greater(t, storedSize(most+1), limit)
	}
	for _, stored := range []int64{-1, 0, headerSize, headerSize + 39, headerSize + segmentStored, headerSize + segmentStored + 39} {
		_, ok := plainSize(stored)
		require.False(t, ok, "%d", stored)
	}
}

func TestEncryptedCaps(t *testing.T) {
	s3 := Caps{MaxParts: 10_000, MinPart: 5 << 20, MaxPart: 5 << 30, MaxObject: 5 << 40, MaxCopy: 5 << 30, Store: "s"}
	for _, inner := range []Caps{{}, s3, {MaxParts: 100, PartAlign: 512, MaxPart: 64 << 20}, {MaxPut: 1 << 20, MaxParts: 2}} {
		c, err := encryptedCaps(inner)
		require.NoError(t, err)
		for _, size := range []int64{-1, 1 << 30} {
			p, err := c.Plan(size, 0, 0)
			if inner.MaxParts == 2 && err != nil {
				continue
			}
			require.NoError(t, err)
			s := sealedPlan(p)
			require.True(t, s.Valid(), "%+v of %+v", s, p)
			for n := range min(max(c.MaxParts, 1), 10_000) {
				require.Equal(t, headerSize+sealedSize(p.Offset(n+1))-segmentOverhead, s.Offset(n+1), "border behind part %d", n)
				require.Zero(t, s.PartSize(n)%max(inner.PartAlign, 1))
				require.True(t, inner.MaxPart == 0 || s.PartSize(n)+segmentOverhead <= inner.MaxPart)
				require.GreaterOrEqual(t, s.PartSize(n), inner.MinPart)
			}
		}
		require.True(t, inner.MaxObject == 0 || storedSize(c.MaxObject) <= inner.MaxObject)
	}
	for _, bad := range []Caps{{PartAlign: 1024}, {MaxPart: 1000}, {MaxObject: 500}, {MaxParts: 1}} {
		_, err := encryptedCaps(bad)
		require.Error(t, err, "%+v", bad)
	}
}

// counting is randomness that can be repeated.
type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		p[i] = c.n
	}
	return len(p), nil
}

// fixed encrypts as WithEncryption does, without randomness.
func fixed(t testing.TB, d Driver) *encrypted {
	t.Helper()
	w, err := WithEncryption(d, Encryption{Passphrase: "golden passphrase", Time: 1, Memory: 8 << 10, Threads: 1})
	require.NoError(t, err)
	e := w.(*encrypted)
	e.ring.own.salt = [saltSize]byte{1, 2, 3}
	e.random = &counting{}
	return e
}

// update writes the golden object anew: go test -run Golden -update-golden.
var update = flag.Bool("update-golden", false, "write testdata/encrypted-v1.bin")

func TestGoldenObject(t *testing.T) {
	path := filepath.Join("testdata", "encrypted-v1.bin")
	plain := bytes.Repeat([]byte("tradewind "), 7000) // 70,000 bytes: two segments
	f := newFake()
	w := fixed(t, f)
	_, err := w.Put(t.Context(), "k", io.NewSectionReader(bytes.NewReader(plain), 0, int64(len(plain))), PutOptions{})
	require.NoError(t, err)
	stored := f.objects["k"].data
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o777))
		require.NoError(t, os.WriteFile(path, stored, 0o666))
	}
	golden, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(golden, stored), "the format has changed")
	rc, _, err := w.Read(t.Context(), "k", 0, -1, "")
	require.NoError(t, err)
	got, err := io.ReadAll(rc)
	require.NoError(t, err)
	require.NoError(t, rc.Close())
	require.True(t, bytes.Equal(plain, got))
}

// TestSourceThatChanges reads a body twice, with other bytes the second time: no nonce may serve both.
func TestSourceThatChanges(t *testing.T) {
	src := bytes.Repeat([]byte("x"), 3*segmentSize)
	_, seg, err := fixed(t, newFake()).newHeader(t.Context())
	require.NoError(t, err)
	s := newSealing(seg, [attemptSize]byte{}, bytes.NewReader(src), int64(len(src)))
	s.final = true
	first, err := io.ReadAll(s.section())
	require.NoError(t, err)
	again, err := io.ReadAll(s.section())
	require.NoError(t, err)
	require.True(t, bytes.Equal(first, again))
	src[segmentSize+5] = 'y'
	_, err = io.ReadAll(s.section())
	require.ErrorContains(t, err, "other bytes at 65536")
}

func TestEncryptionShowsNoSecret(t *testing.T) {
	const secret = "sesame-open"
	e := Encryption{Passphrase: secret}
	w, err := WithEncryption(newFake(), Encryption{Passphrase: secret, Time: 1, Memory: 8 << 10, Threads: 1})
	require.NoError(t, err)
	j, err := json.Marshal(struct{ E Encryption }{e})
	require.NoError(t, err)
	text := string(j) + e.LogValue().String() + e.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		text += fmt.Sprintf(strings.Repeat(verb, 3), e, &e, struct{ E Encryption }{e})
		text += fmt.Sprintf(verb, w) + fmt.Sprintf(verb, WithPrefix(w, "p/"))
	}
	require.NotContains(t, text, secret)
	require.NotContains(t, strings.ToLower(text), fmt.Sprintf("%x", secret))
	require.NotContains(t, text, fmt.Sprint([]byte(secret)))
}

func FuzzEncryptionHeader(f *testing.F) {
	h := header{params: kdfParams{1, 8, 1}}
	h.sealHeader(make([]byte, 32))
	f.Add(h.encode())
	f.Add([]byte(headerMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeader(b)
		if err != nil {
			require.True(t, errors.Is(err, ErrNotEncrypted) || errors.Is(err, ErrTampered) || errors.Is(err, ErrUnsupported))
			return
		}
		require.Equal(t, b, h.encode())
		require.LessOrEqual(t, h.params.memory, uint32(maxKDFMemory))
	})
}

func FuzzEncryptedUploadID(f *testing.F) {
	h := header{params: kdfParams{1, 8, 1}}
	f.Add(uploadID(&h, "inner"))
	f.Add("e0.inner")
	f.Fuzz(func(t *testing.T, id string) {
		h, inner, err := parseUploadID(id)
		switch {
		case err != nil:
		case h == nil:
			require.Equal(t, id, idWithout+inner)
		default:
			require.Equal(t, id, uploadID(h, inner))
		}
	})
}

// BenchmarkSeal encrypts bodies of 16 MiB as drivers read them, with one goroutine:
//
//	go test -run '^$' -bench 'Seal|Open' ./objstore
func BenchmarkSeal(b *testing.B) {
	src := make([]byte, 16<<20)
	_, seg, err := fixed(b, newFake()).newHeader(b.Context())
	require.NoError(b, err)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		s := newSealing(seg, [attemptSize]byte{}, bytes.NewReader(src), int64(len(src)))
		_, err := io.Copy(io.Discard, s.section())
		require.NoError(b, err)
	}
}
