// Package filestore keeps objects as plain files in a folder, file://[HOST]/FOLDER/KEY.
//
// The folder is held open with os.Root: no key and no symbolic link leads out of it. A key is the path of a file, with "/"
// on every system; keys that are no such path (empty, ".", or ".." elements, for example) are Invalid. Objects appear
// whole: bytes go into a hidden file beside the target, are made durable, and only then get its name.
//
// # Names on disk
//
//	NAME                            an object
//	.NAME.ID.tradewind-temp         a Put or Copy under way; after a crash it is rubbish, which Sweep removes
//	.NAME.ID.tradewind-data         the bytes of an upload
//	.NAME.ID.tradewind-state        which parts of that are durable
//
// Long NAMEs are cut. Keys with such names are refused and not listed.
//
// # Uploads
//
// Parts are written at their place in the data file, in any order, by any process with access to the folder. A part is
// noted in the state file once its bytes are durable, so that after a crash Parts lists nothing that is not there; a part
// that is put again is struck out durably before its bytes change. Complete makes the file durable, renames it, makes the
// folder durable and removes the state file, in this order. Locks (unix) keep Complete and Abort, which answer Busy, from
// parts that are being put; two processes must not put the same part at the same time, unless with the same bytes.
//
// # Folders
//
// Folders are made as keys need them and removed when Delete takes the last thing out of them. An empty folder is listed
// as a marker, an object of no bytes whose key ends in "/", and a Put of such a key makes it. A name is a file or a folder,
// not both. Symbolic links to files inside are followed; links to folders, and what is no file, are not listed.
//
// # Attributes
//
// The modification time is the file's own. The rest is kept in the extended attribute user.tradewind of the file, with it
// and as durable, where system and file system have them (Linux, macOS); elsewhere it is dropped, and an ETag says less.
// An ETag is made of the file's number, size and times, so that also changes by others are seen; touching a file changes it.
//
// # Listings
//
// They are in order of keys and take memory for one page. A folder is read again for each page of it.
package filestore
