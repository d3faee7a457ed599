package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// tlsReceive takes one connection of TLS 1.3 over TCP.
func tlsReceive(_ context.Context, m *meter) error {
	cert, err := certificate()
	if err = errors.Join(err, bigBuffers()); err != nil {
		return err
	}
	ln, err := tls.Listen("tcp", ":"+port, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
	if err != nil {
		return err
	}
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(m, struct{ io.Reader }{c}, make([]byte, 128<<10))
	return err
}

// tlsSend sends in writes of 128 KiB and full records until ctx ends.
func tlsSend(ctx context.Context, addr string) error {
	if err := bigBuffers(); err != nil {
		return err
	}
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	// Both ends are this program on this machine: there is nobody to be told from.
	c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true})
	_, err = io.CopyBuffer(struct{ io.Writer }{c}, zeros{}, make([]byte, 128<<10))
	return err
}
