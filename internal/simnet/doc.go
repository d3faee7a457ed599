// Package simnet is a packet network in virtual time with seeded randomness, for tests and benchmarks.
//
// # Link
//
// A [Link] is one direction of a path: a bottleneck with a drop-tail queue, propagation delay and impairments, all set
// by [Impair]. It is a plain value with methods that take the time; it owns no goroutine, lock or timer. A direct event
// loop drives it:
//
//	l.Send(now, packet, ipBytes)   // may drop it
//	at, ok := l.Next()             // when to look again
//	packet, ok := l.Recv(at)       // what has arrived by then
//
// A packet meets, in this order: outage, MTU, loss before the bottleneck, queue, bottleneck, loss after the bottleneck,
// delay with jitter and reordering, duplication. Where the loss happens decides what a transport can reach: C*(1-p)
// with loss after a bottleneck of C, C itself with loss before it.
//
// The same seed, the same Impair and the same calls give the same result on every machine. Each kind of impairment
// draws from its own sequence, so that switching jitter on does not change which packets are lost.
//
// # Net
//
// A [Net] joins any number of [PacketConn], which are net.PacketConn values with *net.UDPAddr addresses, through one
// Link per ordered pair of addresses. It uses time.Now and timers and starts no goroutine of its own, so that inside a
// testing/synctest bubble it runs in virtual time and keeps the bubble durably blocked while nothing moves. A Net and
// everything that uses it belong to one bubble.
//
// # Limits
//
// There is no ECN, no ICMP and no fragmentation: a datagram above the MTU vanishes, as on a path that filters ICMP.
// Links share nothing: a bottleneck common to several host pairs needs a Link driven directly.
package simnet
