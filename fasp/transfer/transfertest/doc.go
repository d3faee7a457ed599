// Package transfertest is a pair of connected sessions in memory, for tests of package transfer and of
// programs over it. Blocks can be reordered and held back, control messages can lag behind blocks, credit can
// be scarce, and the link can be cut at any byte.
package transfertest
