package twnode

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/internal/cli"
)

const tokenHelp = `Make a transfer token and print it: whoever holds it may transfer one way, to or from the paths
given and what lies below them, at this node, for a time. It is good as long as its key or account
is, and allows no more. Give it to twcp in the environment variable ASPERA_SCP_TOKEN.

  twnode token upload --key acme --life 2h /incoming
  twnode token download --account joe /films/one.mxf /films/two.mxf`

func tokenCommand(p cli.Process) *cobra.Command {
	f := &manager{stateFlag: stateFlag{env: p.Env}}
	return f.group("token", "Make transfer tokens", tokenHelp,
		tokenMake(f, "upload", "Make a token to upload below these paths"), tokenMake(f, "download", "Make a token to download these paths"))
}

func tokenMake(f *manager, direction, short string) *cobra.Command {
	in := admin.TokenRequest{Direction: direction}
	var life time.Duration
	c := &cobra.Command{
		Use: direction + " --key ID PATH...", Short: short, Args: func(c *cobra.Command, args []string) error { return wantArgs(c, args, 1, 10_000) },
		RunE: func(c *cobra.Command, args []string) error {
			if (in.Key == "") == (in.Account == "") {
				return usagef("give --key or --account, one of them")
			}
			if life < time.Second {
				return usagef("--life %v: want a second or more", life)
			}
			in.Paths, in.Life = args, int64(life/time.Second)
			return f.do(c.Context(), func(n *admin.Client) error {
				t, err := n.Token(c.Context(), in)
				if err != nil {
					return err
				}
				return f.print(c.OutOrStdout(), t, func(w io.Writer) error {
					_, err := fmt.Fprintln(w, t.Token)
					return err
				})
			})
		},
	}
	c.Flags().StringVar(&in.Key, "key", "", "`id` of the access key that it is for")
	c.Flags().StringVar(&in.Account, "account", "", "`name` of the account that it is for")
	c.Flags().DurationVar(&life, "life", 24*time.Hour, "how `long` it is good, up to 720h")
	return c
}
