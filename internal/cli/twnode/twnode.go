package twnode

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/internal/cli"
)

const about = `twnode is a Tradewind transfer node.

It serves files below one folder to clients that hold an access key, over one
UDP port. Keys and the node's identity live in the state folder.

  twnode keys create --state /var/lib/tradewind
  twnode serve --docroot /srv/data --state /var/lib/tradewind`

// Run is the command; see cli.Command.
func Run(ctx context.Context, p cli.Process) int {
	root := &cobra.Command{
		Use: "twnode", Short: "Tradewind transfer node", Long: about,
		SilenceUsage: true, SilenceErrors: true, Version: cli.Version(), Args: noSuchCommand,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(p), keysCommand(p), usersCommand(p), accountsCommand(p), tokenCommand(p), transfersCommand(p), auditCommand(p), backupCommand(p), restoreCommand(p), reloadCommand(p), supportCommand(p), vlinksCommand(),
		configCommand(p), fingerprintCommand(p), versionCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(p.Stderr, "twnode: %v\n", err)
		var usage usageError
		if errors.As(err, &usage) {
			return 2
		}
		return 1
	}
	return 0
}

// usageError is a fault of whoever typed the command line or wrote the configuration.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(c.OutOrStdout(), cli.VersionText("twnode"))
			return err
		},
	}
}
