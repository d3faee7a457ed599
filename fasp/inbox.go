package fasp

import (
	"net/netip"
	"time"

	"github.com/tradewind-io/tradewind/fasp/internal/udp"
)

// What may wait for a session: deliveries, each of which holds a buffer, and bytes of payload. It is what comes in the milliseconds that a session may have to
// wait for a processor.
const (
	inboxTrains = 1024
	inboxBytes  = 8 << 20
	inboxLarge  = 256 // deliveries in large buffers, so that one session does not hold all that the endpoint has
)

// delivery is a run of packets that came together for one session, which owes its buffer a Release.
type delivery struct {
	train udp.Train
	at    time.Duration // when it came to this host
	buf   *udp.Buffer
}

// packet is a datagram within a delivery.
type packet struct {
	data []byte
	from netip.AddrPort
	at   time.Duration // when it came to this host
	ecn  uint8
}

func (d *delivery) packet(i int) packet {
	return packet{d.train.At(i), d.train.Addr, d.at, d.train.ECN}
}

// put leaves d to the session, or returns false if there is no room for it. One goroutine at a time calls it (Endpoint.take).
func (c *Conn) put(d delivery) bool {
	large := d.buf.Large()
	if c.queued.Load() > inboxBytes || len(c.inbox) == cap(c.inbox) || large && c.large.Load() >= inboxLarge {
		return false
	}
	c.queued.Add(int64(len(d.train.Buf)))
	if large {
		c.large.Add(1)
	}
	c.inbox <- d // nobody else puts anything in
	if c.gone.Load() {
		c.empty() // it ended after it was looked up: nobody else would release d
	}
	return true
}

// hold waits while what waits for the session is half of what there is room for, so that the rest waits in the socket. Where there are other sessions they would wait, too.
func (c *Conn) hold() {
	c.lighter.L.Lock()
	defer c.lighter.L.Unlock()
	c.held.Add(1)
	defer c.held.Add(-1)
	for (c.queued.Load() > inboxBytes/2 || c.large.Load() > inboxLarge/2 || len(c.inbox) > inboxTrains/2) && !c.gone.Load() {
		c.lighter.Wait()
	}
}

// unhold lets go on who waits in hold.
func (c *Conn) unhold() {
	if c.held.Load() > 0 {
		c.lighter.L.Lock() // who waits has looked at what there was, and waits, or sees what is now
		c.lighter.Broadcast()
		c.lighter.L.Unlock()
	}
}

// done says that what was taken from the inbox has been dealt with.
func (c *Conn) done(d delivery) {
	c.queued.Add(-int64(len(d.train.Buf)))
	if d.buf.Large() {
		c.large.Add(-1)
	}
	c.unhold()
	d.buf.Release()
}

// empty releases what waits in the inbox of a session that has ended: the session itself does, and who puts something in after that.
func (c *Conn) empty() {
	for {
		select {
		case d := <-c.inbox:
			c.done(d)
		default:
			return
		}
	}
}
