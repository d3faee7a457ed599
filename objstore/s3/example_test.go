package s3_test

import (
	"context"
	"fmt"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/s3"
)

// A program says once where credentials come from, and then opens what its users name.
func Example() {
	schemes := objstore.Schemes{
		"s3": s3.Opener(func(_ context.Context, u objstore.URI) (s3.Config, error) {
			return s3.Config{Credentials: s3.Static{AccessKey: "AKIDEXAMPLE", SecretKey: "from a safe place"}}, nil
		}),
	}
	d, key, err := schemes.Open(context.Background(), "s3://minio.example.com/films/2024/one.mov?profile=minio&storage-class=REDUCED_REDUNDANCY")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	fmt.Println(key, d.Caps().MaxParts)

	_, _, err = schemes.Open(context.Background(), "s3://minio.example.com/films?secret-key=x")
	fmt.Println(err)
	fmt.Println(s3.Static{AccessKey: "AKIDEXAMPLE", SecretKey: "from a safe place"})
	// Output:
	// 2024/one.mov 10000
	// s3 URI: option "secret-key": a secret in a URI can be read in process lists, logs and histories: give it in the environment or in a configuration
	// access key AKIDEXAMPLE, secret [redacted]
}
