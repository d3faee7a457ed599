// Package wanlink is a wide-area link in real time: the impairments of [simnet.Impair] applied to real datagrams, for
// benchmarks, comparisons with other programs and the demo.
//
// # Nouns
//
// A [Relay] is a UDP relay that needs no privileges: clients send to its address and it forwards to one server, with
// one upstream socket per client as a NAT has. A [Tun] joins two network namespaces by TUN devices, so that kernel TCP
// and any program can run across the link; it needs root. Both are driven by the same engine: one locked thread that
// reads batches, keeps packets in one [simnet.Link] per direction and sends them when they are due.
//
// All clients of a Relay share its two links, as hosts behind one access line do.
//
// # Precision
//
// Each datagram is treated by itself, even where the kernel hands over a coalesced super-packet. Its time of arrival is
// the kernel's receive timestamp, so that a relay that wakes late does not delay packets that are not yet due. A TUN
// device gives no such time: there a late wake-up delays what arrives as well, and what a sender at the rate of the link
// has lost so stands in the queue from then on. Packets leave late by what the kernel needs to wake a sleeping thread,
// and in dense traffic by up to 50 us more: some 40 us in the median on an idle machine, see BenchmarkRelay. As root the
// engine's thread is one of real time, or of nice -20 where that is not to be had. [Stats] says how late packets were
// and what the engine itself lost; a measurement with [Stats.Overruns] well above zero says more about the emulator than
// about the transport.
//
// # Limits
//
// Linux only; elsewhere the constructors fail with errors.ErrUnsupported. The relay carries no ECN marks and no ICMP
// errors. IP bytes of a relayed datagram are its payload plus 28 (IPv4) or 48 (IPv6), whatever the loopback did to it.
package wanlink
