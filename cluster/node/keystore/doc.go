// Package keystore keeps the access keys of a node in its state store: durable, with their secrets sealed, and all of them in memory as well, since every request asks for one.
package keystore
