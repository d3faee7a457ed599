package wire

// FeatureSearch is the bit of transport parameter 7 for the search of datagram sizes (section 4.5).
const FeatureSearch = 1 << 4

// Size classes of data packets (section 5.6). Those from ClassOf8752 on lie between the ordinary and the largest size.
const (
	ClassOrdinary = 0 // the session's datagram size
	ClassLargest  = 1 // the largest that both sides receive
	ClassSmall    = 2 // MinDatagram
	ClassParity   = 3 // parity symbols (section 6), whose size is one of the others
	ClassOf8752   = 4
	ClassOf3952   = 5
	ClassOf1952   = 6

	Classes = 7 // the number of them; 7 is reserved
)

// Sizes holds by class the payload of a full data packet in bytes, 0 = the class is not used.
type Sizes [Classes]int

// NewSizes returns the sizes of a session with the given payload of class 0; largest is that of class 1, 0 = the two sides have not
// agreed on more than class 0.
func NewSizes(ordinary, largest int) Sizes {
	s := Sizes{ClassOrdinary: ordinary}
	if largest == 0 {
		return s
	}
	if small := MinDatagram - DataOverhead; small < ordinary {
		s[ClassSmall] = small
	}
	if largest > ordinary {
		s[ClassLargest] = largest
	}
	for class, datagram := range (Sizes{ClassOf8752: 8752, ClassOf3952: 3952, ClassOf1952: 1952}) {
		if p := datagram - DataOverhead; ordinary < p && p < largest {
			s[class] = p
		}
	}
	return s
}

// Of returns the class whose full packets have n bytes of payload, or -1.
func (s *Sizes) Of(n int) int {
	for class, p := range s {
		if p == n && n != 0 {
			return class
		}
	}
	return -1
}
