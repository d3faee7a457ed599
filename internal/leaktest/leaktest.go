// Package leaktest fails a test binary whose goroutines outlive its tests.
//
// A package that starts goroutines says so in one place:
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
//
// or, where tests share something that has goroutines, leaktest.Main(m, shared.Close).
//
// Only goroutines of this module count: those with a frame of it on the stack, the "created by" line included.
// Goroutines of the runtime, of package testing and those that the standard library keeps for itself (idle HTTP
// connections, os/signal) are ignored.
package leaktest

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// module is the import path prefix by which goroutines of ours are told from others.
const module = "github.com/tradewind-io/tradewind/"

// patience bounds how long goroutines that are already on their way out may take. A goroutine that was told to end may
// not have run its last instructions yet, so that one look at the stacks would blame the innocent.
const patience = 5 * time.Second

// Main runs the tests of m, then calls each of closers, whether they passed or not, and exits the process with the
// tests' code. When they pass and goroutines of ours remain nevertheless, it prints their stacks on standard error and
// exits with 1. It does not return.
func Main(m *testing.M, closers ...func()) {
	os.Exit(run(closing{m, closers}, os.Stderr, patience))
}

// closing calls what closes shared things behind the tests.
type closing struct {
	runner
	closers []func()
}

func (c closing) Run() int {
	code := c.runner.Run()
	for _, f := range c.closers {
		f()
	}
	return code
}

type runner interface{ Run() int }

func run(m runner, stderr io.Writer, wait time.Duration) int {
	if code := m.Run(); code != 0 {
		return code // a failed test often leaves goroutines behind; its own message is the useful one
	}
	leaked := remaining(wait)
	if len(leaked) == 0 {
		return 0
	}
	fmt.Fprintf(stderr, "leaktest: %d goroutine(s) outlive the tests:\n\n%s\n", len(leaked), strings.Join(leaked, "\n\n"))
	return 1
}

// remaining polls until no goroutine of ours is left or wait has passed, and returns the stacks of those left.
func remaining(wait time.Duration) []string {
	deadline := time.Now().Add(wait)
	pause := 100 * time.Microsecond
	for {
		runtime.Gosched()
		leaked := ours(allStacks())
		if len(leaked) == 0 || !time.Now().Before(deadline) {
			return leaked
		}
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// allStacks returns the stacks of all goroutines, the caller's first.
func allStacks() string {
	buf := make([]byte, 64<<10)
	for {
		if n := runtime.Stack(buf, true); n < len(buf) {
			return string(buf[:n])
		}
		buf = make([]byte, 2*len(buf))
	}
}

// ours picks the goroutines of this module from the output of runtime.Stack, leaving out the first, which is the
// goroutine that asks, and the one that is still inside testing.M.Run, which is there when a test asks.
func ours(stacks string) []string {
	var leaked []string
	for i, g := range strings.Split(strings.TrimSpace(stacks), "\n\n") {
		if i > 0 && strings.Contains(g, module) && !strings.Contains(g, "\ntesting.(*M).Run(") {
			leaked = append(leaked, g)
		}
	}
	return leaked
}
