//go:build race

package transfer

// poolsLeak: under the race detector sync.Pool throws some things away, to show who counts on them.
const poolsLeak = true
