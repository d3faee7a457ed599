package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// MaxDatagram is the largest UDP payload over IPv4 in bytes: 65535 less 20 of
// IP header and 8 of UDP header. Nothing larger is sent, over IPv6 either.
const MaxDatagram = 65507

// defaultBuffer is the socket buffer asked for when Options leaves it zero.
const defaultBuffer = 7 << 20

// Options tunes a Socket. The zero value is the fastest setup the system has.
type Options struct {
	// ReadBuffer and WriteBuffer are the kernel socket buffers in bytes; zero
	// means 7 MiB, negative leaves the system's default. They are wishes: without
	// the privilege to exceed it, the system's limit holds.
	ReadBuffer, WriteBuffer int

	// NoGSO, NoGRO and NoBatch switch off segmentation offload, receive offload
	// and the many-messages-per-call system calls, each by itself.
	NoGSO, NoGRO, NoBatch bool

	// Portable forces the driver that uses ReadFrom and WriteTo only.
	Portable bool

	// DummyTail appends one datagram of one zero byte to every message that is
	// sent with GSO and whose segments are all of equal length. Some kernels
	// corrupt the headers of such messages; on those that are known it is always done. The receiver must ignore it. The
	// extra datagrams are counted in Stats.DummiesOut only.
	DummyTail bool
}

// Train is a run of datagrams to one address, or from it.
type Train struct {
	// Addr is the destination, where an IPv4-mapped IPv6 address means the IPv4 one, or the sender, which is never in that form.
	Addr netip.AddrPort
	// Buf holds the datagrams one after the other, each Seg bytes long; the last
	// may be shorter. To be sent, an empty Buf is a train of no datagrams; the socket only
	// reads it, and not after WriteTrains has returned.
	Buf []byte
	// Seg is the length of a datagram in bytes. Zero or negative means that Buf
	// is one datagram.
	Seg int
	// ECN is the ECN field of all datagrams, 0 to 3 (RFC 3168 section 5). Where Socket.ECN
	// is false it is ignored when sent, and 0 when received. The rest of the TOS byte is what the socket had when New took it.
	ECN uint8
	// Age is how long before the end of ReadBatch the system received the train, to the microsecond or so; 0 where it does not say.
	Age time.Duration
}

// Len returns how many datagrams a received train has, at least one.
func (t *Train) Len() int {
	if len(t.Buf) == 0 {
		return 1
	}
	return (len(t.Buf) + t.seg() - 1) / t.seg()
}

// At returns datagram i of a received train, 0 to Len-1, with no capacity beyond its end.
func (t *Train) At(i int) []byte {
	seg := t.seg()
	end := min((i+1)*seg, len(t.Buf))
	return t.Buf[i*seg : end : end]
}

// seg returns the length of the train's datagrams, the last one excepted.
func (t *Train) seg() int {
	if t.Seg <= 0 || t.Seg > len(t.Buf) {
		return len(t.Buf)
	}
	return t.Seg
}

// Stats counts what a Socket did since New. Bytes are UDP payload.
type Stats struct {
	DatagramsIn, BytesIn   uint64
	DatagramsOut, BytesOut uint64 // handed to the system without an error

	SyscallsIn, SyscallsOut uint64 // calls that were made, failed ones included

	GSOSends     uint64 // messages sent that carried more than one datagram
	GROReceives  uint64 // messages received that carried more than one datagram
	GSOFallbacks uint64 // messages refused with GSO and sent again as single datagrams
	DummiesOut   uint64 // dummy tail datagrams

	ECN        bool   // ECN fields are sent and read (Socket.ECN)
	ECNRefused uint64 // messages that the system would not send with an ECN field, sent again without

	KernelDrops uint64 // datagrams the system dropped because the read buffer was full (Linux fast driver only)
	SendDrops   uint64 // datagrams dropped locally for want of buffers; to the transport these are lost packets
	Oversize    uint64 // datagrams not sent because they do not fit the interface
	SendErrors  uint64 // datagrams not sent for another reason
	PathErrors  uint64 // ICMP errors and the like that the system reported while reading
}

// Add adds the counts of another socket; a property that only one of them has is not one of both.
func (s *Stats) Add(o Stats) {
	s.ECN = o.ECN && (s.ECN || s.SyscallsIn+s.SyscallsOut == 0)
	s.DatagramsIn += o.DatagramsIn
	s.BytesIn += o.BytesIn
	s.DatagramsOut += o.DatagramsOut
	s.BytesOut += o.BytesOut
	s.SyscallsIn += o.SyscallsIn
	s.SyscallsOut += o.SyscallsOut
	s.GSOSends += o.GSOSends
	s.GROReceives += o.GROReceives
	s.GSOFallbacks += o.GSOFallbacks
	s.DummiesOut += o.DummiesOut
	s.ECNRefused += o.ECNRefused
	s.KernelDrops += o.KernelDrops
	s.SendDrops += o.SendDrops
	s.Oversize += o.Oversize
	s.SendErrors += o.SendErrors
	s.PathErrors += o.PathErrors
}

