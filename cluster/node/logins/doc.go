// Package logins is what all ways share in which accounts log in at a node, over SSH (package sshd) and over WebSocket (package wsd).
//
// A [Gate] checks passwords. Servers of the same accounts share one, so that a guesser who changes from one to the other has no more attempts, and hashes take no more memory. Attempts of a source and at an
// account are limited, and whatever is wrong costs one hash, whether there is such an account or not. A [Crowd] bounds connections of one server: those that have not logged in, of which the oldest gives
// way, and those that have. Both keep all in memory, start nothing, and may be used by several goroutines at once.
package logins
