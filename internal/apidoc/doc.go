// Package apidoc makes a page in Markdown of an OpenAPI 3.1 document: prose in numbered sections, for each group of calls a table, and for each call its parameters, its body, its answers and the
// statuses of its errors. docs/api.md is made so, by its command (make apidoc).
//
// Sections are the parts of info.description that begin with "## N. Title", and the tags, of which x-section is the number.
package apidoc
