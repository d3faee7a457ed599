package twnode

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/internal/cli"
)

const backupHelp = `Write all that the state store holds, keys, accounts, jobs, the record of transfers and the audit log, to a
file, as of one moment; a node that runs goes on meanwhile. Secrets in it are sealed with master.key.

Keep these files of the state folder beside it, without which a restored node is another one
or cannot read its secrets: master.key, identity.pem, ssh_host_ed25519_key, api.crt, api.key and the folder
authorized_keys. Unlike the backup they do not change.`

func backupCommand(p cli.Process) *cobra.Command {
	f := &manager{stateFlag: stateFlag{env: p.Env}}
	c := &cobra.Command{
		Use: "backup FILE", Short: "Write the state store to a file", Long: backupHelp + "\n" + manageHelp, Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				if args[0] == "-" {
					return n.Backup(c.Context(), c.OutOrStdout())
				}
				return writeNew(args[0], func(w io.Writer) error { return n.Backup(c.Context(), w) })
			})
		},
	}
	f.stateFlag.declare(c.Flags())
	return c
}

const restoreHelp = `Fill the state store from a file that twnode backup has written, all of it or nothing. The state folder must
have none yet, and must have the master.key of the node that was backed up.

A client that follows transfers or events with an iteration token which is newer than the backup has to begin anew.`

func restoreCommand(p cli.Process) *cobra.Command {
	f := &stateFlag{env: p.Env}
	c := &cobra.Command{
		Use: "restore FILE", Short: "Fill a new state store from a backup", Long: restoreHelp, Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := f.dir()
			if err != nil {
				return err
			}
			from := c.InOrStdin()
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer file.Close()
				from = file
			}
			return node.Restore(c.Context(), dir, from, nil)
		},
	}
	f.declare(c.Flags())
	return c
}
