// Package apitest holds a server to its OpenAPI document, for tests: a [Document] says of each request and its answer whether they are as it tells, and [Transport] has a client's requests checked
// so, each of them.
//
// Package jsonschema validates the schemas, which in OpenAPI 3.1 are plain JSON Schema; what is here finds the operation, and the schema of a body, a header or a parameter.
package apitest
