package node

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxAPIConns bounds connections to the API, unless the system lets the process have fewer than twice as many open files.
const maxAPIConns = 16384

// conns bounds the connections of an HTTP server: where there are too many, the one that has been silent for longest is closed, of those that have never made a request if there is one, so that who opens
// thousands and says nothing keeps nobody out; where all speak, a new one is closed. The method state is for http.Server.ConnState.
type conns struct {
	most int

	mu     sync.Mutex // guards the rest
	total  int
	silent [2]*list.List // of net.Conn, longest first: those without a request yet, and those between two
	at     map[net.Conn]silentAt
}

// silentAt is where a connection stands in conns.silent.
type silentAt struct {
	list *list.List
	el   *list.Element
}

func newConns(most int) *conns {
	return &conns{most: most, silent: [2]*list.List{list.New(), list.New()}, at: map[net.Conn]silentAt{}}
}

func (c *conns) state(conn net.Conn, s http.ConnState) {
	c.mu.Lock()
	var victim net.Conn
	switch s {
	case http.StateNew:
		if c.total++; c.total > c.most {
			victim = c.longest()
		}
		if c.total > c.most && victim == nil {
			victim = conn // all others speak, or seem to
			break
		}
		c.falls(conn, c.silent[0])
	case http.StateActive:
		c.speaks(conn)
	case http.StateIdle:
		c.speaks(conn)
		c.falls(conn, c.silent[1])
	case http.StateClosed, http.StateHijacked:
		c.speaks(conn)
		c.total--
	}
	c.mu.Unlock()
	if victim == nil {
		return
	}
	if t, ok := victim.(*tls.Conn); ok {
		victim = t.NetConn() // whose Close waits for nobody
	}
	_ = victim.Close() // the server sees it, and counts it out
}

// falls puts a connection into those that are silent. The caller has the lock.
func (c *conns) falls(conn net.Conn, into *list.List) {
	c.at[conn] = silentAt{into, into.PushBack(conn)}
}

// speaks takes one out of them. The caller has the lock.
func (c *conns) speaks(conn net.Conn) {
	if at, ok := c.at[conn]; ok {
		at.list.Remove(at.el)
		delete(c.at, conn)
	}
}

// longest takes out the one that gives way, nil if none is silent. The caller has the lock.
func (c *conns) longest() net.Conn {
	for _, l := range c.silent {
		if e := l.Front(); e != nil {
			conn := e.Value.(net.Conn)
			c.speaks(conn)
			return conn
		}
	}
	return nil
}
