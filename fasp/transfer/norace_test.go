//go:build !race

package transfer

const poolsLeak = false
