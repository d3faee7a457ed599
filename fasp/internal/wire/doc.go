// Package wire encodes and decodes everything that docs/protocol.md defines for the transport: long and
// short packet headers, frames, reports and transport parameters. It is pure: it seals nothing, keeps no
// state and never allocates more than the input is long. Whatever parses encodes back to the same bytes.
package wire
