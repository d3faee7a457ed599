package objstore

import (
	"log/slog"
	"time"
)

// Config are the settings of a Bucket. The zero Config is good; NewBucket copies it.
type Config struct {
	// PartSize is how large parts should be, in bytes. 0 or less means DefaultPartSize. They are larger where the
	// platform takes no more than so many of them.
	PartSize int64
	// Parallel is how many requests may be under way at most; the Bucket finds out how many are good. 0 or less means
	// 64, or 4 where Caps.Local says that there is no network.
	Parallel int
	// Pool bounds the memory of parts. nil means a Pool of its own of 8 parts of PartSize. It is not closed or changed by
	// the Bucket and may be shared with others.
	Pool *Pool
	// RetryTimeout is for how long a request that failed for a passing reason is tried again, counted from its first
	// failure. 0 means 10 minutes, below 0 that nothing is tried again.
	RetryTimeout time.Duration
	// StallTimeout is for how long a range that is read may bring less than 16 KiB before it is asked for again. 0 means 30 s,
	// below 0 no bound.
	StallTimeout time.Duration
	// NoHedge turns off that a part which takes much longer than others is sent a second time.
	NoHedge bool
	// Logger is told about retries and hedges, at level Debug, and about uploads that could not be aborted, at Warn.
	// nil means silent.
	Logger *slog.Logger
}

const (
	defaultParallel      = 64
	defaultParallelLocal = 4
	defaultRetryTimeout  = 10 * time.Minute
	defaultStallTimeout  = 30 * time.Second
	defaultPoolParts     = 8
	// abortTimeout is how long an upload that failed is given to be aborted after its context has ended.
	abortTimeout = 30 * time.Second
)

// resolved returns the settings with what their zero values stand for.
func (c Config) resolved(caps Caps) Config {
	if c.PartSize <= 0 {
		c.PartSize = DefaultPartSize
	}
	if c.Parallel <= 0 {
		c.Parallel = defaultParallel
		if caps.Local {
			c.Parallel = defaultParallelLocal
		}
	}
	if c.Pool == nil {
		c.Pool = NewPool(defaultPoolParts * c.PartSize)
	}
	if c.RetryTimeout == 0 {
		c.RetryTimeout = defaultRetryTimeout
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = defaultStallTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
