package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
)

// text writes lines as services log them, without end: a time that goes on, a level, one of a few hundred messages whose words follow Zipf's
// law, and fields with random values. The random digits of a line set how far it can be compressed; they are chosen so that
// zstd's fastest level makes blocks of 128 KiB a fifth of their size (TestText).
type text struct {
	rng      *rand.Rand
	messages []string
	at       int64 // milliseconds
	line     []byte
}

func newText(seed uint64) *text {
	t := &text{rng: rand.New(rand.NewPCG(seed, 5))}
	words := make([]string, 2000)
	for i := range words {
		n := 3 + t.rng.IntN(8)
		b := make([]byte, n)
		for j := range b {
			b[j] = "etaoinshrdlucmfwypvbgk"[int(22*math.Pow(t.rng.Float64(), 1.7))]
		}
		words[i] = string(b)
	}
	zipf := rand.NewZipf(t.rng, 1.1, 4, uint64(len(words)-1))
	for range 300 {
		m := ""
		for range 6 + t.rng.IntN(10) {
			m += " " + words[zipf.Uint64()]
		}
		t.messages = append(t.messages, m)
	}
	return t
}

// Read fills p and never fails.
func (t *text) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(t.line) == 0 {
			t.next()
		}
		k := copy(p[n:], t.line)
		t.line, n = t.line[k:], n+k
	}
	return n, nil
}

func (t *text) next() {
	t.at += t.rng.Int64N(40)
	level := [...]string{"INFO", "INFO", "INFO", "DEBUG", "DEBUG", "WARN"}[t.rng.IntN(6)]
	service := t.rng.IntN(12)
	message := t.messages[int(float64(len(t.messages))*math.Pow(t.rng.Float64(), 2))]
	s := t.at / 1000
	t.line = fmt.Appendf(t.line[:0], "2026-11-28T%02d:%02d:%02d.%03dZ %s service-%02d:%s request=%0*x took=%dms\n",
		s/3600%24, s/60%60, s%60, t.at%1000, level, service, message, randomDigits, t.rng.Uint64()>>(64-4*randomDigits), t.rng.IntN(900))
}

// randomDigits is how many hexadecimal digits of a line are random.
const randomDigits = 12

// noise is random bytes without end.
func noise(seed uint64) io.Reader {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// mixed is stretches of both in turn.
type mixed struct {
	from []io.Reader
	left int
	at   int
}

// stretch is how long content of one kind goes on in a mixed file: that of small and middling files in an archive.
const stretch = 3 << 20

func (m *mixed) Read(p []byte) (int, error) {
	if m.left == 0 {
		m.at, m.left = (m.at+1)%len(m.from), stretch
	}
	n, err := m.from[m.at].Read(p[:min(len(p), m.left)])
	m.left -= n
	return n, err
}

// content returns content of a kind.
func content(kind string) (io.Reader, error) {
	switch kind {
	case "text":
		return newText(1), nil
	case "random":
		return noise(1), nil
	case "mixed":
		return &mixed{from: []io.Reader{newText(1), noise(1)}}, nil
	}
	return nil, fmt.Errorf("no content of kind %q: want text, random or mixed", kind)
}

// write makes a file of size bytes.
func write(name, kind string, size int64) error {
	r, err := content(kind)
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = io.CopyN(w, r, size)
	return errors.Join(err, w.Flush(), f.Close())
}
