//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tradewind-io/tradewind/internal/lab"
)

// kernelTCP sends over the same link with the system's TCP for at most limit and returns the goodput in bit/s. It needs root.
func kernelTCP(ctx context.Context, l *lab.Lab, k lab.Link, control string, limit time.Duration) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	out := filepath.Join(l.Dir, "tcp-"+control)
	args := append([]string{"tun", "--timeout", (limit + 20*time.Second).String()}, k.Args()...)
	args = append(args,
		"--server", fmt.Sprintf("%q tcp-receive :5001 %s %q", self, limit, out),
		"--client", fmt.Sprintf("exec %q tcp-send $SERVER:5001 %s %s", self, limit, control))
	cmd := exec.CommandContext(ctx, filepath.Join(l.Bin, "wanlink"), args...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
}

// tcpReceive takes what comes for as long as limit, writes the goodput to the file and closes.
func tcpReceive(addr, limit, file string) error {
	d, err := time.ParseDuration(limit)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	begin := time.Now()
	c.SetReadDeadline(begin.Add(d))
	n, err := io.Copy(io.Discard, c)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	rate := float64(n) * 8 / time.Since(begin).Seconds()
	return os.WriteFile(file, []byte(strconv.FormatFloat(rate, 'f', 0, 64)), 0o644)
}

// tcpSend sends as fast as congestion control allows until the receiver closes, or for 10 s longer than limit.
func tcpSend(addr, limit, control string) error {
	d, err := time.ParseDuration(limit)
	if err != nil {
		return err
	}
	dialer := net.Dialer{Timeout: 10 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		var op error
		err := c.Control(func(fd uintptr) { op = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, control) })
		return errors.Join(err, op)
	}}
	c, err := dialer.Dial("tcp", addr)
	if err != nil {
		return fmt.Errorf("congestion control %s: %w", control, err)
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(d + 10*time.Second))
	buf := make([]byte, 1<<20)
	for {
		if _, err := c.Write(buf); err != nil {
			return nil // the receiver has what it wants
		}
	}
}
