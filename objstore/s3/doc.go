// Package s3 is the Driver for Amazon S3 and what speaks its protocol: IBM Cloud Object Storage, NetApp StorageGRID, HGST
// Active Archive, MinIO and others. It is minio-go underneath, without that library's retries, buffers and framing.
//
// A [Profile] says what kind of server it is, and so how it is addressed, whether conditional writes are to be trusted and
// which checksums it verifies; the zero Profile asks for nothing that is not common to all.
//
// # Integrity and cost
//
// Payloads are never signed chunk by chunk: neither over TLS, which protects them already, nor over plain HTTP, where some
// servers store the framing of signed chunks as data. What the store verifies instead is [Config.Checksum] of every part:
// CRC32C in a header (AWS, MinIO), Content-MD5 (the others), or a signed SHA-256, which is also the choice for servers that
// refuse unsigned payloads over plain HTTP. Measured on one core of a busy machine: CRC32C 2 to 7 GB/s, MD5 0.2 to 0.3
// GB/s, SHA-256 0.6 GB/s where the processor has instructions for it. The sum is taken from the body before it is sent, so
// the body is read twice. A CRC32C that the store returns is compared with the one sent. ETags are not: a store that
// encrypts may make up its own.
//
// All processes that work on one upload must use the same Checksum, since the store is told of CRC32C when the upload
// begins. The ETag of a [objstore.Part] carries the sum behind the store's ETag where the store wants it back at the end.
//
// Nothing in S3's answer to a ranged read says what its bytes should be, so what is read is protected by TLS, and end to end
// by [objstore.WithEncryption]. Over plain HTTP, without encryption, only the checksums of TCP stand between a bit that was
// changed on the way and the reader.
//
// # Attributes
//
// Times are kept as user metadata under rclone's names, mtime and btime. Values that are not plain ASCII are sent as RFC
// 2047 says, as Amazon documents. The storage class STANDARD reads as "".
//
// # Credentials
//
// They are values that the caller gives: [Static], [File], [IAMRole], [AssumeRole], [WebIdentity], [IBMAPIKey] or
// [Anonymous]. Nothing is read from the environment and no URI holds any. They print as "[redacted]". Those that expire
// are renewed ahead of time, or when the store calls them expired; a call that failed so is Temporary if new ones are
// there, and else Auth.
//
// # Known limits
//
// Where the Profile's servers are not known to honour If-None-Match, PutOptions.IfAbsent looks first and writes then, which
// two writers at once can defeat; Caps.IfAbsent is false there. Copies look first everywhere.
//
// Gateways to file systems keep keys with dots, empty parts or control characters under other keys, or list them wrongly. So
// Generic does not write such keys, and only AWS writes parts that are "." or "..". All profiles read, list and delete what
// is there.
//
// MinIO does not list objects below a key that is an object too: "a" hides "a/b", which can be read all the same. It lists the
// open uploads of an exact key from disk, and others only as far as the server has seen them since it started.
//
// A HEAD has no body to say why it was refused, so Stat asks a second time with GET after 400, 401 and 403, and after a 404
// whether the bucket is there, until a request has succeeded once.
package s3
