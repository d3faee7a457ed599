package twnode

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// passwordVariable is the environment variable with the password of a user or an account.
const passwordVariable = "TWNODE_PASSWORD"

const usersHelp = `List, make and remove users of the node, who manage access keys over the Node API and see
what all of them do. They transfer nothing themselves; see twnode keys and twnode accounts.`

const setUserHelp = `Make a user of the node, or give the one that is there another password: the one in the
environment variable TWNODE_PASSWORD, of 12 characters or more, or a random one, which
is printed as "NAME:PASSWORD" and shown this once.`

func usersCommand(p cli.Process) *cobra.Command {
	f := &manager{stateFlag: stateFlag{env: p.Env}}
	list := &cobra.Command{
		Use: "list", Short: "List users of the node", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				users, err := n.Users(c.Context())
				if err != nil {
					return err
				}
				return f.print(c.OutOrStdout(), users, func(w io.Writer) error {
					t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
					fmt.Fprintln(t, "NAME\tCREATED")
					for _, u := range users {
						fmt.Fprintf(t, "%s\t%s\n", u.Name, u.Created.UTC().Format(time.DateTime))
					}
					return t.Flush()
				})
			})
		},
	}
	set := &cobra.Command{
		Use: "set NAME", Short: "Make a user of the node, or give one another password", Long: setUserHelp, Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			password, random, err := f.password(args[0])
			if err != nil {
				return err
			}
			return f.doMaking(c.Context(), func(n *admin.Client) error {
				if err := n.SetUser(c.Context(), args[0], password); err != nil {
					return err
				}
				return f.show(c, args[0], password, random)
			})
		},
	}
	remove := &cobra.Command{
		Use: "delete NAME", Short: "Remove a user of the node", Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			return f.do(c.Context(), func(n *admin.Client) error { return n.DeleteUser(c.Context(), args[0]) })
		},
	}
	return f.group("users", "Manage users of the node", usersHelp, list, set, remove)
}

// password returns the one of the environment, or a random one.
func (f *manager) password(name string) (password string, random bool, err error) {
	if _, ok := f.env.Lookup(passwordVariable); ok {
		password, err = f.secret(passwordVariable)
		return password, false, err
	}
	c, err := accesskey.Generate(name)
	if err != nil {
		return "", false, usageError{err}
	}
	return c.Secret, true, nil
}

// show prints a password that was made here.
func (f *manager) show(c *cobra.Command, name, password string, random bool) error {
	if !random {
		return nil
	}
	return f.print(c.OutOrStdout(), map[string]string{"name": name, "password": password}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s:%s\n", name, password)
		return err
	})
}
