package fasp_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tradewind-io/tradewind/fasp"
)

// One end sends a block, the other prints it. Both run here; between machines only the address and the server's
// fingerprint have to be known to the client.
func Example() {
	ctx := context.Background()
	identity, err := fasp.NewIdentity()
	if err != nil {
		log.Fatal(err)
	}
	server, err := fasp.Listen("127.0.0.1:0", fasp.Config{Identity: identity})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	client, err := fasp.Dial(ctx, server.LocalAddr().String(), fasp.Config{
		VerifyServer: fasp.PinnedKey(identity.Fingerprint()),
		Rates:        fasp.Rates{Policy: fasp.Fixed, Target: 100 * fasp.Mbps},
	})
	if err != nil {
		log.Fatal(err)
	}
	b, err := client.NewBlock(ctx, 5)
	if err != nil {
		log.Fatal(err)
	}
	copy(b.Data, "hello")
	if err := client.SendBlock(ctx, b); err != nil {
		log.Fatal(err)
	}

	session, err := server.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	got, err := session.ReceiveBlock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", got.Data)
	got.Release()
	if err := client.Drained(ctx); err != nil {
		log.Fatal(err)
	}
	client.Close(fasp.CodeDone, "")
	// Output: hello
}
