// Package mgmt speaks the management protocol "FASPMGR 2", by which an application follows and steers a transfer that another program does for it.
//
// # Nouns
//
// The application is the manager: it listens on a TCP port of its own machine and starts the program with that port, which connects. A [Frame] is one message, in
// either direction; a [Reader] reads them. A [Port] tells one manager what one transfer does: its Event method is made for transfer.Config.Events.
// A [Command] is what a manager asks for. docs/management-port.md describes frames, fields and units.
//
// Who does a transfer makes a Port of the connection, calls Init at once, gives its Event to the transfer, stops the transfer when Gone is closed,
// and calls Finish last. Beside that it reads commands with a Reader and ParseCommand, and does what they say: the Port answers queries, everything else is the caller's.
//
// # Concurrency
//
// A Port may be used by any number of goroutines. Whoever sends a frame waits until it is written: a manager that does not read slows the transfer, as a slow reader of any output would, and
// stops it when the buffers of the system are full. Closing the connection ends every wait. A Reader is for one goroutine. Nothing here starts one.
//
// # What comes from others
//
// Names of files, and texts of errors, come from file systems and servers. Whatever is in them, they cannot end a line, a field or a frame: line breaks in paths are escaped, those in texts become blanks.
// What is read is bounded by [MaxFrame] and [MaxFields].
//
// # Limits
//
// The library has no event for the beginning of a file, so that no START is sent. NOTIFICATION, which has the totals, comes when the sources were walked to their end: small files may be told as
// done before.
package mgmt
