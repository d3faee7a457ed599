package objstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHostileHeader asks for more than a key may cost, or for what is not known: it is refused before a key is made.
func TestHostileHeader(t *testing.T) {
	h := header{params: kdfParams{3, 64 << 10, 4}}
	for name, c := range map[string]struct {
		change func(b []byte)
		err    error
	}{
		"no passes":             {func(b []byte) { binary.BigEndian.PutUint32(b[12:], 0) }, ErrTampered},
		"many passes":           {func(b []byte) { binary.BigEndian.PutUint32(b[12:], maxKDFTime+1) }, ErrTampered},
		"terabytes":             {func(b []byte) { binary.BigEndian.PutUint32(b[16:], 1<<32-1) }, ErrTampered},
		"a little too much":     {func(b []byte) { binary.BigEndian.PutUint32(b[16:], maxKDFMemory+1) }, ErrTampered},
		"too little for argon2": {func(b []byte) { binary.BigEndian.PutUint32(b[16:], 31) }, ErrTampered},
		"no threads":            {func(b []byte) { binary.BigEndian.PutUint32(b[20:], 0) }, ErrTampered},
		"256 threads":           {func(b []byte) { binary.BigEndian.PutUint32(b[20:], 256) }, ErrTampered},
		"padding":               {func(b []byte) { b[fieldsSize] = 1 }, ErrTampered},
		"version":               {func(b []byte) { b[8]++ }, ErrUnsupported},
		"cipher":                {func(b []byte) { b[9]++ }, ErrUnsupported},
		"key derivation":        {func(b []byte) { b[10]++ }, ErrUnsupported},
		"segment size":          {func(b []byte) { b[11]++ }, ErrUnsupported},
		"magic":                 {func(b []byte) { b[0]++ }, ErrNotEncrypted},
	} {
		t.Run(name, func(t *testing.T) {
			b := append(h.encode(), make([]byte, 100)...)
			c.change(b)
			f := newFake()
			w := fixed(t, f)
			f.set("k", b, Attr{})
			_, _, err := w.Read(t.Context(), "k", 0, -1, "")
			require.ErrorIs(t, err, c.err)
			require.Empty(t, w.ring.keys.m, "no key was made")
		})
	}
}

// TestKeysAreMadeOnce counts keys: one for all that a Driver value writes, and one for each other that it reads from.
func TestKeysAreMadeOnce(t *testing.T) {
	f := newFake()
	body := func() *io.SectionReader { return io.NewSectionReader(bytes.NewReader([]byte("text")), 0, 4) }
	reader := fixed(t, f)
	reader.ring.own.salt[0]++
	for n := range 3 {
		w := fixed(t, f)
		w.ring.own.salt[5] = byte(n)
		var first []byte
		for i := range 4 {
			key := fmt.Sprint(n, "/", i)
			_, err := w.Put(t.Context(), key, body(), PutOptions{})
			require.NoError(t, err)
			if i == 0 {
				first = w.ring.ownKey
			}
			require.Same(t, &first[0], &w.ring.ownKey[0])
			rc, _, err := reader.Read(t.Context(), key, 0, -1, "")
			require.NoError(t, err)
			require.NoError(t, rc.Close())
		}
		require.Empty(t, w.ring.keys.m)
	}
	require.Len(t, reader.ring.keys.m, 3)
	require.Nil(t, reader.ring.ownKey, "who only reads needs no key for writing")
}

// BenchmarkOpen reads an object of 16 MiB, decrypted by one goroutine. See BenchmarkSeal.
func BenchmarkOpen(b *testing.B) {
	src := make([]byte, 16<<20)
	w := fixed(b, newFake())
	_, err := w.Put(b.Context(), "k", io.NewSectionReader(bytes.NewReader(src), 0, int64(len(src))), PutOptions{})
	require.NoError(b, err)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		rc, _, err := w.Read(b.Context(), "k", 0, -1, "")
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, rc)
		require.NoError(b, err)
		require.NoError(b, rc.Close())
	}
}
