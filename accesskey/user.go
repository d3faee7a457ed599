package accesskey

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Passwords are chosen by people and are searched for by whoever steals a file of hashes, so they are kept as argon2id (RFC 9106). The cost is the second of
// the two that section 4 of the RFC recommends: 64 MiB, 3 passes, 4 lanes.
const (
	argonTime   = 3
	argonMemory = 64 << 10 // KiB
	argonLanes  = 4
	argonSalt   = 16
	argonHash   = 32
	// MinPassword is the shortest password that is taken, in characters.
	MinPassword = 12
	maxPassword = 1024 // bytes
)

// HashPassword returns what is kept of a password, in the usual form of argon2id hashes. It takes some 100 ms and 64 MiB.
func HashPassword(password string) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	salt := make([]byte, argonSalt)
	rand.Read(salt) // never fails
	return encodeHash(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonHash)), nil
}

func checkPassword(password string) error {
	if utf8.RuneCountInString(password) < MinPassword || len(password) > maxPassword {
		return fmt.Errorf("want at least %d characters, and at most %d bytes", MinPassword, maxPassword)
	}
	return nil
}

func encodeHash(salt, hash []byte) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b.EncodeToString(salt), b.EncodeToString(hash))
}

// parseHash reads a hash of the cost that HashPassword uses; others could be made to cost as much as somebody likes.
func parseHash(text string) (salt, hash []byte, err error) {
	bad := errors.New("not a password hash of this program")
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", argonMemory, argonTime, argonLanes) {
		return nil, nil, bad
	}
	salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	if err != nil || len(salt) != argonSalt {
		return nil, nil, bad
	}
	hash, err = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err != nil || len(hash) != argonHash {
		return nil, nil, bad
	}
	return salt, hash, nil
}

// Passwords checks passwords against hashes. What was right is remembered, so that a client which sends its password with each request pays once; what was wrong is
// not, and only a few checks go on at a time, so that guessing costs the node bounded memory and the guesser time. The zero Passwords is ready; safe for concurrent use.
type Passwords struct {
	once  sync.Once
	turns chan struct{}
	queue chan struct{}
	key   [32]byte // of the cache, which holds no password

	mu    sync.Mutex // guards right
	right map[[32]byte]struct{}
}

const (
	passwordTurns = 2    // checks at a time, 64 MiB each
	passwordQueue = 16   // that wait for that, some seconds at most; more are refused
	maxRight      = 4096 // remembered
)

// unknownHash is checked where there is no such user, so that this takes as long.
var unknownHash = encodeHash(make([]byte, argonSalt), make([]byte, argonHash))

// Check says whether password is the one of hash; of an empty hash none is, after the same work. It waits for its turn while ctx lasts; where too many wait already it is refused with ErrBusy.
func (p *Passwords) Check(ctx context.Context, hash, password string) (bool, error) {
	p.once.Do(func() {
		p.turns = make(chan struct{}, passwordTurns)
		p.queue = make(chan struct{}, passwordTurns+passwordQueue)
		rand.Read(p.key[:]) // never fails
	})
	known := hash != ""
	if !known {
		hash = unknownHash
	}
	salt, want, err := parseHash(hash)
	if err != nil {
		return false, err
	}
	mac := hmac.New(sha256.New, p.key[:])
	_, _ = fmt.Fprintf(mac, "%d %s%s", len(hash), hash, password)
	id := [32]byte(mac.Sum(nil))
	p.mu.Lock()
	_, right := p.right[id]
	p.mu.Unlock()
	if right {
		return true, nil
	}
	select {
	case p.queue <- struct{}{}:
		defer func() { <-p.queue }()
	default:
		return false, ErrBusy
	}
	select {
	case p.turns <- struct{}{}:
		defer func() { <-p.turns }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if len(password) > maxPassword {
		password = ""
	}
	got := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonHash)
	if subtle.ConstantTimeCompare(got, want) != 1 || !known {
		return false, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.right == nil || len(p.right) >= maxRight {
		p.right = make(map[[32]byte]struct{})
	}
	p.right[id] = struct{}{}
	return true, nil
}
