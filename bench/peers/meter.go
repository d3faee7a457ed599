package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// bin is how finely the meter looks.
const bin = 100 * time.Millisecond

// metered is what a receiver writes: new bytes in each bin, from the first byte on.
type metered struct {
	Bins []int64 `json:"bins"`
	// Beside is the same of a TCP that ran beside ours; both from when the second of them had its first byte.
	Beside []int64 `json:"beside,omitempty"`
}

// rateOf returns the average over bins in Mbit/s.
func rateOf(bins []int64) float64 {
	n := int64(0)
	for _, v := range bins {
		n += v
	}
	return float64(n) * 8 / 1e6 / (float64(len(bins)) * bin.Seconds())
}

// meter counts what arrives for a time from the first byte on, or until ctx ends, and writes it to a file.
type meter struct {
	n     atomic.Int64
	limit time.Duration
	out   string
	other *meter // of a TCP beside ours, may be nil
}

// Write implements io.Writer: bytes are counted and forgotten.
func (m *meter) Write(b []byte) (int, error) {
	m.n.Add(int64(len(b)))
	return len(b), nil
}

// run measures and returns when the file is written.
func (m *meter) run(ctx context.Context) error {
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for m.n.Load() == 0 || m.other != nil && m.other.n.Load() == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
	t.Reset(bin)
	var got metered
	last, lastOther := m.n.Load(), int64(0)
	if m.other == nil {
		last = 0
	} else {
		lastOther = m.other.n.Load()
	}
	for begin := time.Now(); time.Since(begin) < m.limit-bin/2 && ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-t.C:
			n := m.n.Load()
			got.Bins = append(got.Bins, n-last)
			last = n
			if m.other != nil {
				n := m.other.n.Load()
				got.Beside = append(got.Beside, n-lastOther)
				lastOther = n
			}
		}
	}
	b, err := json.Marshal(got)
	if err != nil {
		return err
	}
	if err := os.WriteFile(m.out+".part", b, 0o644); err != nil {
		return err
	}
	return os.Rename(m.out+".part", m.out)
}

// copyFrom counts what comes out of r.
func (m *meter) copyFrom(r io.Reader) { io.CopyBuffer(m, struct{ io.Reader }{r}, make([]byte, 1<<18)) }

// watch lets the meter follow the room that the files below a folder take. A program that gives up may remove what it has.
func (m *meter) watch(ctx context.Context, dir string) {
	for ctx.Err() == nil {
		sum := int64(0)
		filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				sum += allocated(info)
			}
			return nil
		})
		m.n.Store(max(sum, m.n.Load()))
		time.Sleep(bin / 10)
	}
}
