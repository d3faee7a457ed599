package twnode

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/cluster/node"
)

const fingerprintHelp = `Print the fingerprint of the node's identity, which clients give to
twcp --fingerprint or see when they connect for the first time. The identity is
made if the state folder has none yet.`

func fingerprintCommand() *cobra.Command {
	var state string
	c := &cobra.Command{
		Use: "fingerprint --state DIR", Short: "Print the fingerprint of the node's identity", Long: fingerprintHelp, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if state == "" {
				return usagef("--state is required")
			}
			id, err := node.LoadIdentity(state)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), id.Fingerprint())
			return err
		},
	}
	c.Flags().StringVar(&state, "state", "", "state `folder` of the node")
	return c
}
