package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
)

// bigBuffers lets TCP keep what a long path holds. The values belong to the network namespace that the link made for this
// process; the system's own default of 4 MB would be 32 Mbit/s at a round trip of 1 s.
func bigBuffers() error {
	return errors.Join(
		os.WriteFile("/proc/sys/net/ipv4/tcp_rmem", []byte("4096 131072 268435456"), 0),
		os.WriteFile("/proc/sys/net/ipv4/tcp_wmem", []byte("4096 65536 268435456"), 0),
	)
}

// tcpReceive takes what comes on any number of connections.
func tcpReceive(ctx context.Context, m *meter) error {
	if err := bigBuffers(); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go m.copyFrom(c)
	}
}

// tcpSend sends on some connections as fast as congestion control allows until the receiver closes them.
func tcpSend(ctx context.Context, addr, control string, flows int) error {
	if err := bigBuffers(); err != nil {
		return err
	}
	dialer := net.Dialer{Control: congestion(control)}
	var wg sync.WaitGroup
	errs := make([]error, flows)
	for i := range flows {
		wg.Go(func() {
			c, err := dialer.DialContext(ctx, "tcp", addr)
			if err != nil {
				errs[i] = fmt.Errorf("congestion control %s: %w", control, err)
				return
			}
			defer c.Close()
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			buf := make([]byte, 1<<20)
			for {
				if _, err := c.Write(buf); err != nil {
					return // the receiver has what it wants
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
