package accesskey

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// An export is a JSON object: what it is, the salt, and records that are sealed with the Master that argon2id makes of the passphrase and the salt, at the cost of passwords
// (docs/protocol-auth.md section 48).
type export struct {
	Tradewind string   `json:"tradewind"` // exportName
	Format    int      `json:"format"`
	Salt      []byte   `json:"salt"`
	Keys      []Record `json:"keys"`
}

const (
	exportName   = "access keys"
	exportFormat = 1
	// MaxExport is the largest export that Import takes, in bytes.
	MaxExport = 256 << 20
)

// exportError is ErrCorrupt in words of its own.
type exportError struct{ text string }

func (e *exportError) Error() string { return e.text }

// Is says that it is ErrCorrupt.
func (e *exportError) Is(target error) bool { return target == ErrCorrupt }

func passphraseMaster(passphrase string, salt []byte) Master {
	return Master(argon2.IDKey([]byte(passphrase), salt, argonTime, argonMemory, argonLanes, argonHash))
}

// Export returns keys, secrets included, in a form that Import reads with the same passphrase, which has as many characters as a password. Whoever has both can pass for each of the keys.
func Export(keys []Key, passphrase string) ([]byte, error) {
	if err := checkPassword(passphrase); err != nil {
		return nil, fmt.Errorf("passphrase: %w", err)
	}
	x := export{Tradewind: exportName, Format: exportFormat, Salt: make([]byte, argonSalt), Keys: make([]Record, len(keys))}
	rand.Read(x.Salt) // never fails
	m := passphraseMaster(passphrase, x.Salt)
	for i := range keys {
		var err error
		if x.Keys[i], err = m.SealKey(keys[i]); err != nil {
			return nil, err
		}
	}
	b, err := json.Marshal(x) // not indented, which would change the texts of documents
	return append(b, '\n'), err
}

// Import returns the keys of an export. Errors wrap ErrCorrupt where the passphrase is another one, or anything in it is not as Export made it.
func Import(data []byte, passphrase string) ([]Key, error) {
	var x export
	switch err := json.Unmarshal(data, &x); {
	case len(data) > MaxExport:
		return nil, fmt.Errorf("an export has at most %d bytes", MaxExport)
	case err != nil || x.Tradewind != exportName || len(x.Salt) != argonSalt:
		return nil, &exportError{"this is no export of access keys"}
	case x.Format != exportFormat:
		return nil, fmt.Errorf("the export has format %d, and this program reads %d", x.Format, exportFormat)
	}
	m := passphraseMaster(passphrase, x.Salt)
	keys, seen := make([]Key, len(x.Keys)), map[string]bool{}
	for i, r := range x.Keys {
		k, err := m.OpenKey(r)
		if err != nil {
			if errors.Is(err, errNotOpened) {
				err = &exportError{"the passphrase is another one, or the export is damaged"}
			}
			return nil, err
		}
		if seen[k.ID] {
			return nil, fmt.Errorf("access key %s is there twice: %w", k.ID, ErrCorrupt)
		}
		keys[i], seen[k.ID] = k, true
	}
	return keys, nil
}
