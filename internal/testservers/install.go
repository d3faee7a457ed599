package testservers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// ErrNotInstalled is matched by errors about a program that is not there. Their text says how to install it.
var ErrNotInstalled = errors.New("not installed")

// installCommand is what errors tell the user to run.
const installCommand = "go run ./internal/testservers/cmd/testservers install "

// CacheDir returns the folder that programs are installed in unless another is asked for.
func CacheDir() (string, error) {
	d, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(d, "tradewind", "testservers"), nil
}

// Path returns the executable of a program, or an error that matches ErrNotInstalled. cache "" is CacheDir.
func Path(cache, name string) (string, error) {
	p, err := find(name)
	if err != nil {
		return "", err
	}
	if cache == "" {
		if cache, err = CacheDir(); err != nil {
			return "", err
		}
	}
	bin := p.executable(cache)
	if _, err := os.Stat(bin); err != nil {
		return "", fmt.Errorf("%s %s is %w; run: %s%s", name, p.version, ErrNotInstalled, installCommand, name)
	}
	return bin, nil
}

// Install installs a program unless it is there, and writes what the client that does it says to log. cache "" is
// CacheDir. It needs the network, and minutes for minio and rclone, which are compiled.
func Install(ctx context.Context, cache, name string, log io.Writer) error {
	p, err := find(name)
	if err != nil {
		return err
	}
	if _, err := Path(cache, name); !errors.Is(err, ErrNotInstalled) {
		return err
	}
	if cache == "" {
		if cache, err = CacheDir(); err != nil {
			return err
		}
	}
	dir := p.folder(cache)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	if p.python != "" {
		err = installPython(ctx, dir, p.python+"=="+p.version, log)
	} else {
		err = installGo(ctx, dir, p.module+"@"+p.version, log)
	}
	if err == nil {
		_, err = os.Stat(p.executable(cache))
	}
	if err != nil {
		// Half an installation must not be taken for a whole one.
		return fmt.Errorf("install %s: %w", name, errors.Join(err, ignoreMissing(os.RemoveAll(dir))))
	}
	return nil
}

func installGo(ctx context.Context, dir, pkg string, log io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w", pkg)
	cmd.Dir = dir // outside any module, whose go.mod would count otherwise
	cmd.Env = append(cmd.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod")
	return runLogged(cmd, log)
}

func installPython(ctx context.Context, dir, requirement string, log io.Writer) error {
	if err := runLogged(exec.CommandContext(ctx, "python3", "-m", "venv", dir), log); err != nil {
		return err
	}
	pip := filepath.Join(dir, "bin", "pip")
	if runtime.GOOS == "windows" {
		pip = filepath.Join(dir, "Scripts", "pip.exe")
	}
	return runLogged(exec.CommandContext(ctx, pip, "install", "--quiet", requirement), log)
}

func runLogged(cmd *exec.Cmd, log io.Writer) error {
	fmt.Fprintln(log, cmd)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
