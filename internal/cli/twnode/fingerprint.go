package twnode

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/internal/cli"
)

const fingerprintHelp = `Print the fingerprint of the node's identity, which clients give to
twcp --fingerprint or see when they connect for the first time. "twnode serve"
and "twnode keys create" make it.

The state folder can also stand in the environment variable TWNODE_STATE.`

func fingerprintCommand(p cli.Process) *cobra.Command {
	f := &stateFlag{env: p.Env}
	c := &cobra.Command{
		Use: "fingerprint --state DIR", Short: "Print the fingerprint of the node's identity", Long: fingerprintHelp, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			id, err := f.existing()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), id.Fingerprint())
			return err
		},
	}
	f.declare(c.Flags())
	return c
}
