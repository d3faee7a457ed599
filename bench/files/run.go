//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tradewind-io/tradewind/internal/lab"
)

// bench is what all runs have in common.
type bench struct {
	options
	lab  lab.Lab
	site *site
	tree tree
}

// oneRun is what one contender took. CPU and memory of the far end are those of the node, or of all processes of sshd.
type oneRun struct {
	name       string
	Seconds    float64 `json:"seconds"`
	FirstByte  float64 `json:"first_byte,omitempty"` // seconds until the first file shows at the destination, under whatever name
	ClientCPU  float64 `json:"client_cpu_s"`
	ServerCPU  float64 `json:"server_cpu_s"`
	ClientRSS  int64   `json:"client_rss"`
	ServerRSS  int64   `json:"server_rss"`
	filesCount int
}

func (v oneRun) line() string {
	return fmt.Sprintf("%s: %.2f s, %.0f files/s, first byte %.2f s, CPU %.2f and %.2f s, %.0f and %.0f MB", v.name, v.Seconds,
		float64(v.filesCount)/v.Seconds, v.FirstByte, v.ClientCPU, v.ServerCPU, float64(v.ClientRSS)/1e6, float64(v.ServerRSS)/1e6)
}

func contenderNames() []string {
	return []string{"copy", "copy-rename", "tradewind", "rsync", "rclone"}
}

// once runs one contender into a new folder, compares what arrived and removes it.
func (b *bench) once(ctx context.Context, name string) (v oneRun, err error) {
	dest := filepath.Join(b.lab.Dir, "docroot")
	if err := os.Mkdir(dest, 0o755); err != nil {
		return v, err
	}
	defer func() {
		// The removal is synced, too, or the next one would pay for it.
		err = errors.Join(err, os.RemoveAll(dest), syncFS(b.lab.Dir))
	}()
	if b.dropCaches {
		if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
			return v, err
		}
	}
	into := filepath.Join(dest, "source")
	switch name {
	case "copy", "copy-rename":
		v, err = b.local(ctx, into, map[string]string{"copy": "plain", "copy-rename": "rename"}[name])
	case "tradewind":
		v, err = b.tradewind(ctx, dest)
		if b.download {
			into = filepath.Join(b.lab.Dir, "in", "source")
			defer os.RemoveAll(filepath.Dir(into))
		}
	default:
		v, err = b.overSSH(ctx, name, into)
	}
	v.name, v.filesCount = name, b.tree.files
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return v, err
	}
	if err := b.tree.check(into); err != nil {
		return v, fmt.Errorf("what arrived differs: %w", err)
	}
	return v, nil
}

func (b *bench) local(ctx context.Context, into, how string) (v oneRun, err error) {
	self, err := os.Executable()
	if err != nil {
		return v, err
	}
	if err := os.Mkdir(into, 0o755); err != nil {
		return v, err
	}
	cmd := exec.CommandContext(ctx, self, copyRole, b.tree.root, into, strconv.Itoa(b.workers), how)
	cmd.Stderr = os.Stderr
	u, err := lab.Run(cmd)
	return oneRun{Seconds: u.Wall.Seconds(), ClientCPU: u.CPU.Seconds(), ClientRSS: u.MaxRSS}, err
}

func (b *bench) tradewind(ctx context.Context, docroot string) (v oneRun, err error) {
	l := b.lab
	l.NodeHost, l.NodeStart = b.site.host, b.site.at
	if b.download {
		if err := os.Rename(b.tree.root, filepath.Join(docroot, "source")); err != nil {
			return v, err
		}
		defer func() { err = errors.Join(err, os.Rename(filepath.Join(docroot, "source"), b.tree.root)) }()
	}
	node, err := l.StartNode(ctx, docroot)
	if err != nil {
		return v, err
	}
	defer node.Kill()
	args := []string{"-d", "-q", "--policy", b.policy}
	if b.policy == "fixed" {
		args = append(args, "-l", b.rate)
	}
	shows := docroot
	if b.download {
		shows = filepath.Join(l.Dir, "in")
		args = append(args, "NODE:/source", shows)
	} else {
		args = append(args, b.tree.root, "NODE:/")
	}
	cmd, err := l.Copy(ctx, node, node.Addr, args...)
	if err != nil {
		return v, err
	}
	seen := watch(shows)
	u, err := lab.RunBy(cmd, b.site.near)
	v.FirstByte = seen()
	v.Seconds, v.ClientCPU, v.ClientRSS = u.Wall.Seconds(), u.CPU.Seconds(), u.MaxRSS
	if err != nil {
		return v, err
	}
	n, err := node.Stop()
	v.ServerCPU, v.ServerRSS = n.CPU.Seconds(), n.MaxRSS
	return v, err
}

// watch looks for the first file below dir every few milliseconds. What it returns ends the watch and says how many seconds that
// took, 0 if none was seen.
func watch(dir string) func() float64 {
	begin, stop, result := time.Now(), make(chan struct{}), make(chan float64, 1)
	go func() {
		t := time.NewTicker(5 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-stop:
				result <- 0
				return
			case <-t.C:
			}
			found := false
			// Errors mean only that it is not there yet.
			_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					found = true
					return fs.SkipAll
				}
				return nil
			})
			if found {
				result <- time.Since(begin).Seconds()
				return
			}
		}
	}()
	return func() float64 {
		close(stop)
		return <-result
	}
}