// SizeError says that a datagram does not fit the outgoing interface.
type SizeError struct {
	Addr netip.AddrPort
	Size int // bytes of UDP payload
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("udp: datagram of %d bytes to %v is too large to send unfragmented", e.Size, e.Addr)
}

// SendError says that the system would not send to an address. Err is its
// reason, such as syscall.ENETUNREACH.
type SendError struct {
	Addr netip.AddrPort
	Err  error
}

func (e *SendError) Error() string { return fmt.Sprintf("udp: send to %v: %v", e.Addr, e.Err) }

func (e *SendError) Unwrap() error { return e.Err }

// Socket is a UDP socket with batch I/O. Make one with New.
type Socket struct {
	pc    net.PacketConn
	drv   driver
	local netip.AddrPort
	c     counters

	closeOnce sync.Once
	closeErr  error
}

// driver is how a Socket reaches the system.
type driver interface {
	// newReceiver returns a receiver with buffers of its own.
	newReceiver() receiver
	// writeTrains sends and returns what Socket.WriteTrains returns.
	writeTrains(trains []Train) error
	gso() bool
	gro() bool
	ecn() bool
	// sleep does what Socket.Sleep says.
	sleep(d time.Duration) bool
}

// receiver is the part of a Batch that belongs to the driver.
type receiver interface {
	// read blocks for at least one datagram. Unless it fails, nobody else may read until done.
	read() ([]Train, error)
	// try is read that does not wait. If it returns nothing, done is not to be called.
	try() []Train
	done()
	// keep does what Batch.Keep says, for t, which is train i of the last read or a part of it.
	keep(i int, t Train) (Train, *Buffer)
	// kept does what Batch.Kept says.
	kept() int
}

// counters are the live Stats; updated once per system call or batch.
type counters struct {
	datagramsIn, bytesIn, datagramsOut, bytesOut         atomic.Uint64
	syscallsIn, syscallsOut                              atomic.Uint64
	gsoSends, groReceives, gsoFallbacks, dummies         atomic.Uint64
	ecnRefused                                           atomic.Uint64
	kernelDrops, sendDrops, oversize, sendErrs, pathErrs atomic.Uint64
}

// New wraps pc and owns it from then on: Socket.Close closes it. If New fails,
// pc is left open. pc must not be connected.
//
// On Linux a *net.UDPConn gets the fast driver. Any other connection is driven
// through ReadFrom and WriteTo with *net.UDPAddr addresses, or through
// ReadFromUDPAddrPort and WriteToUDPAddrPort where it has them.
func New(pc net.PacketConn, o Options) (*Socket, error) {
	local, err := addrPortOf(pc.LocalAddr())
	if err != nil {
		return nil, fmt.Errorf("udp: local address: %w", err)
	}
	s := &Socket{pc: pc, local: local}
	uc, ok := pc.(*net.UDPConn)
	if ok {
		if uc.RemoteAddr() != nil {
			return nil, errors.New("udp: the socket is connected")
		}
		if err := tune(uc, o); err != nil {
			return nil, fmt.Errorf("udp: set up %v: %w", local, err)
		}
	}
	if ok && !o.Portable {
		s.drv, err = newFastDriver(uc, o, &s.c)
		if err != nil {
			return nil, fmt.Errorf("udp: set up %v: %w", local, err)
		}
	}
	if s.drv == nil {
		s.drv = newPortableDriver(pc, &s.c)
	}
	return s, nil
}

// Batch holds datagrams read by one call, and the Buffers they lie in. It
// belongs to the Socket it was made for and to one goroutine at a time.
type Batch struct {
	// Trains are the datagrams of the last ReadBatch, in order of arrival: those of a train came together from one address. A train whose Buf is
	// empty is one empty datagram. They are valid until the next ReadBatch with this Batch, or beyond that where Keep was called.
	Trains []Train

	sock *Socket
	recv receiver
	held bool // by ReadBatch
}

// NewBatch returns an empty Batch for s.
func (s *Socket) NewBatch() *Batch {
	return &Batch{sock: s, recv: s.drv.newReceiver()}
}

// Keep returns t, which is Trains[i] or some datagrams of it, such that it stays valid until Release of the Buffer beside it, which the caller owes. Short
// ones are copied, others stay where they are.
func (b *Batch) Keep(i int, t Train) (Train, *Buffer) { return b.recv.keep(i, t) }

// Kept returns how many Buffers of b are held by those who kept them. It may be called at any time by any goroutine.
func (b *Batch) Kept() int { return b.recv.kept() }

// ReadBatch blocks until at least one datagram has come, and fills b.Trains
// with all that were ready, up to the capacity of b. It waits, too, while as many Buffers of b are kept as
// there may be. Errors that the network
// reported for datagrams sent earlier (ICMP) do not end it; they are counted in
// Stats.PathErrors. If it returns an error b.Trains is empty; the error matches
// net.ErrClosed after Close, and os.ErrDeadlineExceeded after the deadline.
//
// Until the next call, or that of b.Done, TryBatch does nothing.
func (s *Socket) ReadBatch(b *Batch) error {
	if b.sock != s {
		panic("BUG: udp: ReadBatch with the Batch of another Socket")
	}
	b.Done()
	var err error
	if b.Trains, err = b.recv.read(); err != nil {
		return err
	}
	b.held = true
	s.count(b.Trains)
	return nil
}

