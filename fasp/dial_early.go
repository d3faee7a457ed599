package fasp

import (
	"context"
	"fmt"
)

// dialEarly makes c a session at once, whose goroutine does the handshake (docs/protocol.md section 4.7). With an error, d is still the caller's.
func (c *Conn) dialEarly(d *dialing) error {
	if err := c.openWith(d.h); err != nil {
		return err
	}
	c.server = d.session.server
	c.dial = d
	return c.e.adopt(c)
}

// openWith puts the message of Config.Opening at the head of the queue, in place of one that was bound to early data which the
// server did not take.
func (c *Conn) openWith(h *handshake) error {
	if c.e.cfg.Opening == nil || h.complete && c.dial != nil && !h.refused {
		return nil
	}
	msg, err := c.e.cfg.Opening(h.exporter())
	if err == nil && (len(msg) == 0 || len(msg) > MaxMessage) {
		err = ErrTooLarge
	}
	if err != nil {
		return fmt.Errorf("the opening message: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dial != nil {
		c.outMsgBytes -= len(c.outMessages[0])
		c.outMessages[0] = msg
	} else {
		c.outMessages = append(c.outMessages, msg)
	}
	c.outMsgBytes += len(msg)
	c.settled = false
	return nil
}

// openEarly does the handshake of a session that has begun.
func (c *Conn) openEarly() error {
	d := c.dial
	defer d.close()
	err := d.run(context.Background(), c)
	if err == nil {
		kept := c.loop.kept
		if err = c.opened(d); err == nil {
			c.loop.kept = kept
			c.dial = nil
			return nil
		}
	}
	return fmt.Errorf("open a session with %v: %w", d.addr, err)
}

// earlyBytes returns the begin of the message stream, as far as it is given and may go early.
func (c *Conn) earlyBytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return appendStream(nil, c.outMessages, maxEarly)
}

func (c *Conn) closeRequest() *closeRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// keep copies short packets that come before the keys: the server's flight may have been lost or overtaken. What exceeds that which a server may
// send so early is dropped.
func (c *Conn) keep(d delivery) {
	for i := range d.train.Len() {
		p := d.packet(i)
		if c.loop.beforehand += len(p.data); c.loop.beforehand <= maxUnconfirmed {
			p.data = append([]byte(nil), p.data...)
			c.loop.kept = append(c.loop.kept, p)
		}
	}
	c.done(d)
}
