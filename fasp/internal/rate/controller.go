package rate

import "time"

// Policy says how the rate is chosen. The values are those of fasp.Policy.
type Policy uint8

// Policies.
const (
	Fair Policy = iota
	High
	Low
	Fixed
)

// Limits of every rate, bit/s.
const (
	Max = 100e9 // above any link this transport has been built for
	Min = 64e3
)

// Sample is what one report says of the path. A report about a packet that is not the newest makes none.
type Sample struct {
	Now     time.Duration
	Sent    time.Duration // when the newest packet that the report knows was sent
	Arrived time.Duration // its arrival on the receiver's clock
	Smooth  time.Duration // smoothed round trip
	Queue   time.Duration // how long that packet waited on its way there, beyond the least
	Through uint64        // bytes sent up to that packet, since the session's beginning
	After   int64         // bytes sent behind it
	Acked   uint64        // bytes known to have arrived
	Lost    uint64        // bytes declared lost
	Missed  time.Duration // that the sender got no processor when it should have sent, before it sent that packet, since the session's beginning
	Marked  uint64        // packets that a queue on the way marked instead of dropping them
	Limited bool          // the application or the receiver held the sender back
}

// Controller chooses a rate. It is not safe for concurrent use.
type Controller interface {
	// OnSample learns from a report.
	OnSample(s *Sample)
	// OnCapacity learns what a train measured: the rate of the bottleneck, bit/s. It says nothing of other traffic. Again tells that
	// this is a better value from the same train.
	OnCapacity(now time.Duration, rate float64, again bool)
	// OnShortTrain learns that a train arrived in less time than can be measured: the bottleneck is too fast for its length.
	OnShortTrain(now time.Duration)
	// SetCeiling tells what target, grant and the receiver's storage allow, bit/s.
	SetCeiling(rate float64)
	// Rate returns the rate wanted, before the ceiling.
	Rate() float64
	// Known returns what the path was seen to take lately, bit/s, 0 = nothing is known yet.
	Known() float64
	// Train returns how many packets the next train should have, 0 = none is wanted now. A train that was begun is told by TrainSent.
	Train(now time.Duration) int
	TrainSent(now time.Duration)
	// SetTrains tells whether the path takes trains, as it does at first: where it does not, none is wanted, and that none came through says nothing.
	SetTrains(on bool)
	// Next returns when the rate changes by itself, for a drain; a negative time = not before the next sample.
	Next() time.Duration
	// Tick does what is due by now.
	Tick(now time.Duration)
	// SetPacket tells the IP bytes of a full packet from now on.
	SetPacket(bytes int)
	// Restart is called when reports come again after a silence, with the rate to go on at.
	Restart(now time.Duration, rate float64)
}

// Steady is the controller of policy fixed: it keeps the ceiling.
type Steady struct {
	ceiling float64
	marks   marks
	known   float64
}

// OnSample implements Controller.
func (s *Steady) OnSample(m *Sample) {
	if m.Limited {
		s.marks.clear()
		return
	}
	s.marks.add(mark{m.Arrived, m.Sent, m.Through, m.Acked, m.Now, m.Queue, m.Missed})
	if _, span := s.marks.rate(m.Smooth, 0); span >= m.Smooth {
		s.known = s.marks.acked(m.Smooth) // not what was sent: it does not ask whether the path takes that
	}
}

// Known implements Controller.
func (s *Steady) Known() float64 { return s.known }

// OnCapacity implements Controller.
func (s *Steady) OnCapacity(time.Duration, float64, bool) {}

// OnShortTrain implements Controller.
func (s *Steady) OnShortTrain(time.Duration) {}

// SetCeiling implements Controller.
func (s *Steady) SetCeiling(r float64) { s.ceiling = r }

// Rate implements Controller.
func (s *Steady) Rate() float64 { return s.ceiling }

// Train implements Controller.
func (s *Steady) Train(time.Duration) int { return 0 }

// TrainSent implements Controller.
func (s *Steady) TrainSent(time.Duration) {}

// SetTrains implements Controller.
func (s *Steady) SetTrains(bool) {}

// Next implements Controller.
func (s *Steady) Next() time.Duration { return -1 }

// Tick implements Controller.
func (s *Steady) Tick(time.Duration) {}

// SetPacket implements Controller.
func (s *Steady) SetPacket(int) {}

// Restart implements Controller.
func (s *Steady) Restart(time.Duration, float64) {}
