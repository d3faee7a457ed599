package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Process is what a command is given of its surroundings.
type Process struct {
	Args           []string // without the program's name
	Env            Env
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Settled, unless it is nil, is called by a command whose exit code nothing changes any more: SIGINT has no effect from then on.
	Settled func()
}

// Command is a program: it returns its exit code. When ctx ends it tidies up and returns soon.
type Command func(ctx context.Context, p Process) int

// SignalError is why the context of SignalContext ended.
type SignalError struct{ Signal os.Signal }

func (e SignalError) Error() string { return e.Signal.String() }

// Is makes it match context.Canceled, which it stands for.
func (e SignalError) Is(target error) bool { return target == context.Canceled }

// SignalContext returns a context that ends with the first SIGINT or SIGTERM, with a SignalError as its cause. From then on signals have
// their usual effect, so a second one ends the process.
func SignalContext() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-ch:
			signal.Stop(ch)
			cancel(SignalError{s})
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(ch)
		close(done)
		cancel(nil)
	}
}

// HangUps returns a channel that gets SIGHUP, which so ceases to end the process, until stop is called. Signals that come while one waits are one with it.
func HangUps() (signals <-chan os.Signal, stop func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP)
	return ch, func() { signal.Stop(ch) }
}

// Columns returns the width of the terminal that w writes to; ok is false if w is no terminal. A terminal that does not know its width has 80.
func Columns(w io.Writer) (n int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile {
		return 0, false
	}
	if n, ok = columns(f); ok && n <= 0 {
		n = 80
	}
	return n, ok
}
