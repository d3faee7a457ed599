package memstore_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/memstore"
)

func Example() {
	ctx := context.Background()
	var host memstore.Host
	schemes := objstore.Schemes{"mem": host.Open}
	d, key, err := schemes.Open(ctx, "mem://place/greetings/hello.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	text := strings.NewReader("hello, world")
	if _, err := d.Put(ctx, key, io.NewSectionReader(text, 0, text.Size()), objstore.PutOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	r, o, err := d.Read(ctx, key, 7, -1, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	fmt.Println(o.Key, o.Size, string(b), err)
	// Output: greetings/hello.txt 12 world <nil>
}
