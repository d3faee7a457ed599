package main

import (
	"context"
	"errors"
	"time"
)

// besideReceive takes what a session of ours and a TCP send at the same time.
func besideReceive(ctx context.Context, m *meter) error {
	failed := make(chan error, 2)
	go func() { failed <- tradewindReceive(ctx, m) }()
	go func() { failed <- tcpReceive(ctx, m.other) }()
	return <-failed
}

// headStart is how long who comes first has the link alone.
const headStart = 5 * time.Second

// besideSend sends by policy fair and by a TCP with the given congestion control at the same time.
func besideSend(ctx context.Context, addr, control string, first bool) error {
	ours := func() error { return tradewindSend(ctx, addr, "fair") }
	theirs := func() error { return tcpSend(ctx, addr, control, 1) }
	if !first {
		ours, theirs = theirs, ours
	}
	failed := make(chan error, 2)
	go func() { failed <- ours() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(headStart):
	}
	go func() { failed <- theirs() }()
	return errors.Join(<-failed, <-failed)
}
