package fasp

// roomForStranger tells whether a data packet may be kept: strangers' may while the memory of all strangers is within its bound.
func (l *connLoop) roomForStranger() bool {
	most := l.c.e.cfg.Unproven
	return most == 0 || l.proven || l.c.e.unproven.Load() < most
}

// charge counts memory that the session takes. What it gives back is not counted: a layer above that has use for blocks of strangers does
// not bound them.
func (l *connLoop) charge(n int) {
	if l.c.e.cfg.Unproven > 0 && !l.proven {
		l.charged += int64(n)
		l.c.e.unproven.Add(int64(n))
	}
}

// blockMemory is about what is kept of a block beside what has arrived of it, the counts of its parity included.
const blockMemory = 1 << 10

// chargeBegun counts blocks that have begun: a packet of a kilobyte can begin hundreds.
func (l *connLoop) chargeBegun() {
	l.charge(int(l.core.Begun-l.begun) * blockMemory)
	l.begun = l.core.Begun
}

// prove takes the session out of the bound for strangers.
func (l *connLoop) prove() {
	l.proven = true
	l.c.e.unproven.Add(-l.charged)
	l.charged = 0
}
