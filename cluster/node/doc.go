// Package node is a transfer node as a value: everything that the program twnode does, to be embedded in any program.
//
// [New] checks a [Config] and loads the node's identity; [Node.Run] opens the UDP port, serves sessions and returns when its context has
// ended and the running sessions have finished (or Config.DrainTimeout has passed). Two nodes with different settings live in one
// process.
//
// A session is authenticated by an access key (package accesskey) whose Grant decides what it may touch: a place below the docroot,
// rights, a rate cap. Until the key's proof has been checked, at most Config.MaxUnauthenticated sessions are in that state, and all of them together hold at
// most Config.UnprovenMemory bytes. The rest is package fasp/transfer.
//
// The state folder holds the identity (identity.pem, the private key that clients know the node by), master.key, which seals secrets, and state.db with access keys, accounts, jobs and
// the record of transfers. Back it up, and let nobody read it. While the node runs it alone uses state.db, and is managed at the socket admin.sock there; [Attach] connects to it, or opens
// the state store itself where no node runs. With Config.Keys and neither API nor SSH there is no state.db.
//
// Known limits: rate caps are shared out equally among the sessions they bind, also when one of them does not use its share.
package node
