package accesskey_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/tradewind-io/tradewind/accesskey"
)

// session stands for a *fasp.Conn and its peer: both ends export the same keying material.
type session struct{ sent chan []byte }

func (s session) ExportKeyingMaterial(label string, context []byte, n int) ([]byte, error) {
	h := hmac.New(sha256.New, []byte("only these two ends know"))
	fmt.Fprintf(h, "%s\x00%s", label, context)
	return h.Sum(nil)[:n], nil
}

func (s session) SendMessage(_ context.Context, msg []byte) error {
	s.sent <- msg
	return nil
}

func Example() {
	ctx := context.Background()
	store := &accesskey.MemStore{} // a node keeps them in its state store
	secret, err := accesskey.Generate("alice")
	if err != nil {
		panic(err)
	}
	key, _, err := accesskey.NewKey(secret)
	if err != nil {
		panic(err)
	}
	key.Root, key.Rights = "projects/alice", accesskey.Rights{Write: true, List: true}
	if err := store.Put(ctx, key); err != nil {
		panic(err)
	}

	wire := session{make(chan []byte, 1)}
	if err := secret.Authenticate(ctx, wire); err != nil { // the client
		panic(err)
	}
	node := &accesskey.Checker{Keys: store} // the server
	grant, err := node.Session(ctx, wire, <-wire.sent)
	fmt.Println(grant.KeyID, grant.Root, grant.Rights, err)

	fmt.Println(accesskey.Credential{ID: "alice", Secret: "guessed"}.Authenticate(ctx, wire))
	_, err = node.Session(ctx, wire, <-wire.sent)
	fmt.Println(err)
	// Output:
	// alice projects/alice write,list <nil>
	// <nil>
	// failed to authenticate
}
