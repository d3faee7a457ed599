// Package twnode is the command twnode: a transfer node, and the care of its access keys. Exit codes: 0 all right, 1 an error, 2 a wrong command line
// or configuration.
package twnode
