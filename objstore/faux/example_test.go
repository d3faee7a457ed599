package faux_test

import (
	"context"
	"fmt"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/faux"
)

func Example() {
	ctx := context.Background()
	schemes := objstore.Schemes{"faux": faux.OpenURI}
	d, _, err := schemes.Open(ctx, "faux:///dir?count=3&file=sample&size=1m&inc=1k")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	page, err := d.List(ctx, objstore.ListOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range page.Objects {
		fmt.Println(o.Key, o.Size)
	}
	// Output:
	// dir/sample_00000_1048576 1048576
	// dir/sample_00001_1049600 1049600
	// dir/sample_00002_1050624 1050624
}
