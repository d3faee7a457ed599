//go:build !unix

package testservers

import (
	"os"
	"os/exec"
)

func setGroup(*exec.Cmd) {}

func askGroup(p *os.Process) { killGroup(p) } // there is no way to ask

// The error of Kill is not looked at: a process that has ended is what is wanted.
func killGroup(p *os.Process) { _ = p.Kill() }
