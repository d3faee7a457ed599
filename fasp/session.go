package fasp

import (
	"context"
	"time"
)

// MaxMessage is the largest control message, in bytes.
const MaxMessage = 64 << 10

// Session is what the layer above needs of a transport: ordered control messages both ways and
// unordered blocks both ways, with credit. *Conn is the implementation over UDP. All methods may be
// called by several goroutines at once. Calls that wait return when ctx ends, or with the error that
// ended the session: ErrClosed, *PeerError, *ProtocolError, ErrIdleTimeout, ErrReset, ErrPathMTU.
type Session interface {
	// SendMessage queues one control message of 1 to MaxMessage bytes. Messages arrive in the order of
	// the calls, exactly once. It waits while more than 1 MiB of messages is unacknowledged. msg is copied.
	SendMessage(ctx context.Context, msg []byte) error
	// ReceiveMessage returns the next control message; the caller owns it.
	ReceiveMessage(ctx context.Context) ([]byte, error)
	// NewBlock leases a block with len(Data) == n, 1 to MaxBlock, from the send buffer; it waits while
	// the send buffer is full. Give it to SendBlock, or Release it.
	NewBlock(ctx context.Context, n int) (*Block, error)
	// SendBlock takes the block over and queues it. It waits while the receiver's extent grant does not cover
	// Block.Extent, and while more is queued than rate and credit let go. Blocks whose extents are granted overtake
	// those that wait. Blocks may arrive in any order.
	SendBlock(ctx context.Context, b *Block) error
	// ReceiveBlock returns a block that arrived whole. The caller must Release it.
	ReceiveBlock(ctx context.Context) (*Block, error)
	// Drained waits until every block and message given so far has been acknowledged by the peer's transport.
	Drained(ctx context.Context) error
	// Confirmed waits until it is certain that the other side is there now. A server's session that began early (Config.EarlyData) may be a recording of
	// another one's first packets until then: nothing may be written, deleted or ended for it, and little is sent. A client's that
	// began early is confirmed when the handshake is complete. All others are confirmed from the start, and it returns nil at once, whatever ctx says.
	Confirmed(ctx context.Context) error
	// SetRates changes this side's sending: takes effect at once. See Rates.
	SetRates(Rates)
	// SetGrant limits what the peer may send to this side, IP bits per second; 0 means no limit.
	SetGrant(Rate)
	// SetExtents raises how many extents the peer may open (Block.Extent); a lower number than before does nothing.
	SetExtents(n uint64)
	// SetDrain tells the peer how fast the layer above takes data away, in content bits per second, so that it does not
	// send faster; 0, as at the start, says nothing and limits nothing.
	SetDrain(Rate)
	// Stats returns a copy of the counters.
	Stats() Stats
	// Close ends the session at once; the peer is told code and reason (at most 1,024 bytes are sent).
	// It returns when everything the session started has ended. Later calls do nothing.
	Close(code Code, reason string) error
}

// Rates is what a sender is asked to do.
type Rates struct {
	Policy Policy
	Target Rate // ceiling, and the rate itself under Fixed. 0 = find the rate up to the grant (not allowed with Fixed)
	Min    Rate // floor under congestion, 0 = the transport's own minimum
}

