// Command wanlink emulates a wide-area link for programs on this machine: as a UDP relay on loopback, or, with root, as
// two network namespaces joined by the link.
//
// Exit codes: 0 success, 1 an error, 2 wrong usage; "wanlink tun" passes on the exit code of its client command.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/internal/wanlink"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const (
	exitError = 1
	exitUsage = 2
)

// exitCode is an error that ends the program with a code of its own and without a message.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	started := false // from here on an error is not one of usage
	root := &cobra.Command{
		Use:               "wanlink",
		Short:             "Emulate a wide-area link: rate, delay, loss, queue",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	for _, cmd := range []*cobra.Command{relayCommand(), tunCommand()} {
		body := cmd.RunE // cobra's own hooks run before it checks required flags
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			started = true
			return body(cmd, args)
		}
		root.AddCommand(cmd)
	}
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(stderr, "wanlink:", err)
	if !started {
		return exitUsage
	}
	return exitError
}

// printLine writes v as one line of JSON.
func printLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

// statsLine is the last line of output.
type statsLine struct {
	Event string `json:"event"`
	wanlink.Stats
	LossForward float64 `json:"loss_forward"` // realised after the bottleneck
	LossBack    float64 `json:"loss_back"`
	Overruns    int64   `json:"overruns"` // packets the emulator itself lost or delayed
}

func newStatsLine(s wanlink.Stats) statsLine {
	return statsLine{
		Event:       "stats",
		Stats:       s,
		LossForward: s.Forward.LossAfter(),
		LossBack:    s.Backward.LossAfter(),
		Overruns:    s.Overruns(),
	}
}
