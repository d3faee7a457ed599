package twcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/fasp/transfer/mgmt"
)

// manager is the application that started this program with -M: it is told what happens, and may change or stop it (docs/management-port.md).
type manager struct {
	conn    net.Conn
	cancel  context.CancelCauseFunc
	control transfer.Control
	ended   chan struct{} // closed by finish
	running sync.WaitGroup

	port *mgmt.Port // nil before begin
	spec transfer.Spec
}

const (
	connectManagerTime = 5 * time.Second
	beatTime           = 2 * time.Second // the product's listeners take five of silence for the end
	// A manager that does not read may hold up the end of a transfer for endTime, and of one that was stopped for stopTime.
	endTime  = 30 * time.Second
	stopTime = 5 * time.Second
)

// stoppedError is why a manager, or its absence, ended a transfer.
type stoppedError string

func (e stoppedError) Error() string { return string(e) }

// Is makes it match context.Canceled, which it stands for.
func (stoppedError) Is(target error) bool { return target == context.Canceled }

const (
	errManagerCancel = stoppedError("stopped by the manager (CANCEL)")
	errManagerGone   = stoppedError("stopped, since the manager at the management port (-M) is gone")
)

// connectManager connects to the manager that listens at a port of this machine. cancel ends the transfer.
func connectManager(ctx context.Context, o *options, cancel context.CancelCauseFunc) (*manager, error) {
	if o.managePort < 1 || o.managePort > 65535 {
		return nil, usagef("-M %d: ports go from 1 to 65535", o.managePort)
	}
	d := net.Dialer{Timeout: connectManagerTime}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.managePort)))
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // the address is said in words
		}
		return nil, &transfer.Error{Code: transfer.CodeSockSetup, Err: fmt.Errorf("failed to connect to management socket: required management connection to port localhost:%d failed: %w", o.managePort, err)}
	}
	return &manager{conn: conn, cancel: cancel, ended: make(chan struct{})}, nil
}

// begin says what is to be transferred.
func (m *manager) begin(spec transfer.Spec, o *options) {
	m.spec = spec
	cfg := mgmt.Config{Spec: spec, UserStr: o.userString, XferID: readTags(spec.Tags).id}
	if o.flags.Changed("tcp-port") {
		cfg.TCPPort = o.tcpPort
	}
	m.port = mgmt.NewPort(m.conn, cfg)
	_ = m.port.Init() // listen hears of the error
}

// listen takes commands, and ends the transfer when nobody hears of it any more, until finish.
func (m *manager) listen(ctx context.Context, log *slog.Logger) {
	go m.commands(log) // reads to the end of the process, as the connection is open so long
	m.running.Go(m.beat)
	m.running.Go(func() {
		stopped, gone := ctx.Done(), m.port.Gone()
		for {
			select {
			case <-gone:
				log.Warn("the manager is gone", "error", m.port.Err())
				m.cancel(errManagerGone)
				gone = nil
			case <-stopped:
				_ = m.conn.SetWriteDeadline(time.Now().Add(stopTime)) // what is not written by then fails
				stopped = nil
			case <-m.ended:
				return
			}
		}
	})
}

// beat tells now and then that the transfer is still there, also while nothing happens.
func (m *manager) beat() {
	t := time.NewTicker(beatTime)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if m.port.Beat() != nil { // which Gone tells, too
				return
			}
		case <-m.ended:
			return
		}
	}
}

// commands does what the manager wants.
func (m *manager) commands(log *slog.Logger) {
	for r := mgmt.NewReader(m.conn); ; {
		f, err := r.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
			return // one may have nothing more to say, and still listen
		case err != nil:
			log.Warn("no further command of the manager is read", "error", err)
			return
		}
		if err := m.obey(f); err != nil {
			log.Warn("a command of the manager has no effect", "error", err)
		} else {
			log.Info("command of the manager", "type", f.Type)
		}
	}
}

func (m *manager) obey(f mgmt.Frame) error {
	c, err := mgmt.ParseCommand(f)
	if err != nil {
		return err
	}
	switch c.Kind {
	case mgmt.CommandRate:
		rates, ok := m.control.Rates()
		if !ok {
			rates = m.spec.Rates
		}
		if rates, err = c.Rates.Apply(rates); err == nil {
			err = m.control.SetRates(rates)
		}
		if err == nil {
			m.port.SetRates(rates)
		}
		return err
	case mgmt.CommandCancel:
		m.cancel(errManagerCancel)
	case mgmt.CommandQuery:
		return m.port.Answer(c)
	case mgmt.CommandStart, mgmt.CommandDone:
		return fmt.Errorf("%s is for transfers that wait for paths, which this one does not", c.Kind)
	}
	return nil
}

// finish tells how it ended, and returns when the manager has been told or is gone. The connection stays open as long as the process (docs/management-port.md section 6).
func (m *manager) finish(opt *options, o outcome) {
	if m.port == nil { // it did not come so far as to know what is to be transferred
		m.begin(transfer.Spec{}, opt)
	}
	text := ""
	if o.err != nil {
		text = errorText(o.err)
	}
	limit := endTime
	if errors.Is(o.err, context.Canceled) {
		limit = stopTime
	}
	_ = m.conn.SetWriteDeadline(time.Now().Add(limit))
	_ = m.port.Finish(o.result, o.err, cmp.Or(codeOf(o.err), transfer.CodeASCP), text) // there is nobody to tell of its error, and what was transferred is
	close(m.ended)
	m.running.Wait()
}
