package accesskey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// Master is the key that a node seals its secrets with: verifiers, storage credentials, tokens. It is 32 random bytes, and never printed. The
// zero Master seals with a key that everybody knows; use LoadMaster or NewMaster.
type Master [32]byte

// NewMaster returns a new random key.
func NewMaster() (m Master) {
	rand.Read(m[:]) // never fails
	return m
}

const masterName = "master.key"

// LoadMaster is ReadMaster, and makes the file, for its owner alone, if it is not there. Several processes may do so at once and get the same.
func LoadMaster(dir string) (Master, error) {
	m, err := ReadMaster(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	if err := makeMaster(dir); err != nil {
		return Master{}, fmt.Errorf("make the master key: %w", err)
	}
	return ReadMaster(dir)
}

// makeMaster writes a new key, durably, unless somebody else was faster.
func makeMaster(dir string) error {
	m := NewMaster()
	f, err := os.CreateTemp(dir, masterName+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(m[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link does not replace what is there.
	if err := os.Link(f.Name(), filepath.Join(dir, masterName)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// ReadMaster reads master.key in the folder dir. Errors: one that matches fs.ErrNotExist without it, ErrCorrupt if it is damaged.
func ReadMaster(dir string) (Master, error) {
	path := filepath.Join(dir, masterName)
	text, err := os.ReadFile(path)
	if err != nil {
		return Master{}, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != len(Master{}) {
		return Master{}, fmt.Errorf("%s: want 32 bytes in base64: %w", path, ErrCorrupt)
	}
	return Master(key), nil
}

// Derive returns 32 bytes for one purpose, which say nothing of the key or of other purposes.
func (m Master) Derive(purpose string) []byte {
	b, err := hkdf.Key(sha256.New, m[:], nil, purpose, 32)
	if err != nil {
		panic("BUG: accesskey: HKDF of 32 bytes: " + err.Error())
	}
	return b
}

// aead returns the cipher for one purpose; keys of different purposes say nothing about each other.
func (m Master) aead(purpose string) cipher.AEAD {
	key := m[:]
	if purpose != "" {
		key = m.Derive(purpose)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("BUG: accesskey: AES-256: " + err.Error())
	}
	a, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("BUG: accesskey: GCM: " + err.Error())
	}
	return a
}

// Seal encrypts plain for what label names: it opens under the same label only. At most 2^32 seals are safe.
func (m Master) Seal(label string, plain []byte) []byte {
	return m.aead("").Seal(nil, nil, plain, []byte(label))
}

// Open returns what was sealed. The error is ErrCorrupt, whatever is wrong.
func (m Master) Open(label string, sealed []byte) ([]byte, error) {
	plain, err := m.aead("").Open(nil, nil, sealed, []byte(label))
	if err != nil {
		return nil, errNotOpened
	}
	return plain, nil
}

// errNotOpened: which of the two it is cannot be told.
var errNotOpened = fmt.Errorf("sealed with another master key, or damaged: %w", ErrCorrupt)

// String hides the key.
func (Master) String() string { return redacted }

// GoString hides the key from %#v.
func (Master) GoString() string { return redacted }

// Format hides the key from every verb, %x too.
func (Master) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// LogValue hides the key from logs.
func (Master) LogValue() slog.Value { return slog.StringValue(redacted) }
