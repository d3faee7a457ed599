package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tradewind-io/tradewind/internal/wanlink"
)

// tunOptions are the flags of "wanlink tun" beside those of the link.
type tunOptions struct {
	server, client  string
	timeout, settle time.Duration
}

func tunCommand() *cobra.Command {
	var o tunOptions
	cmd := &cobra.Command{
		Use:   "tun --server CMD --client CMD",
		Short: "Run two commands in network namespaces joined by the link (root)",
		Long: `Tun makes two network namespaces joined by the emulated link, runs the server command in one and, after --settle, the
client command in the other, each through "sh -c" with SERVER, CLIENT, SERVER6 and CLIENT6 set to the addresses. When the
client ends, or after --timeout, the server is stopped, everything is removed and a line with the event "stats" is
printed on standard output. Forward is from client to server.`,
		Example: "  wanlink tun --rate 100M --rtt 100ms --server 'iperf3 -s -1' --client 'iperf3 -c $SERVER'",
		Args:    cobra.NoArgs,
	}
	link := addLinkFlags(cmd)
	cmd.Flags().StringVar(&o.server, "server", "", "server command; may be empty")
	cmd.Flags().StringVar(&o.client, "client", "", "client command")
	cmd.Flags().DurationVar(&o.timeout, "timeout", time.Minute, "end after this time at the latest")
	cmd.Flags().DurationVar(&o.settle, "settle", 300*time.Millisecond, "wait between the start of server and client")
	cmd.MarkFlagRequired("client")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		fwd, back := link.impairments()
		t, err := wanlink.NewTun(cmd.Context(), wanlink.TunConfig{
			Forward: fwd, Backward: back, Seed: link.seed, MTU: link.mtu,
		})
		if err != nil {
			return err
		}
		defer t.Close()
		err = runPair(cmd.Context(), t, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		return errors.Join(err, printLine(cmd.OutOrStdout(), newStatsLine(t.Stats())))
	}
	return cmd
}

// runPair carries packets while the two commands run. An unsuccessful client gives an exitCode.
func runPair(ctx context.Context, t *wanlink.Tun, o tunOptions, stdout, stderr io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	linkCtx, stopLink := context.WithCancel(context.WithoutCancel(ctx)) // outlives the commands
	var link errgroup.Group
	link.Go(func() error { return t.Run(linkCtx) })

	env := []string{
		"CLIENT=" + t.A.Addr4.String(), "SERVER=" + t.B.Addr4.String(),
		"CLIENT6=" + t.A.Addr6.String(), "SERVER6=" + t.B.Addr6.String(),
	}
	stdout, stderr = shared(stdout), shared(stderr)
	command := func(ctx context.Context, line string) *exec.Cmd {
		c := exec.CommandContext(ctx, "sh", "-c", line)
		c.Env = append(c.Environ(), env...)
		c.Stdout, c.Stderr = stdout, stderr
		endTogether(c)
		c.WaitDelay = 2 * time.Second
		return c
	}
	err := func() error {
		serverCtx, stopServer := context.WithCancel(ctx)
		defer stopServer()
		if o.server != "" {
			server := command(serverCtx, o.server)
			if err := t.B.Start(server); err != nil {
				return err
			}
			defer func() {
				stopServer()
				server.Wait() // its result does not matter once the client is done
			}()
			select {
			case <-ctx.Done():
			case <-time.After(o.settle):
			}
		}
		client := command(ctx, o.client)
		if err := t.A.Start(client); err != nil {
			return err
		}
		err := client.Wait()
		var failed *exec.ExitError
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &failed) && failed.ExitCode() > 0:
			return exitCode(failed.ExitCode())
		}
		return err
	}()
	stopLink()
	return errors.Join(err, link.Wait())
}

// shared returns a writer that both commands may write to at once. A file goes to them as it is.
func shared(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok {
		return f
	}
	return &sharedWriter{w: w}
}

type sharedWriter struct {
	mu sync.Mutex // serialises Write
	w  io.Writer
}

func (s *sharedWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}