// Done says that the trains of the last ReadBatch have been dealt with.
func (b *Batch) Done() {
	if b.held {
		b.held = false
		b.recv.done()
	}
}

// TryBatch is for other goroutines than the one that calls ReadBatch, which may have to wait for a processor, and would not see what has come: it calls fn
// with trains, of which the same holds as of b.Trains until fn returns, if something has come, and if nobody deals with other trains of b meanwhile. It does not wait, and
// does nothing where there is no way to (the portable driver).
func (s *Socket) TryBatch(b *Batch, fn func(trains []Train)) {
	trains := b.recv.try()
	if len(trains) == 0 {
		return
	}
	defer b.recv.done()
	s.count(trains)
	fn(trains)
}

func (s *Socket) count(trains []Train) {
	var n, bytes int
	for i := range trains {
		n += trains[i].Len()
		bytes += len(trains[i].Buf)
	}
	s.c.datagramsIn.Add(uint64(n))
	s.c.bytesIn.Add(uint64(bytes))
}

// WriteTrains sends all trains in order and returns when the system has taken
// them. It waits while the socket's write buffer is full. Datagrams that the
// system then still drops for want of buffers are counted in Stats.SendDrops and
// are no error: to the sender they are lost packets like any other.
//
// A train that cannot be sent does not stop the others. It is reported, once
// per train, as a *SizeError for datagrams that do not fit the interface (the
// shorter last datagram is sent if it fits) or a *SendError for anything else
// (the rest of the train is given up). With more than one such train the errors
// are joined by errors.Join. After Close the error matches net.ErrClosed, and
// what was not sent by then is not sent.
func (s *Socket) WriteTrains(trains []Train) error {
	return s.drv.writeTrains(trains)
}

// Stats returns a copy of the counters.
func (s *Socket) Stats() Stats {
	c := &s.c
	return Stats{
		DatagramsIn: c.datagramsIn.Load(), BytesIn: c.bytesIn.Load(),
		DatagramsOut: c.datagramsOut.Load(), BytesOut: c.bytesOut.Load(),
		SyscallsIn: c.syscallsIn.Load(), SyscallsOut: c.syscallsOut.Load(),
		GSOSends: c.gsoSends.Load(), GROReceives: c.groReceives.Load(), GSOFallbacks: c.gsoFallbacks.Load(),
		DummiesOut: c.dummies.Load(), ECN: s.drv.ecn(), ECNRefused: c.ecnRefused.Load(),
		KernelDrops: c.kernelDrops.Load(), SendDrops: c.sendDrops.Load(),
		Oversize: c.oversize.Load(), SendErrors: c.sendErrs.Load(), PathErrors: c.pathErrs.Load(),
	}
}

// LocalAddr returns the address the socket is bound to.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// GSO reports whether trains are sent with segmentation offload. It can turn
// from true to false when the network device proves unable, and back ten minutes later.
func (s *Socket) GSO() bool { return s.drv.gso() }

// GRO reports whether datagrams are received with receive offload.
func (s *Socket) GRO() bool { return s.drv.gro() }

// ECN reports whether the ECN fields of datagrams are set as Train says, and read
// into Packet: on Linux, where the system took the options. It does not change.
func (s *Socket) ECN() bool { return s.drv.ecn() }

// Sleep blocks the calling thread for d, or less when a signal comes, and
// returns true. Timers of the runtime are up to a millisecond late; this is some
// 70 microseconds late (the kernel's timer slack is 50), but nothing can wake
// it, so d should be short. Where there is no such sleep, which is everywhere
// but with the fast driver of Linux, it returns false at once.
func (s *Socket) Sleep(d time.Duration) bool { return s.drv.sleep(d) }

// SetReadDeadline sets the time after which ReadBatch fails; zero means never.
func (s *Socket) SetReadDeadline(t time.Time) error { return s.pc.SetReadDeadline(t) }

// Close closes the connection. It may be called more than once and from any
// goroutine; later calls return what the first one did.
func (s *Socket) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.pc.Close() })
	return s.closeErr
}

// addrPortOf returns the address of a, unmapped.
func addrPortOf(a net.Addr) (netip.AddrPort, error) {
	if u, ok := a.(*net.UDPAddr); ok {
		return unmap(u.AddrPort()), nil
	}
	if a == nil {
		return netip.AddrPort{}, errors.New("none")
	}
	ap, err := netip.ParseAddrPort(a.String())
	return unmap(ap), err
}

// unmap turns an IPv4-mapped IPv6 address into the IPv4 one.
func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// bufferSize is the socket buffer that an Options field asks for; zero means to
// leave it alone.
func bufferSize(option int) int {
	if option == 0 {
		return defaultBuffer
	}
	return max(option, 0)
}
