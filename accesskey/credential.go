package accesskey

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// redacted stands for secrets in every text.
const redacted = "[redacted]"

// MaxID is the longest key id, in bytes.
const MaxID = 128

// maxSecret is the longest secret that is taken, in bytes.
const maxSecret = 1024

// Credential is what a client authenticates with. Printing one, also as JSON or in a log, leaves the secret out.
type Credential struct {
	ID     string
	Secret string `json:"-"`
}

// Generate makes a credential with a random secret of 256 bits, and with a random id if id is empty. The secret exists nowhere else: show it once, or keep it.
func Generate(id string) (Credential, error) {
	if id == "" {
		var b [12]byte
		rand.Read(b[:])
		id = "ak_" + base64.RawURLEncoding.EncodeToString(b[:])
	}
	if err := checkID(id); err != nil {
		return Credential{}, err
	}
	var b [32]byte
	rand.Read(b[:])
	return Credential{ID: id, Secret: base64.RawURLEncoding.EncodeToString(b[:])}, nil
}

// ParseCredential reads "id:secret". Its errors do not repeat any part of the text.
func ParseCredential(text string) (Credential, error) {
	id, secret, ok := strings.Cut(text, ":")
	if !ok {
		return Credential{}, errors.New("a credential has the form id:secret")
	}
	c := Credential{ID: id, Secret: secret}
	return c, c.check()
}

// ParseToken reads an authorization token of the form "Basic BASE64(id:secret)", the word in either case. Its errors do not repeat any part of the token.
func ParseToken(token string) (Credential, error) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(token), " ")
	if !strings.EqualFold(scheme, "basic") {
		return Credential{}, errors.New(`want "Basic " and the base64 form of id:secret, "Bearer " and a bearer token, or a transfer token that a node has made`)
	}
	rest = strings.TrimRight(strings.TrimSpace(rest), "=")
	text, err := base64.RawStdEncoding.DecodeString(rest)
	if err != nil {
		text, err = base64.RawURLEncoding.DecodeString(rest)
	}
	if err != nil {
		return Credential{}, errors.New("the token's second part is not base64")
	}
	return ParseCredential(string(text))
}

// Token returns the form that ParseToken reads. It holds the secret.
func (c Credential) Token() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.ID+":"+c.Secret))
}

func (c Credential) check() error {
	if err := checkID(c.ID); err != nil {
		return err
	}
	if c.Secret == "" || len(c.Secret) > maxSecret {
		return fmt.Errorf("a secret has 1 to %d bytes", maxSecret)
	}
	// With it the secret is another one, and all that its owner would be told is that it is wrong.
	if strings.ContainsAny(c.Secret, "\r\n") {
		return errors.New("a secret has no line break; echo adds one before base64, printf %s does not")
	}
	return nil
}

// checkID allows what can stand in "id:secret", in a log line and in a file name.
func checkID(id string) error {
	if id == "" || len(id) > MaxID {
		return fmt.Errorf("a key id has 1 to %d characters", MaxID)
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || strings.IndexByte(`:/\"`, c) >= 0 {
			return errors.New(`a key id consists of printable ASCII characters without blank, ':', '/', '\' and '"'`)
		}
	}
	return nil
}

// String returns the id and hides the secret.
func (c Credential) String() string { return c.ID + ":" + redacted }

// GoString is String, for %#v.
func (c Credential) GoString() string { return "accesskey.Credential{" + c.String() + "}" }

// LogValue hides the secret from logs.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// weakness says why a secret may be guessed, or returns "". It judges by the alphabet that the secret seems to be drawn from, so
// it takes every random secret of 128 bits for what it is, and may take a long phrase for stronger than it is.
func weakness(secret string) string {
	var lower, upper, digit, other, beyondHex bool
	distinct := map[byte]bool{}
	for i := range len(secret) {
		c := secret[i]
		distinct[c] = true
		switch {
		case '0' <= c && c <= '9':
			digit = true
		case 'a' <= c && c <= 'z':
			lower = true
			beyondHex = beyondHex || c > 'f'
		case 'A' <= c && c <= 'Z':
			upper = true
			beyondHex = beyondHex || c > 'F'
		default:
			other = true
		}
	}
	bits := 0.0 // of a character
	switch {
	case other:
		bits = 6
	case digit && !lower && !upper:
		bits = 3.32
	case !beyondHex && lower != upper:
		bits = 4
	case lower && upper:
		bits = 5.7
	default:
		bits = 5
	}
	if float64(len(secret))*bits < 127 || len(distinct) < 8 {
		return "the secret has less than 128 bits and may be guessed; let one be generated"
	}
	return ""
}
