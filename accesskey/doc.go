// Package accesskey decides who may do what: keys with their verifiers, the proof that a client holds a key's secret, and the
// [Grant] that says what a request may touch.
//
// A client holds a [Credential], a key id and a secret. A server holds a [Key] for it in a [Store]: not the secret but a [Verifier]
// made from it, with the rights, the place and the limits that the key carries. [NewKey] makes the one from the other.
//
// To authenticate a session, the client calls [Credential.Authenticate], which sends one control message and waits for nothing; the
// server gives that message to [Checker.Session] and gets the Grant. The message holds no secret and proves nothing in any other session: it is
// an HMAC over a value that only the two ends of this TLS session know (docs/protocol-auth.md).
//
// [MemStore] keeps keys in memory. Whoever keeps them for longer keeps a [Record] of each, which a [Master] has sealed; [Export] and [Import] carry keys from one
// node to another.
//
// No text this package makes holds a secret or a verifier: both print as "[redacted]", in logs and through fmt too. A Verifier is as good as the
// secret it was made from, so a Store that outlives the process must keep it sealed.
//
// A [Checker] takes other credentials as well: an id and a secret as they come over HTTPS, bearer tokens that an application signs for its users, transfer tokens that
// a node has sealed with its [Keyring], and users of the node itself, whose passwords are kept as argon2id.
//
// The package knows nothing of transports and storage: rates are plain bits per second, places plain strings.
package accesskey
