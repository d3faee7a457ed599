//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// endTogether makes what the shell has started end with it.
func endTogether(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGTERM) }
}
