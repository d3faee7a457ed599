// Package fasp moves blocks of data and ordered messages between two ends over UDP at the rate of the link,
// whatever the distance and the loss. It knows nothing of files, storage or accounts; fasp/transfer does.
//
// # Nouns
//
// An [Endpoint] is one UDP socket. It dials sessions and, given an [Identity], accepts them. A [Conn] is a session:
// it is encrypted and authenticated, carries ordered messages both ways and unordered blocks both ways, and outlives
// lost links, changed addresses and loss of any share. A [Block] is up to 1 MiB that is sent, acknowledged and placed as a
// whole. [Session] is what a Conn offers to the layer above; other transports may offer the same. [Rates] and [Policy] say how
// fast a side sends and how it shares the path. The wire is described in docs/protocol.md, which comments cite by section.
//
// # How it works
//
// Loss is found by packet number: every packet has a new number, the receiver reports which arrived, and the sender
// sends what was lost again under new numbers. There is no window: a rate law or the user says the rate, and three grants of
// the receiver bound it: credit in bytes of blocks, extents, and a rate. All state lives in a machine without input or
// output (fasp/internal/core) that one goroutine per session drives; the same machine runs in virtual time in the tests.
//
// # Early data
//
// A client with [Tickets] begins its next session with a server a round trip sooner: Dial returns at once, and what is sent then goes with the first
// packet. A server accepts that if [Config].EarlyData is set. What comes early may be a recording that somebody sends again, so the layer above waits for
// Session.Confirmed before it does anything that lasts (docs/decisions/0008-early-data.md).
//
// # Concurrency and cancellation
//
// All methods of Endpoint and Conn may be called concurrently. Calls that wait take a context and return its cause when it
// ends; what is ready is returned in preference. Close ends everything that was started before it returns.
//
// # Memory
//
// The sender holds blocks until they are acknowledged, at most Config.SendBuffer; the receiver holds blocks until they are
// released, at most what Config.Window and Config.WindowMax allow. On a path of 30 % loss both need about 5 x rate x RTT
// with blocks of 128 KiB, more with larger ones. Packets that do not authenticate cause no allocation.
//
// # Limits
//
// Datagrams are between 1,200 bytes and Config.MaxDatagram large, as the path takes them; one that takes not even the least fails with
// [ErrPathMTU]. On Linux packets leave in turns of two or of 250 microseconds; elsewhere, and where several sessions of an endpoint send at once, they may gather for as
// long as a timer of the runtime is late, a millisecond and more.
// There is no relay or multi-session job yet; the wire reserves them.
package fasp