// add adds the counts and rates of t, a session of the same bond.
func (s *Stats) add(t *Stats) {
	s.Busy = min(s.Busy, t.Busy)
	if t.Burst > 0 && (s.Burst == 0 || t.Burst < s.Burst) {
		s.Burst = t.Burst
	}
	s.Rate += t.Rate
	s.Granted += t.Granted
	s.Drain += t.Drain
	for _, c := range []struct {
		sum *uint64
		n   uint64
	}{
		{&s.Marked, t.Marked},
		{&s.PacketsSent, t.PacketsSent},
		{&s.PacketsReceived, t.PacketsReceived},
		{&s.BytesSent, t.BytesSent},
		{&s.BytesReceived, t.BytesReceived},
		{&s.PeerPackets, t.PeerPackets},
		{&s.DataSent, t.DataSent},
		{&s.Resent, t.Resent},
		{&s.TailCopies, t.TailCopies},
		{&s.ParitySent, t.ParitySent},
		{&s.BlocksDecoded, t.BlocksDecoded},
		{&s.Lost, t.Lost},
		{&s.SpuriousLoss, t.SpuriousLoss},
		{&s.SymbolsReceived, t.SymbolsReceived},
		{&s.Duplicates, t.Duplicates},
		{&s.BlocksSent, t.BlocksSent},
		{&s.BlocksReceived, t.BlocksReceived},
		{&s.BlockBytesSent, t.BlockBytesSent},
		{&s.BlockBytesReceived, t.BlockBytesReceived},
		{&s.Dropped, t.Dropped},
		{&s.Breaker, t.Breaker},
		{&s.SizeFalls, t.SizeFalls},
		{&s.Rekeys, t.Rekeys},
		{&s.LocalDrops, t.LocalDrops},
		{&s.CreditWaits, t.CreditWaits},
	} {
		*c.sum += c.n
	}
}

// Stats is a snapshot of a session. Rates and counts are since the session began unless said otherwise.
type Stats struct {
	Since    time.Duration // age of the session
	RTT      time.Duration // smoothed round trip, 0 until measured
	MinRTT   time.Duration
	Rate     Rate    // current sending rate
	Granted  Rate    // the peer's grant to this side, 0 = none
	Drain    Rate    // how fast the peer's storage takes data away, as it says; 0 = it does not limit
	Level    Rate    // most that this endpoint lets each of its sessions send or be sent, Fixed ones too, because its processors are overloaded (docs/protocol.md section 9.2); 0 = they are not
	Datagram int     // size of full data packets, bytes of UDP payload; a search, or a path that changes, moves it
	Burst    int     // most packets that are sent at once, because the path was seen to lose what comes behind them (docs/protocol.md section 9), trains apart; 0 = no such limit; of a Bond the least
	Busy     float64 // share of the last second in which the session's goroutine was at work, 0..1; of a Bond the least busy session's
	Loss     float64 // share of this side's packets lost, last few seconds, 0..1
	ECN      ECNState
	Marked   uint64 // our packets that a queue on the way marked with CE instead of dropping them, as the peer tells

	PacketsSent, PacketsReceived uint64
	BytesSent, BytesReceived     uint64 // IP bytes
	PeerPackets                  uint64 // packets the peer has sent, by their numbers: those that were lost are counted, and a few numbers that it leaves out
	DataSent                     uint64 // data packets, copies included
	Resent                       uint64 // data packets that repeat a symbol declared lost
	TailCopies                   uint64 // data packets sent beside that
	ParitySent                   uint64 // parity packets sent, not part of DataSent
	BlocksDecoded                uint64 // of BlocksReceived, those that were completed by parity
	Lost                         uint64 // our packets declared lost
	SpuriousLoss                 uint64 // of those, reported as received afterwards
	SymbolsReceived              uint64 // distinct
	Duplicates                   uint64 // data packets whose symbol was there already
	BlocksSent, BlocksReceived   uint64 // acknowledged; arrived whole
	BlockBytesSent               uint64 // bytes of acknowledged blocks
	BlockBytesReceived           uint64 // bytes of blocks that arrived whole
	Dropped                      uint64 // packets dropped as forged, replayed, malformed or unwanted, and data and parity that could not be kept
	Breaker                      uint64 // times the circuit breaker opened
	SizeFalls                    uint64 // times packets of the size in use ceased to pass, and smaller ones were sent from then on
	Rekeys                       uint64
	LocalDrops                   uint64 // packets of the peer that reached this host and found no room in it, which are no loss of the path; what the socket dropped is counted where it has no other session
	CreditWaits                  uint64 // times sending waited for the receiver's credit
}
