package apibed

import (
	"context"
	"runtime"
	"time"
)

// HeapWatch samples the heap until stop, which returns how much it grew at most. The collector runs often meanwhile, so that garbage does not count for much.
func HeapWatch() (stop func() uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, uint64(0)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			<-tick.C
		}
	}()
	return func() uint64 {
		cancel()
		<-done
		return most - min(most, before)
	}
}
