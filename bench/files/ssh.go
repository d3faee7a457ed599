//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
)

// sshd is an OpenSSH server with keys and a configuration of its own, for one run.
type sshd struct {
	dir  string
	addr netip.AddrPort
	cmd  *exec.Cmd
}

// sshPort is free in a namespace; on loopback a free one is looked for.
const sshPort = 2022

func (b *bench) startSSH(ctx context.Context) (*sshd, error) {
	bin, err := exec.LookPath("sshd")
	if err != nil {
		bin = "/usr/sbin/sshd" // not in the path of every user
	}
	dir, err := filepath.Abs(filepath.Join(b.lab.Dir, "sshd"))
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s := &sshd{dir: dir, addr: netip.AddrPortFrom(b.site.far, sshPort)}
	if b.site.tun == nil {
		l, err := net.Listen("tcp", netip.AddrPortFrom(b.site.far, 0).String())
		if err != nil {
			return nil, err
		}
		s.addr = l.Addr().(*net.TCPAddr).AddrPort()
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	for _, key := range []string{"host", "user"} {
		gen := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
		if out, err := gen.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	pub, err := os.ReadFile(filepath.Join(dir, "user.pub"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "authorized"), pub, 0o600)
	}
	conf := fmt.Sprintf("Port %d\nListenAddress %s\nHostKey %s/host\nAuthorizedKeysFile %s/authorized\nPidFile none\nStrictModes no\nUsePAM no\n"+
		"PermitRootLogin yes\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n", s.addr.Port(), s.addr.Addr(), dir, dir)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config"), []byte(conf), 0o600)
	}
	// Where its service was never started the folder that it wants to lock itself into is missing.
	if os.Geteuid() == 0 && err == nil {
		err = os.MkdirAll("/run/sshd", 0o755)
	}
	if err != nil {
		return nil, err
	}
	s.cmd = exec.CommandContext(ctx, bin, "-D", "-e", "-f", filepath.Join(dir, "config"))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd.Stderr = log
	s.cmd.Cancel = func() error { return os.ErrProcessDone } // stop ends it, and its sessions with it
	if err := b.site.at(s.cmd); err != nil {
		return nil, err
	}
	for range 100 { // it says nothing when it is ready
		probe := exec.CommandContext(ctx, "ssh", append(s.options(), "-p", strconv.Itoa(int(s.addr.Port())), s.addr.Addr().String(), "true")...)
		if err = b.site.near(probe); err == nil {
			err = probe.Wait()
		}
		if err == nil {
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "log"))
	return nil, errors.Join(fmt.Errorf("sshd does not answer: %w: %s", err, text), s.cmd.Process.Kill())
}

func (s *sshd) options() []string {
	return []string{"-i", filepath.Join(s.dir, "user"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes"}
}

// stop ends the server and returns what it and its children used. Sessions that did not hear of their client's end keep the file system.
func (s *sshd) stop() (cpu float64, rss int64, err error) {
	sessions, err := family(s.cmd.Process.Pid)
	if err := errors.Join(err, s.cmd.Process.Signal(syscall.SIGTERM)); err != nil {
		return 0, 0, errors.Join(err, end(sessions))
	}
	err = s.cmd.Wait()
	if eerr := end(sessions); eerr != nil {
		return 0, 0, eerr
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil // it ends by the signal
	}
	cpu, rss = s.cmd.ProcessState.UserTime().Seconds()+s.cmd.ProcessState.SystemTime().Seconds(), maxRSS(s.cmd.ProcessState)
	return cpu, rss, errors.Join(err, os.RemoveAll(s.dir))
}

// overSSH runs rsync or rclone to the SSH server. What they wrote is synced once at the end, within the time.
func (b *bench) overSSH(ctx context.Context, name, into string) (v oneRun, err error) {
	me, err := user.Current()
	if err != nil {
		return v, err
	}
	if into, err = filepath.Abs(into); err != nil {
		return v, err
	}
	s, err := b.startSSH(ctx)
	if err != nil {
		return v, err
	}
	port := strconv.Itoa(int(s.addr.Port()))
	var cmd *exec.Cmd
	if name == "rsync" {
		shell := "ssh -p " + port
		for _, o := range s.options() {
			shell += " " + o
		}
		// -W: nothing is there to compare with.
		cmd = exec.CommandContext(ctx, "rsync", "-rW", "-e", shell, b.tree.root+"/", s.addr.Addr().String()+":"+into+"/")
	} else {
		many := strconv.Itoa(8 * b.workers)
		cmd = exec.CommandContext(ctx, "rclone", "copy", "--config", filepath.Join(s.dir, "none"), "--transfers", many, "--checkers", many,
			"--sftp-host", s.addr.Addr().String(), "--sftp-port", port, "--sftp-user", me.Username, "--sftp-key-file", filepath.Join(s.dir, "user"),
			"--sftp-disable-hashcheck", "--ignore-checksum", "--no-traverse", "--sftp-set-modtime=false", b.tree.root, ":sftp:"+into)
	}
	cmd.Stderr = os.Stderr
	seen := watch(into)
	begin := time.Now()
	u, err := lab.RunBy(cmd, b.site.near)
	v.FirstByte = seen()
	if err == nil {
		err = syncFS(into)
	}
	v.Seconds, v.ClientCPU, v.ClientRSS = time.Since(begin).Seconds(), u.CPU.Seconds(), u.MaxRSS
	var serr error
	v.ServerCPU, v.ServerRSS, serr = s.stop()
	return v, errors.Join(err, serr)
}

// maxRSS returns the most resident memory of the process, in bytes.
func maxRSS(s *os.ProcessState) int64 {
	if r, ok := s.SysUsage().(*syscall.Rusage); ok {
		return r.Maxrss << 10
	}
	return 0
}
