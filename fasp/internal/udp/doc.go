// Package udp moves datagrams between one UDP socket and the transport, many
// at a time.
//
// A [Socket] wraps a [net.PacketConn]. Given a *net.UDPConn on Linux it reads
// with recvmmsg and generic receive offload (GRO) and writes with sendmmsg and
// generic segmentation offload (GSO), each where the kernel has it; given
// anything else (another system, a simulated network) it uses ReadFrom and
// WriteTo. The caller sees the same behaviour from both: batches of received
// trains ([Batch]) and trains to send ([Train]). What was received is not
// copied: [Batch.Keep] hands out the memory it lies in.
//
// # Concurrency
//
// Reading and writing may run at the same time. One goroutine reads; any
// number may call [Socket.WriteTrains], [Socket.Stats] and [Socket.Close].
// A Socket starts no goroutine.
//
// # Cancellation
//
// [Socket.Close] makes a blocked ReadBatch or WriteTrains return an error that
// matches [net.ErrClosed]. [Socket.SetReadDeadline] ends a ReadBatch with an
// error that matches [os.ErrDeadlineExceeded].
//
// # Fragmentation
//
// Datagrams are never fragmented: the socket sets "don't fragment" and ignores
// path MTU that the kernel believes to have learned, because the transport
// probes the path itself. A datagram that does not fit the outgoing interface
// is reported as a [*SizeError].
//
// # ECN
//
// On Linux the ECN field of the IP header is set train by train, and told with
// every train received, over IPv4, IPv6 and IPv4 on IPv6 sockets; DSCP stays
// what the socket had. [Socket.ECN] is false elsewhere. GRO joins datagrams of
// one ECN field only, but kernels before 6.9 joined others, too, and tell the
// first one's for all.
//
// # Sleep
//
// On Linux, [Socket.Sleep] waits more precisely than a timer of the runtime,
// which may be a millisecond late, so that packets can be spaced. Elsewhere
// there are only timers, and what gathered while one was late leaves together.
//
// # Limits
//
// The source address of an outgoing datagram is the kernel's choice, so on a
// multihomed host a wildcard socket may answer from another address than the
// one it was reached at; bind one socket per address there. Connected sockets
// are refused. Don't-fragment is set on Linux, macOS and Windows.
package udp
