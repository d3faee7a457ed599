package wanlink

import (
	"errors"
	"net/netip"
	"time"

	"github.com/tradewind-io/tradewind/internal/simnet"
)

// Config describes a Relay.
type Config struct {
	// Listen is the address that clients send to. The zero value means 127.0.0.1 and a free port.
	Listen netip.AddrPort

	// Target is the server that datagrams are forwarded to. Required, of the same family as Listen.
	Target netip.AddrPort

	// Forward applies from clients to the server, Backward from the server to clients. Times in Cuts and Down count
	// from NewRelay.
	Forward, Backward simnet.Impair

	// Seed determines which packets the impairments hit, as far as real time allows.
	Seed uint64

	// SocketBuffer is the size of kernel receive and send buffers in bytes; 0 means 7 MiB. Without root the kernel
	// may grant less.
	SocketBuffer int

	// MaxClients bounds the clients served at once; 0 means 256. A further client takes the place of the one that has
	// been silent longest.
	MaxClients int

	// MaxInFlight bounds the payload bytes kept in both directions; 0 means 1 GiB. Datagrams beyond are dropped and
	// counted in Stats as Overflows.
	MaxInFlight int64
}

// TunConfig describes a Tun.
type TunConfig struct {
	// Forward applies from endpoint A to B, Backward from B to A.
	Forward, Backward simnet.Impair

	// Seed is as in Config.
	Seed uint64

	// MTU of both devices in IP bytes; 0 means 1500.
	MTU int

	// MaxInFlight is as in Config.
	MaxInFlight int64

	// Rest is how long the engine sleeps between rounds while traffic is dense, so how late packets may be and how many leave
	// together; 0 means 50 us. On a virtual machine half of the engine's processor time goes to that timer: with 250 us it takes
	// the half at 500 Mbit/s.
	Rest time.Duration
}

// Stats is what an engine has done so far.
type Stats struct {
	Forward  DirectionStats `json:"forward"`
	Backward DirectionStats `json:"backward"`

	// CPU is the processor time that the engine's thread has used while running.
	CPU time.Duration `json:"cpu_ns"`
}

// DirectionStats describes one direction: the link, and how well the engine kept up with it.
type DirectionStats struct {
	simnet.Stats

	// LatenessP50, LatenessP99 and LatenessMax say how long after their due time packets had left the engine.
	LatenessP50 time.Duration `json:"lateness_p50_ns"`
	LatenessP99 time.Duration `json:"lateness_p99_ns"`
	LatenessMax time.Duration `json:"lateness_max_ns"`

	Late        int64 `json:"late"`         // packets that left more than LateAfter after they were due
	SocketDrops int64 `json:"socket_drops"` // dropped by the kernel before the engine read them
	SendErrors  int64 `json:"send_errors"`  // refused by the kernel when the engine sent them
	Overflows   int64 `json:"overflows"`    // dropped because of MaxInFlight
}

// LateAfter is the lateness from which a packet counts as late.
const LateAfter = time.Millisecond

// Overruns returns the packets of both directions that the engine itself lost or delayed noticeably.
func (s Stats) Overruns() int64 {
	n := int64(0)
	for _, d := range []DirectionStats{s.Forward, s.Backward} {
		n += d.Late + d.SocketDrops + d.SendErrors + d.Overflows
	}
	return n
}

var (
	// ErrNeedRoot is returned by NewTun when the process may not make namespaces or TUN devices.
	ErrNeedRoot = errors.New("wanlink: TUN devices and network namespaces need root")

	// ErrClosed is returned by calls on a Relay or Tun that has ended.
	ErrClosed = errors.New("wanlink: closed")
)

const (
	defaultSocketBuffer = 7 << 20
	defaultMaxClients   = 256
	defaultMaxInFlight  = 1 << 30
	defaultMTU          = 1500
)
