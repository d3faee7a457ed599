package fasp

import "sync"

// sealedPackets is memory for the packets of one turn of a session, from when they are sealed until the system has copied them. Sessions share few of
// them, so that they stay in the processor's caches.
type sealedPackets struct{ buf []byte }

var sealedPool = sync.Pool{New: func() any { return new(sealedPackets) }}

// takeSealed returns memory for n bytes, of length 0.
func takeSealed(n int) *sealedPackets {
	s := sealedPool.Get().(*sealedPackets)
	if cap(s.buf) < n {
		s.buf = make([]byte, 0, n)
	}
	return s
}

func (s *sealedPackets) release() { sealedPool.Put(s) }
