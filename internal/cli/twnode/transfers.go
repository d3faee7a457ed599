package twnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/internal/cli"
)

const transfersHelp = `Look at transfers and steer them: jobs that the node was asked for over the Node API, and those
that clients have begun, which can only be looked at. History is there when the node
does not run, too; jobs wait for it then.`

func transfersCommand(p cli.Process) *cobra.Command {
	f := &manager{stateFlag: stateFlag{env: p.Env}}
	return f.group("transfers", "Look at transfers and steer them", transfersHelp, transfersList(f), transfersWatch(f), transfersShow(f), transfersStart(f),
		transfersStatus(f, "cancel", "End a job", api.Canceled), transfersStatus(f, "pause", "Stop a job until it is resumed", api.Paused),
		transfersStatus(f, "resume", "Let a paused job go on", api.Running), transfersRate(f))
}

// transferFlags choose transfers.
type transferFlags struct {
	key    string
	active bool
	count  int
}

func (q *transferFlags) declare(c *cobra.Command) {
	c.Flags().StringVar(&q.key, "key", "", "`id` of the access key whose transfers are wanted")
	c.Flags().BoolVar(&q.active, "active", false, "only those that are not over")
}

func (q *transferFlags) query(after string) api.TransferQuery {
	return api.TransferQuery{After: after, Count: q.count, Active: q.active, AccessKey: q.key}
}

func transfersList(f *manager) *cobra.Command {
	var q transferFlags
	c := &cobra.Command{
		Use: "list", Short: "List transfers, newest first", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				list, _, err := n.Transfers(c.Context(), q.query(""))
				if err != nil {
					return err
				}
				return f.print(c.OutOrStdout(), list, func(w io.Writer) error { return printTransfers(w, list, new(columns)) })
			})
		},
	}
	q.declare(c)
	c.Flags().IntVarP(&q.count, "count", "n", 100, "how `many` at most, up to 1000")
	return c
}

const watchHelp = `Show transfers that are not over, and then each again whenever something of it has changed, until
SIGINT. A running one changes about each 5 s. With --json one transfer in each line.`

// watchEvery is how often a node is asked for changes.
const watchEvery = time.Second

func transfersWatch(f *manager) *cobra.Command {
	var q transferFlags
	c := &cobra.Command{
		Use: "watch", Short: "Follow transfers", Long: watchHelp, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				err := f.watch(c, n, &q)
				if c.Context().Err() != nil {
					return nil // it was told to end
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&q.key, "key", "", "`id` of the access key whose transfers are wanted")
	return c
}

func (f *manager) watch(c *cobra.Command, n *admin.Client, q *transferFlags) error {
	ctx := c.Context()
	if st, err := n.Status(ctx); err != nil || !st.Running {
		if err == nil {
			err = errors.New("the node does not run, so that there is nothing to follow; twnode transfers list has what was")
		}
		return err
	}
	_, after, err := n.Transfers(ctx, api.TransferQuery{Count: 1, AccessKey: q.key}) // from where on there is something new
	if err != nil {
		return err
	}
	if after == "" {
		after = "0" // there was nothing ever
	}
	q.active = true
	list, _, err := n.Transfers(ctx, q.query(""))
	q.active = false // that they end is what one waits for
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var widths columns
	for err == nil {
		if err := f.printChanges(c.OutOrStdout(), list, &widths); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		list, err = nil, nil
		var next string
		if list, next, err = n.Transfers(ctx, q.query(after)); next != "" {
			after = next
		}
	}
	return err
}

func (f *manager) printChanges(w io.Writer, list []api.Transfer, widths *columns) error {
	if !f.json {
		return printTransfers(w, list, widths)
	}
	lines := json.NewEncoder(w)
	for _, t := range list {
		if err := lines.Encode(t); err != nil {
			return err
		}
	}
	return nil
}

// printTransfers writes a row for each, below a head if these are the first.
func printTransfers(w io.Writer, list []api.Transfer, c *columns) error {
	if c.widths == nil {
		c.add("ID", "STATUS", "KEY", "BY", "DIRECTION", "BYTES", "FILES", "RATE", "BEGAN", "WHAT")
	}
	for _, x := range list {
		began, what := "", strings.Join(x.Spec.SourcePaths, " ")
		if x.Start > 0 {
			began = time.UnixMicro(x.Start).UTC().Format(time.DateTime)
		}
		if x.ErrorDesc != "" {
			what = fmt.Sprintf("error %d: %s", x.ErrorCode, x.ErrorDesc)
		}
		c.add(x.ID, x.Status, x.Spec.AccessKey, cli.Shown(x.Spec.Initiator), x.Spec.Direction, x.BytesTransferred, x.FilesCompleted, fasp.Rate(x.AvgRateKbps*1000), began,
			fmt.Sprintf("%.80s", cli.Shown(what)))
	}
	return c.flush(w)
}

func transfersShow(f *manager) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a transfer with its sessions and files, as JSON", Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				t, err := n.Transfer(c.Context(), args[0])
				if err != nil {
					return err
				}
				e := json.NewEncoder(c.OutOrStdout())
				if !f.json {
					e.SetIndent("", "  ")
				}
				return e.Encode(t)
			})
		},
	}
}

