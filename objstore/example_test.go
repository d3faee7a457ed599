package objstore_test

import (
	"errors"
	"fmt"

	"github.com/tradewind-io/tradewind/objstore"
)

// A store that takes 10,000 parts of 5 MiB to 5 GiB gets larger parts for a larger object.
func ExampleCaps_Plan() {
	store := objstore.Caps{MaxParts: 10_000, MinPart: 5 << 20, MaxPart: 5 << 30}
	for _, size := range []int64{1 << 30, 5 << 40} {
		plan, err := store.Plan(size, objstore.DefaultPartSize, 1<<20)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d GiB: %d parts of %d MiB\n", size>>30, plan.Count(size), plan.PartSize(0)>>20)
	}
	// Output:
	// 1 GiB: 16 parts of 64 MiB
	// 5120 GiB: 9987 parts of 525 MiB
}

func ExampleParseURI() {
	u, err := objstore.ParseURI("s3://minio.example:9000/films/2024/trailer.mov?region=eu-west-1")
	fmt.Println(u.Host, u.Path, u.Option("region"), err)
	_, err = objstore.ParseURI("s3://user:password@minio.example/films")
	fmt.Println(errors.Is(err, objstore.ErrSecret))
	// Output:
	// minio.example:9000 films/2024/trailer.mov eu-west-1 <nil>
	// true
}
