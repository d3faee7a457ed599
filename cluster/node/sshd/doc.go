// Package sshd serves SSH on a node: accounts log in with a password or a public key and run one of two commands.
//
//   - tradewind-ticket hands over a transfer token, with which the client opens a session over UDP (docs/protocol-auth.md section 46).
//   - ascmd looks at files and arranges them, by a protocol of lines and binary records (docs/ascmd.md).
//
// There is no shell, no terminal, no forwarding, no subsystem and no environment: SSH carries no files.
//
// A [Server] takes connections from a listener until its context ends. It knows accounts, places and tickets by small interfaces, and keeps nothing but rates of logins in memory. What strangers can
// take is bounded: connections that have not logged in, of which the oldest gives way, the time for that, attempts of a source and at an account, and hashes that are computed at a time. Who fails is told
// the same, after the same work, whether there is such an account or not. Who has logged in has a bounded number of connections, channels and large listings.
package sshd
