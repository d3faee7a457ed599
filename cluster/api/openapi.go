package api

import (
	_ "embed"
	"slices"
)

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the description of the API, an OpenAPI 3.1 document in YAML, which nodes serve and docs/api.md is made of. The caller may change what it gets.
func OpenAPI() []byte { return slices.Clone(openAPI) }
