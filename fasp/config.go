package fasp

import (
	"log/slog"
	"time"
)

// Cipher names how data packets are sealed (docs/protocol.md section 4.5). All of them authenticate every byte;
// the Clear ones leave the payload of data packets readable, never control messages.
type Cipher uint8

// Ciphers. The values are those on the wire.
const (
	AES128      Cipher = 1
	AES192      Cipher = 2
	AES256      Cipher = 3
	ClearAES128 Cipher = 0x81 // payload in clear, authenticated
)

// Config sets up an Endpoint and the sessions on it. The zero value is a good client. An Endpoint copies it.
type Config struct {
	// Identity is the server's key. Listening endpoints must have one; nil means this endpoint only dials.
	Identity *Identity

	// VerifyServer is called while dialing with the fingerprint of the server's key; its error ends the
	// handshake and matches ErrIdentity. nil refuses every server: there is no session with an unknown one.
	VerifyServer func(Fingerprint) error

	// Ciphers are those this side accepts, best first; the server picks the client's first that it accepts itself. Empty means
	// AES128, AES256, AES192 for a client and, for a server, every cipher.
	Ciphers []Cipher

	// Datagram is the largest UDP payload to send and receive from the start, 1,200 to 65,507 bytes. 0 means what fits an MTU of
	// 1,500: 1,472 bytes on IPv4, 1,452 on IPv6. Where that does not pass, a session goes on with 1,200 bytes by itself.
	Datagram int

	// MaxDatagram is the largest UDP payload that a session finds out by itself, in either direction, where path and peer take it; 0 means
	// what fits an MTU of 9,000: 8,972 bytes on IPv4, 8,952 on IPv6. No more than Datagram means that no larger size is searched.
	MaxDatagram int

	// Window is the credit each session gives its peer from the start, in bytes of blocks that the layer above has not released; 0 means
	// 32 MiB. It grows with what the network holds half-arrived and with what the layer above takes in two round trips, up to WindowMax; 0 means 1 GiB.
	Window, WindowMax int64

	// Extents is how many extents each session grants its peer from the start, before the layer above has said how many it can serve
	// (docs/protocol.md section 7); 0 means InitialExtents.
	Extents uint64

	// Unproven bounds the memory for blocks, parity and messages of all sessions for which Conn.SetWindow has not been called, in bytes; 0 means no bound. So a
	// server can give strangers a window that fills a long path, and does not promise as much memory to each. What such a session has
	// received since its start counts, even if it was given back. What finds no room counts as lost on its way, and comes again, but for the first 128 KiB of
	// messages, by which a peer can prove who it is.
	Unproven int64

	// Sockets is how many sockets Listen opens for one address on an endpoint that accepts, each with a reader of its own, so that what comes for many peers is
	// received on several processors (Linux; elsewhere one): 1 to 64; 0 is one for each four processors. A session's packets may come by any of them.
	Sockets int

	// SendBuffer bounds the bytes of blocks leased by NewBlock and not yet acknowledged, per session; 0 means 1 GiB.
	// What is used is what the path needs: about 5 x rate x RTT at 30 % loss.
	SendBuffer int64

	// Grant is the most that a peer may send to this side, IP bits per second; 0 means no limit.
	Grant Rate

	// Rates are those a session starts with; see Conn.SetRates.
	Rates Rates

	// Paths remembers what paths take from one session to the next, and what the sessions of now know; nil means that an endpoint
	// keeps its own for as long as it lives.
	Paths *Paths

	// Tickets makes a client's sessions begin early where it holds a ticket of the server: Dial returns at once, and what is sent by then, up to 3 KiB of
	// messages, goes out behind the first packet, a round trip sooner (docs/protocol.md section 4.7). What is wrong with the
	// handshake then ends the session, in place of an error of Dial; see Session.Confirmed. nil means neither.
	Tickets *Tickets

	// Opening makes the first message of every session that is dialed, such as a proof of credentials, from keying material of the
	// session. It is called once, and again for a session that began early where the server
	// did not take that; then perhaps by another goroutine, after Dial. nil means none.
	Opening func(Exporter) ([]byte, error)

	// EarlyData makes a server hand out tickets and accept sessions that begin early. Whoever accepts sessions has to heed Session.Confirmed, which is why
	// it must be asked for.
	EarlyData bool

	// IdleTimeout ends a session in which nothing authentic arrives; 0 means 60 s, at least 1 s. The smaller of both sides' holds.
	IdleTimeout time.Duration

	// HandshakeTimeout bounds a handshake; 0 means 15 s.
	HandshakeTimeout time.Duration

	// MaxSessions bounds the sessions of an endpoint; more are refused. 0 means 256.
	MaxSessions int

	// MaxHalfOpen bounds handshakes in progress on a listening endpoint; 0 means 1,024. Above half of it clients have to prove their address first.
	MaxHalfOpen int

	// Node and Worker go into connection ids (docs/protocol.md section 3), 0-4095 and 0-63.
	Node, Worker uint32

	// Portable forces the socket driver that uses plain ReadFrom and WriteTo.
	Portable bool

	// Logger gets handshakes, closes and faults. nil is silent.
	Logger *slog.Logger
}

// InitialExtents is how many extents a session grants its peer from the start unless Config.Extents says otherwise.
const InitialExtents = 512

func (c Config) withDefaults(ipv6 bool) Config {
	def := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	def(&c.Window, 32<<20)
	def(&c.WindowMax, 1<<30)
	c.WindowMax = max(c.WindowMax, c.Window)
	if c.Extents == 0 {
		c.Extents = InitialExtents
	}
	def(&c.SendBuffer, 1<<30)
	c.SendBuffer = max(c.SendBuffer, 4*MaxBlock)
	c = c.withSizes(ipv6)
	if c.IdleTimeout == 0 {
		c.IdleTimeout = 60 * time.Second
	}
	c.IdleTimeout = max(c.IdleTimeout, time.Second)
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 15 * time.Second
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = 256
	}
	if c.MaxHalfOpen == 0 {
		c.MaxHalfOpen = 1024
	}
	if c.Paths == nil {
		c.Paths = new(Paths)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// withSizes fills in the sizes of datagrams.
func (c Config) withSizes(ipv6 bool) Config {
	headers := 28
	if ipv6 {
		headers = 48
	}
	if c.Datagram == 0 {
		c.Datagram = 1500 - headers
	}
	if c.MaxDatagram == 0 {
		c.MaxDatagram = 9000 - headers
	}
	return c
}
