package fasp

import "sync"

// bufferClasses are the capacities of block buffers: powers of two and a little, because a block is a round number of bytes
// and a header.
var bufferClasses = [...]int{2 << 10, 5 << 10, 9 << 10, 17 << 10, 33 << 10, 65 << 10, 129 << 10, 257 << 10, 513 << 10, MaxBlock}

// buffer is memory for one block. Exactly one of the session's goroutine and the holder of the Block owns it.
type buffer struct {
	data  []byte // at full length
	class int
}

// bufferClass returns the class of buffers for n bytes.
func bufferClass(n int) int {
	class := 0
	for bufferClasses[class] < n {
		class++
	}
	return class
}

// bufferPool hands out buffers; it is safe for concurrent use. What is not in use is left to the collector.
type bufferPool struct {
	pools [len(bufferClasses)]sync.Pool
}

// get returns a buffer of at least n bytes, n at most MaxBlock.
func (p *bufferPool) get(n int) *buffer {
	class := bufferClass(n)
	if b, ok := p.pools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{data: make([]byte, bufferClasses[class]), class: class}
}

func (p *bufferPool) put(b *buffer) { p.pools[b.class].Put(b) }
