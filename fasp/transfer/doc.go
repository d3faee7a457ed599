// Package transfer moves files and trees over a session of package fasp, verified, resumable, and without a
// round trip per file.
//
// # Nouns
//
// A [Spec] says what to move: sources, destination and options, in the words of the product's transfer
// specification. [Run] does it as the client, with the surroundings in a [Config]; it dials, retries and
// resumes by itself. [Serve] is the other side of one session, with a [ServeConfig] that says which [Store]
// the client reaches and within what [Limits]. What happens is told in an [Event], and a Run sums up in a
// [Result].
//
// A Store is a place: [Dir] is a folder of the local file system, which no name and no symbolic link leads
// out of, [BucketStore] one in an object store. Its [Target] takes blocks in any order and shows nothing under the
// final name before all of a file is there, verified and durable.
//
// A Store that is a [Manager] can also be looked at and arranged: [Manage] makes a [Remote] of a session, which lists,
// renames, removes and cleans up at the other side, within the same Limits.
//
// # How a session goes
//
// The client sends a request and the server one answer. The side that holds the files walks them and sends
// announcements and data together: large files in range blocks, small ones many to a pack. The receiver
// alone decides what it needs (overwrite rules, what a partial file holds already), drops what it does not, and
// confirms each file when it is durable as the [Durability] says. A sender that must expect something at the
// destination announces ahead and waits for the receiver's word, thousands of files deep; one that need not
// starts at once. docs/protocol-transfer.md is the wire and all of its rules.
//
// Each block carries a hash, each large file a root over its block hashes. A file whose size or times change
// while it is read, which vanishes or cannot be read fails alone, on both sides, and the job goes on.
//
// # What is kept
//
// A file on its way stands beside its final name as .NAME.tw-part with its checkpoint .NAME.tw-ckpt, written
// after the data it covers is durable. A block in a checkpoint is not sent again on resume. Small files have
// temporary names with a mark of their job and no checkpoint.
//
// # Concurrency and cancellation
//
// Run and Serve block until all they started has ended. When the context ends they keep what is durable and
// return. A Dir may be shared by any number of sessions. Callbacks for events come one at a time from several
// goroutines and must not block.
//
// # Limits
//
// Owners, ACLs and extended attributes are not carried, hard links arrive as separate files and holes in sparse
// files are sent as zeros. Named pipes and devices are not sent. On systems other than Linux files are
// synced one by one, and two jobs that write the same file at once are not kept apart. A level-1 resume trusts
// what stands on disk; so does level 2 beyond a sample.
package transfer
