package simnet

// Stats counts what a Link has done. Counts are packets unless the name says bytes; bytes are IP bytes. At any time
// Sent + Duplicated = Delivered + InFlight + Lost().
type Stats struct {
	Sent           int64 `json:"sent"` // given to Send
	SentBytes      int64 `json:"sent_bytes"`
	Delivered      int64 `json:"delivered"` // taken by Recv, copies included
	DeliveredBytes int64 `json:"delivered_bytes"`
	InFlight       int64 `json:"in_flight"` // queued, on the wire, or arrived and not yet taken
	Forwarded      int64 `json:"forwarded"` // left or will leave the bottleneck
	ForwardedBytes int64 `json:"forwarded_bytes"`
	Duplicated     int64 `json:"duplicated"` // extra copies made
	HeldBack       int64 `json:"held_back"`  // delayed by ReorderProb

	LostCut          int64 `json:"lost_cut"`           // sent during an outage
	LostMTU          int64 `json:"lost_mtu"`           // larger than the MTU
	LostRandomBefore int64 `json:"lost_random_before"` // before the bottleneck, at random
	LostBurstBefore  int64 `json:"lost_burst_before"`  // before the bottleneck, in a burst
	LostQueue        int64 `json:"lost_queue"`         // did not fit the queue
	LostRandom       int64 `json:"lost_random"`        // after the bottleneck, at random
	LostBurst        int64 `json:"lost_burst"`         // after the bottleneck, in a burst

	MaxQueueBytes int64 `json:"max_queue_bytes"` // most bytes in the queue, the packet in transmission included
}

// Lost returns the packets lost for whatever reason.
func (s Stats) Lost() int64 {
	return s.LostCut + s.LostMTU + s.LostRandomBefore + s.LostBurstBefore + s.LostQueue + s.LostRandom + s.LostBurst
}

// Loss returns the realised share of the sent packets that was lost for whatever reason, 0 before the first.
func (s Stats) Loss() float64 { return share(s.Lost(), s.Sent) }

// LossAfter returns the realised loss after the bottleneck: the p of the bound C*P/W*(1-p), 0 before the first packet.
func (s Stats) LossAfter() float64 { return share(s.LostRandom+s.LostBurst, s.Forwarded) }

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
