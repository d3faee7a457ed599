package testservers

import (
	"os/exec"
	"runtime"
	"time"
)

// process is a started program and all that it starts.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended and was waited for
}

// startProcess starts cmd in a process group of its own.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	setGroup(cmd)
	started := make(chan error)
	go func() {
		// On Linux the child dies with the thread that started it, not with the process. The goroutine keeps the thread
		// for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			// How it ended does not matter: it is asked to, or awaitReady notices that it was not.
			_ = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// stop asks it to end and kills it when grace has passed.
func (p *process) stop(grace time.Duration) {
	askGroup(p.cmd.Process)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
	}
	p.kill()
}

// kill ends the whole group and waits.
func (p *process) kill() {
	killGroup(p.cmd.Process)
	<-p.ended
}
