package transfer

import (
	"sync"

	"github.com/zeebo/blake3"
)

// memory keeps which names a Run has had confirmed, so that a retry does not ask for them again. Names are
// kept as 16-byte cryptographic hashes, up to a limit; what is beyond it is settled by comparison with the
// destination instead. A nil memory remembers nothing. Safe for concurrent use.
type memory struct {
	limit int
	mu    sync.Mutex // protects names
	names map[id16]struct{}
}

func memoryKey(name string) id16 {
	sum := blake3.Sum256([]byte(name))
	return id16(sum[:16])
}

func (m *memory) add(name string) {
	if m == nil {
		return
	}
	k := memoryKey(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names == nil {
		m.names = make(map[id16]struct{})
	}
	if len(m.names) < m.limit {
		m.names[k] = struct{}{}
	}
}

func (m *memory) has(name string) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.names) == 0 {
		return false
	}
	_, ok := m.names[memoryKey(name)]
	return ok
}
