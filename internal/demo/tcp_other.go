//go:build !linux

package main

import (
	"context"
	"errors"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
)

func kernelTCP(context.Context, *lab.Lab, lab.Link, string, time.Duration) (float64, error) {
	return 0, errors.ErrUnsupported
}

func tcpReceive(_, _, _ string) error { return errors.ErrUnsupported }
func tcpSend(_, _, _ string) error    { return errors.ErrUnsupported }
