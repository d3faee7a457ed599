// Package admin is how a node is managed from its own machine: an HTTP API at a socket in the state folder, which only the user of the node and the system's administrator can reach, and
// a client for it. It needs no credentials: whoever can open the socket could read the state folder as well.
//
// All calls of the Node API (docs/api.md) are there, as a user of the node would make them, and those below /admin/ beside them: users of the node, accounts, transfer tokens, backups,
// export and import of keys. [Client] has them as methods.
package admin