const startHelp = `Ask the node for a transfer with another one, by a transfer specification in JSON, as POST /ops/transfers
does; - is standard input. The node's side is its docroot, and the job belongs to no access key. The id
is printed at once; see twnode transfers watch.`

func transfersStart(f *manager) *cobra.Command {
	return &cobra.Command{
		Use: "start FILE", Short: "Ask the node for a transfer with another one", Long: startHelp, Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			b, err := readInput(c, args[0])
			if err != nil {
				return err
			}
			if !json.Valid(b) {
				return usagef("%s is not JSON", args[0])
			}
			return f.do(c.Context(), func(n *admin.Client) error {
				t, err := n.StartTransfer(c.Context(), json.RawMessage(b))
				if err != nil {
					return err
				}
				for _, x := range t.Notes {
					fmt.Fprintf(c.ErrOrStderr(), "twnode: %s has no effect: %s\n", x.Field, x.Why)
				}
				return f.print(c.OutOrStdout(), t, func(w io.Writer) error {
					_, err := fmt.Fprintln(w, t.ID)
					return err
				})
			})
		},
	}
}

func transfersStatus(f *manager, name, short string, status api.TransferStatus) *cobra.Command {
	return &cobra.Command{
		Use: name + " ID", Short: short, Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			text := string(status)
			return f.steer(c, args[0], api.ChangeTransfer{Status: &text})
		},
	}
}

func transfersRate(f *manager) *cobra.Command {
	var target, least string
	c := &cobra.Command{
		Use: "rate ID", Short: "Give a job other rates, also while it runs", Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			var in api.ChangeTransfer
			for _, x := range []struct {
				flag, text string
				to         **int64
			}{{"target", target, &in.TargetRate}, {"min", least, &in.MinRate}} {
				if !c.Flags().Changed(x.flag) {
					continue
				}
				r, err := fasp.ParseRate(x.text)
				if err != nil {
					return usagef("--%s: %w", x.flag, err)
				}
				kbps := int64(r) / 1000
				*x.to = &kbps
			}
			if in.TargetRate == nil && in.MinRate == nil {
				return usagef("nothing to change: give --target or --min")
			}
			return f.steer(c, args[0], in)
		},
	}
	c.Flags().StringVar(&target, "target", "", "target `rate`, such as 300M")
	c.Flags().StringVar(&least, "min", "", "least `rate`")
	return c
}

func (f *manager) steer(c *cobra.Command, id string, in api.ChangeTransfer) error {
	return f.do(c.Context(), func(n *admin.Client) error {
		t, err := n.ChangeTransfer(c.Context(), id, in)
		if err != nil {
			return err
		}
		return f.print(c.OutOrStdout(), t, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%s %s\n", t.ID, t.Status)
			return err
		})
	})
}
