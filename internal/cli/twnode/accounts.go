package twnode

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/internal/cli"
)

const accountsHelp = `List, create, change and delete accounts, which log in as "twcp USER@HOST:" does, with a
password or a public key (twnode serve --ssh). Public keys also stand in the file authorized_keys/NAME in
the state folder, in the form of OpenSSH, which is read at each login.`

const createAccountHelp = `Create an account. Its password is the one in the environment variable TWNODE_PASSWORD, of 12
characters or more; with --password a random one is made and printed as "NAME:PASSWORD",
shown this once. Without either it logs in with public keys only.`

// accountFlags are what an account can be given.
type accountFlags struct {
	boundFlags
	keys     string
	password bool
}

func (a *accountFlags) declare(c *cobra.Command) {
	a.boundFlags.declare(c, "account")
	c.Flags().StringVar(&a.keys, "authorized-keys", "", "`file` with public keys in the form of OpenSSH, in place of those it has; - is standard input")
	c.Flags().BoolVar(&a.password, "password", false, "give it the password in TWNODE_PASSWORD, or else a random one, which is printed")
}

// change is what the flags that were given change.
func (a *accountFlags) change(c *cobra.Command) (admin.AccountChange, error) {
	b, err := a.read(c)
	in := admin.AccountChange{Root: b.root, Rights: b.rights, RateCap: b.cap, VLink: b.link}
	if err != nil {
		return in, err
	}
	if c.Flags().Changed("authorized-keys") {
		b, err := readInput(c, a.keys)
		if err != nil {
			return in, err
		}
		lines := []string{}
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines = append(lines, line)
			}
		}
		in.Keys = &lines
	}
	return in, nil
}

func accountsCommand(p cli.Process) *cobra.Command {
	f := &manager{stateFlag: stateFlag{env: p.Env}}
	return f.group("accounts", "Manage accounts, which log in by SSH", accountsHelp, accountsList(f), accountsChange(f, true), accountsChange(f, false),
		accountsEnable(f, "disable", "Refuse logins of an account, and end its sessions", true), accountsEnable(f, "enable", "Allow logins of an account again", false),
		&cobra.Command{
			Use: "delete NAME", Short: "Delete an account with its public keys; its files stay", Args: oneID,
			RunE: func(c *cobra.Command, args []string) error {
				return f.do(c.Context(), func(n *admin.Client) error { return n.DeleteAccount(c.Context(), args[0]) })
			},
		})
}

func accountsList(f *manager) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List accounts", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				list, err := n.Accounts(c.Context())
				if err != nil {
					return err
				}
				return f.print(c.OutOrStdout(), list, func(w io.Writer) error {
					t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
					fmt.Fprintln(t, "NAME\tSTATE\tRIGHTS\tROOT\tRATE CAP\tVLINK\tPASSWORD\tKEYS")
					for _, a := range list {
						root, rights := a.Root, strings.Join(a.Rights, ",")
						if !strings.Contains(root, "://") {
							root = "/" + root
						}
						fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", a.Name, word(a.Disabled, "disabled", "enabled"), word(rights == "", "none", rights), root, capText(fasp.Rate(a.RateCap)), linkName(a.VLink),
							word(a.Password, "yes", "no"), len(a.Keys))
					}
					return t.Flush()
				})
			})
		},
	}
}

func accountsChange(f *manager, create bool) *cobra.Command {
	var a accountFlags
	c := &cobra.Command{
		Use: "set NAME", Short: "Change an account, for logins from then on", Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			if err := someFlag(c); err != nil && !create {
				return err
			}
			in, err := a.change(c)
			if err != nil {
				return err
			}
			in.Create = create
			_, chosen := f.env.Lookup(passwordVariable)
			random := false
			if a.password || create && chosen {
				var password string
				if password, random, err = f.password(args[0]); err != nil {
					return err
				}
				in.Password = &password
			}
			do := f.do
			if create {
				do = f.doMaking
			}
			return do(c.Context(), func(n *admin.Client) error {
				if err := n.ChangeAccount(c.Context(), args[0], in); err != nil {
					return err
				}
				if in.Password == nil {
					if create && in.Keys == nil {
						fmt.Fprintf(c.ErrOrStderr(), "twnode: %s has neither a password nor a public key yet; see twnode accounts set --help\n", args[0])
					}
					return nil
				}
				return f.show(c, args[0], *in.Password, random)
			})
		},
	}
	c.Long = "Change an account; what is not given stays. Its password is changed with --password."
	if create {
		c.Use, c.Short, c.Long = "create NAME", "Create an account", createAccountHelp
	}
	a.declare(c)
	return c
}

func accountsEnable(f *manager, name, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use: name + " NAME", Short: short, Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				return n.ChangeAccount(c.Context(), args[0], admin.AccountChange{Disabled: &disabled})
			})
		},
	}
}
