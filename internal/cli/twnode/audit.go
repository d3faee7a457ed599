package twnode

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/internal/cli"
)

const auditHelp = `Show and verify the log of what was about to be done to keys, users and accounts. Each record holds the hash of the one
before, so that none can be changed or left out unseen, apart from those at the end: keep the
hash of the newest one elsewhere now and then.`

func auditCommand(p cli.Process) *cobra.Command {
	f := &manager{stateFlag: stateFlag{env: p.Env}}
	list := &cobra.Command{
		Use: "list", Short: "Show the log, oldest first; with --json one record in each line", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.do(c.Context(), func(n *admin.Client) error { return f.listAudit(c, n) })
		},
	}
	verify := &cobra.Command{
		Use: "verify", Short: "Say whether the log is whole", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				chain, err := n.VerifyAudit(c.Context())
				if err != nil {
					return err
				}
				err = f.print(c.OutOrStdout(), chain, func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "records %d to %d, hash of the newest %s\n", chain.First, chain.Last, chain.Head)
					return err
				})
				if err == nil && !chain.OK {
					err = fmt.Errorf("the log is not whole: record %d: %s", chain.Broken, chain.Reason)
				}
				return err
			})
		},
	}
	return f.group("audit", "Show and verify the audit log", auditHelp, list, verify)
}

func (f *manager) listAudit(c *cobra.Command, n *admin.Client) error {
	t := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
	lines := json.NewEncoder(c.OutOrStdout())
	if !f.json {
		fmt.Fprintln(t, "NUMBER\tTIME\tACTOR\tACTION\tOBJECT\tCHANGED")
	}
	for after := ""; ; {
		list, next, err := n.Audit(c.Context(), after)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, r := range list {
			if f.json {
				if err := lines.Encode(r); err != nil {
					return err
				}
				continue
			}
			printAudit(t, r)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		after = next
	}
}

func printAudit(w io.Writer, r api.AuditRecord) {
	fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", r.Seq, r.Time, cli.Shown(r.Actor), r.Action, cli.Shown(r.Object), cli.Shown(strings.Join(r.Changed, ",")))
}
