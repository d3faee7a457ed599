package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/pprof"
	"strconv"
	"time"
)

// role is one end of a measurement, started by the link inside its namespace: "role NAME [ARGUMENT]".
func role(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("role: which?")
	}
	limit, err := time.ParseDuration(os.Getenv("LIMIT"))
	if err != nil {
		return fmt.Errorf("role: LIMIT: %w", err)
	}
	argument := ""
	if len(args) > 1 {
		argument = args[1]
	}
	if name := os.Getenv("PROFILE"); name != "" { // for finding out what a role's time goes into
		f, err := os.Create(name + "-" + os.Getenv("MTU") + "-" + args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	server := net.JoinHostPort(os.Getenv("SERVER"), port)
	ctx, cancel := context.WithTimeout(ctx, limit+15*time.Second+headStart)
	defer cancel()
	m := &meter{limit: limit, out: os.Getenv("OUT")}
	switch args[0] {
	case "tcp-receive":
		return m.with(ctx, tcpReceive)
	case "tcp-send":
		flows := 1
		if len(args) > 2 {
			if flows, err = strconv.Atoi(args[2]); err != nil {
				return err
			}
		}
		return tcpSend(ctx, server, argument, flows)
	case "tls-receive":
		return m.with(ctx, tlsReceive)
	case "tls-send":
		return tlsSend(ctx, server)
	case "quic-receive":
		return m.with(ctx, quicReceive)
	case "quic-send":
		return quicSend(ctx, server)
	case "tradewind-receive":
		return m.with(ctx, tradewindReceive)
	case "tradewind-send":
		return tradewindSend(ctx, server, argument)
	case "beside-receive":
		m.other = &meter{}
		return m.with(ctx, besideReceive)
	case "beside-send":
		if len(args) < 3 {
			return errors.New("role: which control, and who is first?")
		}
		return besideSend(ctx, server, argument, args[2] == "first")
	case "count":
		return m.with(ctx, func(_ context.Context, m *meter) error { m.copyFrom(os.Stdin); return nil })
	case "watch":
		return m.with(ctx, func(ctx context.Context, m *meter) error { m.watch(ctx, argument); return nil })
	}
	return fmt.Errorf("role: there is no %q", args[0])
}

const port = "5001"

// with measures while receive feeds the meter. When the time is up the process ends, and with it what receive still does.
func (m *meter) with(ctx context.Context, receive func(context.Context, *meter) error) error {
	failed := make(chan error, 1)
	measured := make(chan error, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		err := receive(ctx, m)
		failed <- err
		cancel(err) // what was measured until then is written
	}()
	go func() { measured <- m.run(ctx) }()
	if err := <-measured; err != nil {
		select {
		case e := <-failed:
			return errors.Join(e, err)
		default:
			return err
		}
	}
	return nil
}
