package cli

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
)

// Env is an environment as os.Environ returns it. Later entries win.
type Env []string

// Get returns the value of a variable, "" if it is not set.
func (e Env) Get(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Lookup returns the value of a variable and whether it is set.
func (e Env) Lookup(name string) (string, bool) {
	for i := len(e) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(e[i], name+"="); ok {
			return v, true
		}
	}
	return "", false
}

var errNoHome = errors.New("neither a home folder nor XDG_CONFIG_HOME, XDG_STATE_HOME is known")

// ConfigDir returns the user's folder for Tradewind's configuration. It need not exist.
func (e Env) ConfigDir() (string, error) { return e.dir("XDG_CONFIG_HOME", ".config", "AppData") }

// StateDir returns the user's folder for what Tradewind notes by itself, such as transfers that are not finished. It need not exist.
func (e Env) StateDir() (string, error) {
	return e.dir("XDG_STATE_HOME", filepath.Join(".local", "state"), "LocalAppData")
}

func (e Env) dir(xdg, below, windows string) (string, error) {
	if d := e.Get(xdg); filepath.IsAbs(d) {
		return filepath.Join(d, "tradewind"), nil
	}
	if runtime.GOOS == "windows" {
		if d := e.Get(windows); d != "" {
			return filepath.Join(d, "Tradewind"), nil
		}
		return "", errNoHome
	}
	home := e.Get("HOME")
	if !filepath.IsAbs(home) {
		return "", errNoHome
	}
	return filepath.Join(home, below, "tradewind"), nil
}

// Main runs a command with the process's surroundings and signals, and exits with its code. It is all that a main function does.
func Main(run Command) {
	ctx, stop := SignalContext()
	code := run(ctx, Process{
		Args: os.Args[1:], Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Settled: func() { signal.Ignore(os.Interrupt) },
	})
	stop()
	os.Exit(code)
}
