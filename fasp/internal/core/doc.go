// Package core is the transport's state machine without input or output: given the time and what arrived,
// it says what to send and when to be called next (docs/protocol.md sections 5-9). It owns no goroutine, lock,
// timer or socket and never touches payload: data packets are described by block and symbol, and whoever drives
// the machine seals and copies bytes. So the same code runs over sockets and, without payload, in virtual time.
//
// A Conn is one side of a session and both sender and receiver. The driver calls, from one goroutine:
//
//   - Next until it returns false, sending what it describes;
//   - OnData and OnFrames for each authentic packet;
//   - Deadline, to learn when to call Next again if nothing arrives.
//
// Time is a duration since any fixed moment of a monotonic clock.
package core
