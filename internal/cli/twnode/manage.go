package twnode

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// manageHelp is what all commands say that look after a state folder.
const manageHelp = `
A node that runs on the state folder is asked over the socket admin.sock in it, and what
is changed holds at once; where no node runs, the folder is changed itself. The
state folder can also stand in the environment variable TWNODE_STATE.`

// manager are the flags of those commands.
type manager struct {
	stateFlag
	json bool
}

// group makes a command of which others are parts.
func (f *manager) group(name, short, long string, parts ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: name, Short: short, Long: long + "\n" + manageHelp, Args: noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f.declare(c.PersistentFlags())
	c.AddCommand(parts...)
	return c
}

func (f *manager) declare(flags *pflag.FlagSet) {
	f.stateFlag.declare(flags)
	flags.BoolVar(&f.json, "json", false, "print JSON")
}

// do runs fn with a client for the node of the state folder.
func (f *manager) do(ctx context.Context, fn func(*admin.Client) error) error {
	if _, err := f.existing(); err != nil {
		return err
	}
	return f.attached(ctx, fn)
}

// doMaking is do, and makes the folder if needed, with an identity for the node.
func (f *manager) doMaking(ctx context.Context, fn func(*admin.Client) error) error {
	dir, err := f.dir()
	if err != nil {
		return err
	}
	if err := foreign(dir); err != nil {
		return err
	}
	if _, err := node.LoadIdentity(dir); err != nil {
		return err
	}
	return f.attached(ctx, fn)
}

func (f *manager) attached(ctx context.Context, fn func(*admin.Client) error) error {
	dir, err := f.dir()
	if err != nil {
		return err
	}
	c, closed, err := node.Attach(ctx, dir, cli.Version(), nil)
	if err != nil {
		return err
	}
	return plain(errors.Join(fn(c), closed()))
}

// flagNames turns names of fields into those of the flags that they came from.
var flagNames = strings.NewReplacer("tradewind.root", "--root", "tradewind.rotate_overlap_seconds", "--overlap, in seconds", "life_seconds", "--life, in seconds",
	"token_verification_key", "--token-key", "authorized_keys: ", "--authorized-keys: ", "tradewind.tenant", "--tenant", "tradewind.note", "--note")

// plain is an error without what only a program wants to know of it.
func plain(err error) error {
	var e *api.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Code == 400 {
		return usageError{errors.New(flagNames.Replace(e.UserMessage))}
	}
	return errors.New(e.UserMessage)
}

// print writes v as JSON, or by text.
func (f *manager) print(w io.Writer, v any, text func(io.Writer) error) error {
	if f.json {
		return json.NewEncoder(w).Encode(v)
	}
	return text(w)
}

// secret returns a secret that people choose from an environment variable: what stands on a command line is seen by all of the machine.
func (f *manager) secret(variable string) (string, error) {
	text, ok := f.env.Lookup(variable)
	switch {
	case !ok:
		return "", usagef("the environment variable %s is not set", variable)
	case text == "":
		return "", usagef("the environment variable %s is set, and empty", variable)
	}
	return text, nil
}

func word(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}
