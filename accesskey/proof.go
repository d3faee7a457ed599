package accesskey

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Exporter is an end of a TLS session, such as *fasp.Conn.
type Exporter interface {
	// ExportKeyingMaterial returns n bytes that only the two ends of the session know (RFC 8446 section 7.5).
	ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error)
}

// Conn is a client's end of a session, such as *fasp.Conn.
type Conn interface {
	Exporter
	// SendMessage queues one control message.
	SendMessage(ctx context.Context, msg []byte) error
}

// exporterLabel is that of docs/protocol-auth.md section 41.
const exporterLabel = "EXPORTER-tradewind-auth"

// The message of docs/protocol-auth.md section 42.
const (
	magic        = "TWAU"
	version      = 1
	methodKey    = 1
	methodBearer = 3
	methodToken  = 4
	headerLength = len(magic) + 2
)

// Authenticate sends the proof that this side holds the secret, as one control message. It does not wait for an answer: there is
// none if the proof is right, and otherwise the server ends the session. Errors are those of SendMessage, or say that the credential is malformed.
func (c Credential) Authenticate(ctx context.Context, conn Conn) error {
	msg, err := c.Opening(conn)
	if err != nil {
		return err
	}
	return conn.SendMessage(ctx, msg)
}

// KeyID implements Opener.
func (c Credential) KeyID() string { return c.ID }

// Opening returns the message that Authenticate sends, for a session whose first message is made while it opens.
func (c Credential) Opening(x Exporter) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	v, err := c.verifier()
	if err != nil {
		return nil, err
	}
	mac, err := proof(v, c.ID, x)
	if err != nil {
		return nil, err
	}
	return appendMessage(nil, message{method: methodKey, id: c.ID, mac: mac}), nil
}

// proof returns HMAC-SHA256(V, exporter).
func proof(v Verifier, id string, conn Exporter) (mac [sha256.Size]byte, err error) {
	ekm, err := conn.ExportKeyingMaterial(exporterLabel, []byte(id), sha256.Size)
	if err != nil {
		return mac, fmt.Errorf("bind the proof to the session: %w", err)
	}
	h := hmac.New(sha256.New, v[:])
	h.Write(ekm)
	h.Sum(mac[:0])
	return mac, nil
}

// Session checks the message that a client sent over the session conn, with [Credential.Authenticate], or as an [Opener] makes it, and returns what it allows.
// Errors: ErrAuth for everything that is wrong with the message; ErrDisabled if the proof is right and the key is disabled; ErrExpired if a token is ours and its time is over;
// others come from the store or the session and say nothing about the client. With an error, the Grant allows nothing; its KeyID is then what the client called itself, not
// proved, of at most [MaxID] characters as ids have them, or empty. An unknown key is refused with the same text and after the same work as a wrong secret.
func (c *Checker) Session(ctx context.Context, conn Exporter, msg []byte) (Grant, error) {
	m, err := parseMessage(msg)
	if err != nil {
		return Grant{}, ErrAuth
	}
	switch m.method {
	case methodBearer:
		return c.Bearer(ctx, m.id, m.token)
	case methodToken:
		return c.TransferToken(ctx, m.token)
	}
	key, known, err := c.key(ctx, m.id)
	if err != nil {
		return Grant{KeyID: m.id}, err
	}
	right := false
	for _, v := range key.verifiers(c.now()) {
		want, err := proof(v, m.id, conn)
		if err != nil {
			return Grant{KeyID: m.id}, err
		}
		right = hmac.Equal(want[:], m.mac[:]) || right
	}
	return key.granted(m.id, right && known)
}

// message is what travels.
type message struct {
	method byte
	id     string // methodKey, methodBearer
	mac    [sha256.Size]byte
	token  string // methodBearer, methodToken
}

var errMessage = errors.New("malformed authentication message")

func appendMessage(b []byte, m message) []byte {
	b = append(b, magic...)
	b = append(b, version, m.method)
	if m.method != methodToken {
		b = binary.AppendUvarint(b, uint64(len(m.id)))
		b = append(b, m.id...)
	}
	if m.method != methodKey {
		return append(b, m.token...)
	}
	return append(b, m.mac[:]...)
}

// parseMessage reads a message. It allocates no more than the message's size.
func parseMessage(b []byte) (message, error) {
	if len(b) < headerLength || string(b[:len(magic)]) != magic || b[len(magic)] != version {
		return message{}, errMessage
	}
	m := message{method: b[len(magic)+1]}
	b = b[headerLength:]
	switch m.method {
	case methodKey, methodBearer:
		n, w := binary.Uvarint(b)
		// The id is shorter than 2^14, so a minimal length has one byte below 128 and two from there on.
		if w <= 0 || n == 0 || n > MaxID || (w == 2) != (n >= 128) || w > 2 || uint64(len(b)-w) < n {
			return message{}, errMessage
		}
		m.id, b = string(b[w:w+int(n)]), b[w+int(n):]
		if checkID(m.id) != nil {
			return message{}, errMessage
		}
	case methodToken:
	default:
		return message{}, errMessage
	}
	if m.method != methodKey {
		if len(b) == 0 || len(b) > MaxToken {
			return message{}, errMessage
		}
		m.token = string(b)
		return m, nil
	}
	if len(b) != sha256.Size {
		return message{}, errMessage
	}
	m.mac = [sha256.Size]byte(b)
	return m, nil
}

// Opener authenticates a client in a session: a Credential, or a token.
type Opener interface {
	// Opening returns the first message of a session, which the session may still be opening.
	Opening(x Exporter) ([]byte, error)
	// KeyID is the access key that it belongs to, "" where only the node can tell.
	KeyID() string
}

// ParseOpener reads what a client was given to authenticate with: "Basic BASE64(id:secret)", "Bearer TOKEN", or a transfer token that a node has made. Unlike a secret, a token is
// sent as it is: only to a server whose identity is known. Errors do not repeat any part of the text, and printing the Opener hides it.
func ParseOpener(text string) (Opener, error) {
	text = strings.TrimSpace(text)
	m := message{method: methodToken, token: text}
	if bearer, ok := bearerText(text); ok {
		if m = (message{method: methodBearer, id: BearerKey(bearer), token: bearer}); m.id == "" {
			return nil, errors.New("the bearer token cannot be read, or its scope does not name an access key")
		}
	} else if !IsTransferToken(text) {
		return ParseToken(text)
	}
	if len(m.token) > MaxToken {
		return nil, fmt.Errorf("the token is longer than %d bytes", MaxToken)
	}
	return token{m}, nil
}

// token is a token that a client holds.
type token struct{ m message }

func (t token) Opening(Exporter) ([]byte, error) { return appendMessage(nil, t.m), nil }

// KeyID implements Opener.
func (t token) KeyID() string { return t.m.id }

// String hides the token.
func (token) String() string { return redacted }

// GoString hides the token from %#v.
func (token) GoString() string { return redacted }

// Format hides the token from every verb.
func (token) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// LogValue hides the token from logs.
func (token) LogValue() slog.Value { return slog.StringValue(redacted) }

// bearerText returns what follows the word Bearer.
func bearerText(token string) (string, bool) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(token), " ")
	return strings.TrimSpace(rest), ok && strings.EqualFold(scheme, "bearer")
}
