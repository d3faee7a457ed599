package objstore

import (
	"context"
	"sync"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// keptKeys is how many keys for reading a Driver keeps: one for each Driver value that wrote what is read.
const keptKeys = 256

// keyID says which key a passphrase makes.
type keyID struct {
	params kdfParams
	salt   [saltSize]byte
}

// keyring makes keys of a passphrase, one at a time because of the memory that it takes. Methods may be called by several
// goroutines.
type keyring struct {
	passphrase []byte
	own        keyID         // for writing; never forgotten
	turn       chan struct{} // holds one token while a key is made

	mu     sync.Mutex // protects the rest
	ownKey []byte     // nil until it is made
	keys   fifo[keyID, []byte]
}

func newKeyring(passphrase string, own keyID) *keyring {
	return &keyring{passphrase: []byte(passphrase), own: own, turn: make(chan struct{}, 1), keys: newFIFO[keyID, []byte](keptKeys)}
}

func (r *keyring) known(id keyID) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id == r.own {
		return r.ownKey
	}
	key, _ := r.keys.get(id)
	return key
}

// key returns the key of id, whose parameters have been checked.
func (r *keyring) key(ctx context.Context, id keyID) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if key := r.known(id); key != nil {
		return key, nil
	}
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-r.turn }()
	if key := r.known(id); key != nil {
		return key, nil
	}
	key := argon2.IDKey(r.passphrase, id.salt[:], id.params.time, id.params.memory, uint8(id.params.threads), chacha20poly1305.KeySize)
	r.mu.Lock()
	defer r.mu.Unlock()
	if id == r.own {
		r.ownKey = key
	} else {
		r.keys.put(id, key)
	}
	return key, nil
}
