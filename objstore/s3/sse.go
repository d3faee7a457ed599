package s3

import (
	"fmt"
	"log/slog"

	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// SSEMode is how a store encrypts what it keeps.
type SSEMode uint8

// The modes.
const (
	SSENone SSEMode = iota // as the bucket's settings say
	SSES3                  // with keys of the store
	SSEKMS                 // with a key of a key service
	SSEC                   // with the key that comes with every request
)

// SSE is server-side encryption of what is written, and for SSEC of what is read. It prints without the key.
type SSE struct {
	Mode    SSEMode
	KeyID   string            // SSEKMS: names the key; "" = the store's default one
	Context map[string]string // SSEKMS: encryption context; not secret
	Key     [32]byte          // SSEC: AES-256 key
}

// String says the mode and the name of the key.
func (s SSE) String() string {
	switch s.Mode {
	case SSENone:
		return "none"
	case SSES3:
		return "AES256"
	case SSEKMS:
		return "aws:kms " + s.KeyID
	case SSEC:
		return "C [redacted]"
	}
	return fmt.Sprintf("mode %d", s.Mode)
}

// GoString is String.
func (s SSE) GoString() string { return s.String() }

// Format writes String for every verb, so that none shows the key.
func (s SSE) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue is String.
func (s SSE) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String.
func (s SSE) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s SSE) serverSide() (encrypt.ServerSide, error) {
	if s.Mode != SSEKMS && (s.KeyID != "" || len(s.Context) > 0) {
		return nil, fmt.Errorf("a key id is for SSE-KMS only")
	}
	if s.Mode != SSEC && s.Key != ([32]byte{}) {
		return nil, fmt.Errorf("a key is for SSE-C only")
	}
	switch s.Mode {
	case SSENone:
		return nil, nil
	case SSES3:
		return encrypt.NewSSE(), nil
	case SSEKMS:
		if len(s.Context) == 0 {
			return encrypt.NewSSEKMS(s.KeyID, nil)
		}
		return encrypt.NewSSEKMS(s.KeyID, s.Context)
	case SSEC:
		if s.Key == ([32]byte{}) {
			return nil, fmt.Errorf("SSE-C needs a key of 32 bytes")
		}
		return encrypt.NewSSEC(s.Key[:])
	}
	return nil, fmt.Errorf("SSE %s is not known", s)
}

// customer returns the SSE that every request about an object must carry: that with our own key.
func (d *driver) customer() encrypt.ServerSide {
	if d.cfg.SSE.Mode == SSEC {
		return d.sse
	}
	return nil
}
