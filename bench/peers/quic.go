package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"time"

	"github.com/quic-go/quic-go"
)

// quicConfig has windows that never limit; congestion control is what quic-go has.
func quicConfig() *quic.Config {
	return &quic.Config{
		InitialStreamReceiveWindow: 64 << 20, MaxStreamReceiveWindow: 512 << 20,
		InitialConnectionReceiveWindow: 64 << 20, MaxConnectionReceiveWindow: 512 << 20,
		HandshakeIdleTimeout: 15 * time.Second, MaxIdleTimeout: time.Minute,
	}
}

const alpn = "peers"

// certificate returns one made for this run, which nobody checks.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{cert}, PrivateKey: key}, err
}

func quicReceive(ctx context.Context, m *meter) error {
	cert, err := certificate()
	if err != nil {
		return err
	}
	ln, err := quic.ListenAddr(":"+port, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{alpn}}, quicConfig())
	if err != nil {
		return err
	}
	c, err := ln.Accept(ctx)
	if err != nil {
		return err
	}
	s, err := c.AcceptUniStream(ctx)
	if err != nil {
		return err
	}
	m.copyFrom(s)
	return nil
}

func quicSend(ctx context.Context, addr string) error {
	// Both ends are this program on this machine: there is nobody to be told from.
	c, err := quic.DialAddr(ctx, addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}}, quicConfig())
	if err != nil {
		return err
	}
	s, err := c.OpenUniStreamSync(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.CloseWithError(0, "") })
	defer stop()
	buf := make([]byte, 1<<18)
	for {
		if _, err := s.Write(buf); err != nil {
			return err
		}
	}
}
