package fasp

import "time"

// alarm wakes a session's loop. Timers of the runtime are a millisecond late where nothing else runs, in which 25 packets gather at
// 300 Mbit/s; what is due sooner than fineBelow is left to a timer of the system where there is one.
type alarm struct {
	timer *time.Timer
	fine  *fineTimer // nil: there is none, or time is not that of the system
}

const (
	fineBelow = 4 * time.Millisecond
	// fineLeast is how long packets gather at least: each wake costs as much time of the processor as sending several packets.
	fineLeast = 150 * time.Microsecond
)

// newAlarm returns an alarm; fine asks for timers of the system.
func newAlarm(fine bool) alarm {
	a := alarm{timer: time.NewTimer(time.Hour)}
	if fine {
		a.fine = newFineTimer()
	}
	return a
}

// set makes the alarm go off after d, in place of what was set before.
func (a *alarm) set(d time.Duration) {
	if a.fine != nil && d < fineBelow {
		if a.fine.set(max(d, fineLeast)) {
			a.timer.Stop()
			return
		}
		a.fine.close()
		a.fine = nil
	}
	a.timer.Reset(d)
}

// fired returns the channel of the system's timer.
func (a *alarm) fired() <-chan struct{} {
	if a.fine == nil {
		return nil
	}
	return a.fine.fired
}

func (a *alarm) stop() {
	a.timer.Stop()
	if a.fine != nil {
		a.fine.close()
	}
}
