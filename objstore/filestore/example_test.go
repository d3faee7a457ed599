package filestore_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tradewind-io/tradewind/objstore"
	"github.com/tradewind-io/tradewind/objstore/filestore"
)

func Example() {
	dir, err := os.MkdirTemp("", "filestore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	s, err := filestore.Open(dir, filestore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	// Two parts in the wrong order become one file.
	ctx := context.Background()
	u, err := s.Begin(ctx, objstore.Upload{Key: "letters/text", Size: 10, Plan: objstore.Plan{First: 6}}, objstore.PutOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range []int{1, 0} {
		spec, size := u.Spec(n)
		body := io.NewSectionReader(strings.NewReader("abcdefghij"), spec.Off, size)
		if _, err := s.PutPart(ctx, u, spec, body); err != nil {
			fmt.Println(err)
			return
		}
	}
	parts, err := s.Parts(ctx, u)
	if err != nil {
		fmt.Println(err)
		return
	}
	o, err := s.Complete(ctx, u, parts, objstore.PutOptions{})
	fmt.Println(o.Key, o.Size, err)
	text, err := os.ReadFile(dir + "/letters/text")
	fmt.Println(string(text), err)
	// Output:
	// letters/text 10 <nil>
	// abcdefghij <nil>
}
