// What the transport is compared with, in a module of its own so that the library's go.mod stays short.
module github.com/tradewind-io/tradewind/bench/peers

go 1.26.0

require (
	github.com/quic-go/quic-go v0.65.0
	github.com/tradewind-io/tradewind v0.0.0
)

require (
	github.com/klauspost/cpuid/v2 v2.4.0 // indirect
	github.com/klauspost/reedsolomon v1.14.2 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace github.com/tradewind-io/tradewind => ../..
