package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/tradewind-io/tradewind/fasp"
)

func tradewindReceive(ctx context.Context, m *meter) error {
	identity, err := fasp.NewIdentity()
	if err != nil {
		return err
	}
	size, err := datagram()
	if err != nil {
		return err
	}
	e, err := fasp.Listen(":"+port, fasp.Config{Identity: identity, Datagram: size, MaxDatagram: size})
	if err != nil {
		return err
	}
	c, err := e.Accept(ctx)
	if err != nil {
		return err
	}
	for {
		b, err := c.ReceiveBlock(ctx)
		if err != nil {
			return err
		}
		m.n.Add(int64(len(b.Data)))
		b.Release()
	}
}

// datagram returns what fits packets of MTU (environment) bytes, or of 1,500, as the others have.
func datagram() (int, error) {
	mtu, err := strconv.Atoi(cmp.Or(os.Getenv("MTU"), "1500"))
	if err != nil {
		return 0, fmt.Errorf("MTU: %w", err)
	}
	return mtu - 28, nil
}

// tradewindSend sends under a policy; under fixed at the link's rate.
func tradewindSend(ctx context.Context, addr, policy string) error {
	var rates fasp.Rates
	switch policy {
	case "fixed":
		mbit, err := strconv.ParseFloat(os.Getenv("MBIT"), 64)
		if err != nil {
			return err
		}
		rates = fasp.Rates{Policy: fasp.Fixed, Target: fasp.Rate(mbit * float64(fasp.Mbps))}
	case "fair":
		rates = fasp.Rates{Policy: fasp.Fair}
	case "high":
		rates = fasp.Rates{Policy: fasp.High}
	default:
		return errors.New("policy: " + policy)
	}
	size, err := datagram()
	if err != nil {
		return err
	}
	c, err := fasp.Dial(ctx, addr, fasp.Config{
		// Both ends are this program on this machine: there is nobody to be told from.
		VerifyServer: func(fasp.Fingerprint) error { return nil },
		Rates:        rates,
		Ciphers:      []fasp.Cipher{fasp.AES128},
		Datagram:     size,
		MaxDatagram:  size,
	})
	if err != nil {
		return err
	}
	for {
		b, err := c.NewBlock(ctx, 256<<10)
		if err != nil {
			return err
		}
		if err := c.SendBlock(ctx, b); err != nil {
			return err
		}
	}
}
