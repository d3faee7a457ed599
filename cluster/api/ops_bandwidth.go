package api

// Bandwidth is how fast transfers were: the answer of GET /ops/transfers/bandwidth. Times are seconds since 1970, rates bits of content per second.
type Bandwidth struct {
	CurrentTime int64         `json:"current_time"`
	StartTime   int64         `json:"start_time"`
	EndTime     int64         `json:"end_time"` // exclusive
	Step        int64         `json:"step"`     // seconds that a point is the mean of
	Send        BandwidthSide `json:"send"`     // what left the node
	Receive     BandwidthSide `json:"receive"`  // what came to it
}

// BandwidthSide is one direction.
type BandwidthSide struct {
	Transfers []BandwidthTransfer `json:"transfers"`           // those that moved last first
	MaxLeft   int64               `json:"max_left,omitempty"`  // the last time before StartTime of which something is known
	MinRight  int64               `json:"min_right,omitempty"` // the first time from EndTime on of which something is known
}

// BandwidthTransfer is one transfer.
type BandwidthTransfer struct {
	ID       string           `json:"id"`
	Data     []BandwidthPoint `json:"data"`
	LastTime int64            `json:"last_time"` // the last of which something is known, also after EndTime
	MaxRate  int64            `json:"max_rate"`  // of Data
}

// BandwidthPoint is the mean rate of the step that begins at Time.
type BandwidthPoint struct {
	Time int64 `json:"time"`
	Rate int64 `json:"rate"`
}
