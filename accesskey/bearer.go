package accesskey

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Bearer is what a bearer token says. It is made by an application that holds a private key of its own, whose public one stands in Key.TokenKey: so
// it can give its users tokens without asking the node.
type Bearer struct {
	User    string
	Key     string // access key id, from the scope
	Admin   bool   // scope admin:all instead of user:all
	Expires time.Time
	Groups  []string
}

const (
	maxBearer      = 64 << 10 // of the token, and of what it unpacks to
	bearerMark     = "==SIGNATURE=="
	minTokenKey    = 2048 // bits
	bearerLine     = 60   // characters of the signature's lines
	bearerTimeForm = "2006-01-02T15:04:05Z"
)

// ParseTokenKey reads an RSA public key in PEM, "PUBLIC KEY" or "RSA PUBLIC KEY", of at least 2,048 bits.
func ParseTokenKey(text string) (*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("token_verification_key: want a public key in PEM")
	}
	var key *rsa.PublicKey
	if any, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		key, _ = any.(*rsa.PublicKey)
	} else if k, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
		key = k
	}
	if key == nil {
		return nil, errors.New("token_verification_key: want an RSA public key")
	}
	if n := key.N.BitLen(); n < minTokenKey {
		return nil, fmt.Errorf("token_verification_key: %d bits; want at least %d", n, minTokenKey)
	}
	return key, nil
}

// bearerJSON is the text that is signed.
type bearerJSON struct {
	User    string   `json:"user_id"`
	Scope   string   `json:"scope"`
	Type    string   `json:"auth_type"`
	Expires string   `json:"expires_at"`
	Groups  []string `json:"group_ids,omitempty"`
}

// BearerKey returns the access key that a bearer token names, without any check, so that its public key can be looked up; "" if it names none.
func BearerKey(token string) string {
	j, _, _, err := unpackBearer(token)
	if err != nil {
		return ""
	}
	key, _, _ := parseScope(j.Scope)
	return key
}

// OpenBearer checks a bearer token against the key of an application (docs/protocol-auth.md section 44). Errors: ErrAuth whatever is wrong with it, ErrExpired if it is sound and its time is over.
func OpenBearer(token string, key *rsa.PublicKey, now time.Time) (Bearer, error) {
	j, signed, signature, err := unpackBearer(token)
	if err != nil {
		return Bearer{}, ErrAuth
	}
	sum := sha512.Sum512(signed)
	if rsa.VerifyPKCS1v15(key, crypto.SHA512, sum[:], signature) != nil {
		return Bearer{}, ErrAuth
	}
	b := Bearer{User: j.User, Groups: j.Groups}
	var ok bool
	if b.Key, b.Admin, ok = parseScope(j.Scope); !ok || j.User == "" || j.Type != "" && j.Type != "access_key" {
		return Bearer{}, ErrAuth
	}
	if b.Expires, err = time.Parse(bearerTimeForm, j.Expires); err != nil {
		return Bearer{}, ErrAuth // without an end it would be good for ever
	}
	if !now.Before(b.Expires) {
		return Bearer{}, ErrExpired
	}
	return b, nil
}

// parseScope reads node.KEY:user:all and node.KEY:admin:all.
func parseScope(scope string) (key string, admin, ok bool) {
	rest, ok := strings.CutPrefix(scope, "node.")
	if !ok {
		return "", false, false
	}
	if key, ok = strings.CutSuffix(rest, ":admin:all"); ok {
		return key, true, checkID(key) == nil
	}
	key, ok = strings.CutSuffix(rest, ":user:all")
	return key, false, ok && checkID(key) == nil
}

// unpackBearer takes a token apart. It unpacks no more than maxBearer bytes.
func unpackBearer(token string) (j bearerJSON, signed, signature []byte, err error) {
	bad := errors.New("malformed bearer token")
	if len(token) > maxBearer {
		return j, nil, nil, bad
	}
	packed, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return j, nil, nil, bad
	}
	z, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return j, nil, nil, bad
	}
	text, err := io.ReadAll(io.LimitReader(z, maxBearer+1))
	if err != nil || len(text) > maxBearer {
		return j, nil, nil, bad
	}
	signed, tail, ok := bytes.Cut(text, []byte("\n"+bearerMark+"\n"))
	if !ok {
		return j, nil, nil, bad
	}
	signature, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(tail)), "\n", ""))
	if err != nil || json.Unmarshal(signed, &j) != nil {
		return j, nil, nil, bad
	}
	return j, signed, signature, nil
}

// SealBearer makes a bearer token, as applications do. The user must not be empty.
func SealBearer(b Bearer, key *rsa.PrivateKey) (string, error) {
	scope := "node." + b.Key + ":user:all"
	if b.Admin {
		scope = "node." + b.Key + ":admin:all"
	}
	signed, err := json.Marshal(bearerJSON{b.User, scope, "access_key", b.Expires.UTC().Format(bearerTimeForm), b.Groups})
	if err != nil {
		return "", err
	}
	sum := sha512.Sum512(signed)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA512, sum[:])
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	z := zlib.NewWriter(&text)
	_, _ = fmt.Fprintf(z, "%s\n%s\n", signed, bearerMark) // into memory
	lines := base64.StdEncoding.EncodeToString(signature)
	for len(lines) > bearerLine {
		_, _ = fmt.Fprintln(z, lines[:bearerLine])
		lines = lines[bearerLine:]
	}
	_, _ = fmt.Fprintln(z, lines)
	if err := z.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(text.Bytes()), nil
}

// decoyKey is checked against where a key takes no bearer tokens, or does not exist. Its private key was thrown away.
const decoyKey = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtRqhf3IfJjaTf+JaxEbn
vWHwWJCbGfc8DnQYVUIMTFmIe00OX493c5Qm12RsnAftOc9IU/Qg6t2q63CV999y
ncoyD1IYQTNFauaHCRg3SQ26KR0Z70XZN5aqYtWODmk+iEv05vaWZ2WkDhdyvAS4
aELJABZjpV7g9xFneBhsRTuXoGPa3DQMyw86KawrlTTRgC9Tr50H5fUDWZ7Ck8ZP
nwHi1HFxpg0pYm/PC+C9qbS1SKbxrOuZQXcWjbjY03Bd7IY6tfFYbpy85yRGYxdf
LLpu0PIy/jP9XK2mcep+iDreX+vuD/+UjQ9r2Cd24a+UIAjgCcoxOVDtJnIaGxCm
FQIDAQAB
-----END PUBLIC KEY-----
`
