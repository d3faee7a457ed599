package fasp

import "github.com/tradewind-io/tradewind/fasp/internal/core"

// ECNState says whether a session marks its packets with ECT(0), so that queues on the way can tell of congestion without dropping
// (docs/protocol.md section 8.6). A session does so by itself where both sockets and the path can. The zero value is ECNOff.
type ECNState uint8

// States of Stats.ECN.
const (
	ECNOff     = ECNState(core.ECNOff)     // one of both sides cannot: Linux with its own driver is needed
	ECNTesting = ECNState(core.ECNTesting) // nothing is known of the path yet
	ECNCapable = ECNState(core.ECNCapable) // packets are marked
	ECNFailed  = ECNState(core.ECNFailed)  // the path drops, clears or changes marks
)

// String returns off, testing, capable or failed.
func (s ECNState) String() string {
	switch s {
	case ECNTesting:
		return "testing"
	case ECNCapable:
		return "capable"
	case ECNFailed:
		return "failed"
	}
	return "off"
}
