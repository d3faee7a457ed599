//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/tradewind-io/tradewind/internal/lab"
)

// mountImage makes a new ext4 of its own, in a file in dir, and mounts it. A file system in use is no fair place: ext4 takes no inode
// again that was freed in the last half minute and looks at each of them for every new file, so that the files which one run
// removes make the next one many times slower; and a sync writes what others have written, too. unmount undoes it.
func mountImage(ctx context.Context, dir, size string) (at string, unmount func() error, err error) {
	bits, err := lab.ParseBits(size) // the same suffixes
	if err != nil {
		return "", nil, fmt.Errorf("-image: %w", err)
	}
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	f, err := os.Create(image)
	if err != nil {
		return "", nil, err
	}
	if err := errors.Join(f.Truncate(int64(bits)), f.Close(), os.Mkdir(at, 0o755)); err != nil {
		return "", nil, err
	}
	for _, c := range [][]string{
		{"mkfs.ext4", "-q", "-F", "-i", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", image},
		{"mount", "-o", "loop", image, at},
	} {
		if out, err := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput(); err != nil {
			return "", nil, fmt.Errorf("%s: %w: %s", c[0], err, out)
		}
	}
	return at, func() error {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			return fmt.Errorf("umount: %w: %s", err, out)
		}
		return nil
	}, nil
}
