// Command apidoc writes the page of an OpenAPI document, or with --check says whether a page is the one.
//
// Exit codes: 0 success, 1 an error, or the page is another, 2 wrong usage.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tradewind-io/tradewind/internal/apidoc"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	check := len(args) > 0 && args[0] == "--check"
	if check {
		args = args[1:]
	}
	if len(args) != 2 {
		fmt.Fprintln(stderr, "usage: apidoc [--check] DOCUMENT.yaml PAGE.md")
		return 2
	}
	if err := page(args[0], args[1], check); err != nil {
		fmt.Fprintln(stderr, "apidoc:", err)
		return 1
	}
	return 0
}

func page(from, to string, check bool) error {
	document, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	want, err := apidoc.Page(document, filepath.ToSlash(from))
	if err != nil {
		return err
	}
	if !check {
		return os.WriteFile(to, want, 0o644)
	}
	have, err := os.ReadFile(to)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, want) {
		return fmt.Errorf("%s is not what %s says; run make apidoc", to, from)
	}
	return nil
}
