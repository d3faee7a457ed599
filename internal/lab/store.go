package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ParseBits reads a rate such as 300M in bit/s.
func ParseBits(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.NewReplacer("k", "e3", "M", "e6", "G", "e9").Replace(s), 64)
	if err != nil {
		return 0, fmt.Errorf("rate %q: %w", s, err)
	}
	return v, nil
}

// JoinURI returns the URI of a key below that of a folder.
func JoinURI(uri, key string) string {
	place, options, _ := strings.Cut(uri, "?")
	u := strings.TrimSuffix(place, "/") + "/" + key
	if options != "" {
		u += "?" + options
	}
	return u
}

// Twcp makes the command of a twcp that involves no node.
func (l *Lab) Twcp(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(l.Bin, "twcp"), args...)
	cmd.Env = append(append(cmd.Environ(), l.Env...), "XDG_STATE_HOME="+filepath.Join(l.Dir, "client-state"), "XDG_CONFIG_HOME="+filepath.Join(l.Dir, "client-config"))
	cmd.Stderr = os.Stderr
	return cmd
}

// SameFile compares two files byte by byte.
func SameFile(a, b string) error { return sameFile(a, b) }
