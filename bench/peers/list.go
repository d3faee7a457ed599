package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// peers returns what can be measured, in the order of the table. The commands run in a shell, with SELF, OUT, DIR, LIMIT,
// MBIT and KBIT of the link, a window in packets and a buffer in bytes that fit it in WINDOW and BUFFER, and SERVER in the environment.
func peers(b *bench) []peer {
	always := func(context.Context) error { return nil }
	own := func(name, kind string) peer {
		return peer{name: name, server: `exec "$SELF" role tradewind-receive`, client: `exec "$SELF" role tradewind-send ` + kind, ready: always}
	}
	tcp := func(name, control string, flows int) peer {
		return peer{name: name, server: `exec "$SELF" role tcp-receive`, client: fmt.Sprintf(`exec "$SELF" role tcp-send %s %d`, control, flows), ready: func(context.Context) error {
			known, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
			if err != nil || !slices.Contains(strings.Fields(string(known)), control) {
				return fmt.Errorf("this kernel has no congestion control %q", control)
			}
			return nil
		}}
	}
	source := filepath.Join(b.dir, "source")
	// Programs that send files send one that is all zeros and larger than the link can carry in time, so that it is never the end that counts.
	needSource := func() error {
		f, err := os.Create(source)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Truncate(int64(b.rate / 8 * (b.limit.Seconds() + 30)))
	}
	beside := func(name, control, order string) peer {
		p := tcp(name, control, 1)
		p.beside = true
		p.server, p.client = `exec "$SELF" role beside-receive`, fmt.Sprintf(`exec "$SELF" role beside-send %s %s`, control, order)
		return p
	}
	udt := filepath.Join(b.dir, "udt")
	return []peer{
		own("tradewind-fixed", "fixed"),
		own("tradewind-fair", "fair"),
		tcp("tcp-bbr", "bbr", 1),
		tcp("tcp-bbr-16", "bbr", 16),
		tcp("tcp-cubic", "cubic", 1),
		tcp("tcp-cubic-16", "cubic", 16),
		beside("fair-then-cubic", "cubic", "first"),
		beside("cubic-then-fair", "cubic", "second"),
		beside("fair-then-bbr", "bbr", "first"),
		beside("bbr-then-fair", "bbr", "second"),
		{name: "quic-go", server: `exec "$SELF" role quic-receive`, client: `exec "$SELF" role quic-send`, ready: always},
		{
			name:   "srt",
			server: `"$SELF" role watch "$DIR/in" & mkdir "$DIR/in"; exec srt-file-transmit -q "srt://:5001?mode=listener&transtype=file&fc=$WINDOW&rcvbuf=$BUFFER" "file://$DIR/in/"`,
			client: `exec srt-file-transmit -q "file://` + source + `" "srt://$SERVER:5001?transtype=file&fc=$WINDOW&sndbuf=$BUFFER"`,
			ready: func(ctx context.Context) error {
				if err := install(ctx, "srt-file-transmit", "srt-tools"); err != nil {
					return err
				}
				return needSource()
			},
		},
		{
			name:   "udt",
			server: `"` + udt + `" receive 5001 "$WINDOW" | "$SELF" role count`,
			client: `exec "` + udt + `" send "$SERVER" 5001 "$WINDOW"`,
			ready: func(ctx context.Context) error {
				if _, err := os.Stat("/usr/include/udt/udt.h"); err != nil {
					if err := install(ctx, "", "libudt-dev"); err != nil {
						return err
					}
				}
				out, err := exec.CommandContext(ctx, "g++", "-O2", "-o", udt, "udt/udt.cc", "-ludt", "-lpthread").CombinedOutput()
				if err != nil {
					return fmt.Errorf("compile udt/udt.cc: %w: %s", err, out)
				}
				return nil
			},
		},
		{
			// It sends at the rate it is told, as policy fixed does, and then what was lost, in passes over the file.
			name:   "uftp",
			pages:  true,
			server: `mkdir "$DIR/in"; "$SELF" role watch "$DIR/in" & exec uftpd -d -t -D "$DIR/in" -I wan0 -L "$DIR/uftpd.log"`,
			client: `exec uftp -R "$KBIT" -M "$SERVER" -P "$SERVER" -I wan0 -b 1440 -H 0x0A4D0002 "` + source + `"`,
			ready: func(ctx context.Context) error {
				if err := install(ctx, "uftp", "uftp"); err != nil {
					return err
				}
				return needSource()
			},
		},
	}
}

// install gets a Debian package if the program is missing, which "" always is.
func install(ctx context.Context, program, pkg string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, "apt-get", "install", "-qy", "--no-install-recommends", pkg)
	cmd.Env = append(cmd.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("not installed, and apt-get install %s: %w: %s", pkg, err, tail(out))
	}
	return nil
}

// order returns the place of a peer in the table.
func order(name string) int {
	return slices.IndexFunc(peers(&bench{}), func(p peer) bool { return p.name == name })
}
