//go:build unix

package testservers

import (
	"os"
	"syscall"
)

// The error of Kill is not looked at: a group that has ended is what is wanted.

func askGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGTERM) }

func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
