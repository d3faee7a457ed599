// Package state is the durable memory of a transfer node, and of who manages nodes: tenants, keys, users, jobs, sessions with their files,
// events, an audit log, usage by the hour, permissions, and stable ids of files.
//
// A [Store] is one database. What a record means is its owner's matter: each has columns for what is asked by, and a document, JSON of the
// owner's choice, which is kept to the byte. Secrets come in sealed and stay sealed; the package has no key.
//
// # Changes
//
// A method that writes has made it durable when it returns nil. Records that change carry Rev, and an update or a delete names the revision that it
// saw: ErrConflict says that somebody else was faster. [Store.Update] joins several operations in one transaction, in which nobody else
// writes, and [Store.View] several reads of one moment. A [Tx] has the same methods as a Store.
//
// Jobs and sessions also carry Iter, which is greater with each change in the whole store, whatever the clock does. "What changed since" is a
// list with Since set to the greatest Iter seen; a deleted record is not told of. Events and audit records have Seq in the same way.
// A store that was restored from a backup goes on where the backup was: who saw greater numbers begins anew.
//
// # Lists
//
// Lists come in pages of up to 1000, each with the cursor of the next. Their orders and the filters for tenant, key and status are ranges of an
// index, so a page costs the same in a store of a million sessions. Filters by time or type of event, and by kind, name or actor, pass over what
// does not match.
//
// # The audit log
//
// Each record holds the hash of the one before, and the store keeps the head: [Store.VerifyAudit] finds what was changed, put in or removed, at
// the end too. There is no secret in it. Who can write the database file can also make a whole new chain, or put an old copy of the file
// back; to notice that, keep the head of [Store.AuditChain] somewhere else from time to time, and compare.
//
// # Databases
//
// SQLite is built in: write-ahead log, synchronous=FULL, foreign keys, one connection that writes and some that read. The folder must be on a local
// file system, and belongs to one process at a time, which a lock file sees to. A restore and an update of many rows hold the writer all
// the while; [Store.Prune] and what else removes much works in small transactions. The file does not shrink; room that was freed is used
// again.
//
// Others are added as a dialect: its folder of migrations, how arguments are written, what its errors mean, isolation levels, and a function like
// the one that opens SQLite. MySQL and PostgreSQL are not there. What they need beyond that: drivers; a lock while migrating, which
// goose has; serializable transactions or row locks, since the retry of lost races is there and untried; a cast of sums to
// a 64-bit number; a fence for several managers, since here the lock file keeps others away; reconnects. Statements use ? for arguments and
// no upserts, RETURNING, or numbers given by the database; paths and names are bytes, ids are text compared by byte.
//
// # Limits
//
// Ids and other indexed text have up to 255 bytes of UTF-8, names 1024 bytes, paths 32 KiB, documents 4 MiB, sealed secrets 1 MiB. Times are kept
// in microseconds, from 1970 to 9999.
package state
