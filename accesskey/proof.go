package accesskey

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
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
	return appendMessage(nil, message{id: c.ID, mac: mac}), nil
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

// Verify checks the message that a client sent with [Credential.Authenticate] over the session conn, and returns what its key allows.
// Errors: ErrAuth for everything that is wrong with the message; ErrDisabled if the proof is right and the key is disabled; others come from
// the store or the session and say nothing about the client. With an error, the Grant allows nothing; its KeyID is then what the client called itself, not
// proved, of at most [MaxID] characters as ids have them, or empty. An unknown key is refused with the same text and after the same work as a wrong secret.
func Verify(ctx context.Context, store Store, conn Exporter, msg []byte) (Grant, error) {
	m, err := parseMessage(msg)
	if err != nil {
		return Grant{}, ErrAuth
	}
	key, err := store.Key(ctx, m.id)
	known := err == nil
	if err != nil {
		if !errors.Is(err, ErrNotFound) {
			return Grant{KeyID: m.id}, fmt.Errorf("look up an access key: %w", err)
		}
		key = Key{} // the zero verifier costs as much to check as any
	}
	want, err := proof(key.Verifier, m.id, conn)
	if err != nil {
		return Grant{KeyID: m.id}, err
	}
	switch equal := hmac.Equal(want[:], m.mac[:]); {
	case !equal || !known:
		return Grant{KeyID: m.id}, ErrAuth
	case key.Disabled:
		return Grant{KeyID: m.id}, ErrDisabled
	}
	return key.Grant(), nil
}

// message is what travels.
type message struct {
	id  string
	mac [sha256.Size]byte
}

var errMessage = errors.New("malformed authentication message")

func appendMessage(b []byte, m message) []byte {
	b = append(b, magic...)
	b = append(b, version, methodKey)
	b = binary.AppendUvarint(b, uint64(len(m.id)))
	b = append(b, m.id...)
	return append(b, m.mac[:]...)
}

// parseMessage reads a message. It allocates no more than the message's size.
func parseMessage(b []byte) (message, error) {
	if len(b) < headerLength || string(b[:len(magic)]) != magic || b[len(magic)] != version || b[len(magic)+1] != methodKey {
		return message{}, errMessage
	}
	b = b[headerLength:]
	n, w := binary.Uvarint(b)
	// The id is shorter than 2^14, so a minimal length has one byte below 128 and two from there on.
	if w <= 0 || n == 0 || n > MaxID || (w == 2) != (n >= 128) || w > 2 {
		return message{}, errMessage
	}
	b = b[w:]
	if uint64(len(b)) != n+sha256.Size {
		return message{}, errMessage
	}
	m := message{id: string(b[:n]), mac: [sha256.Size]byte(b[n:])}
	if checkID(m.id) != nil {
		return message{}, errMessage
	}
	return m, nil
}
