package twnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/vlink"
	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/objstore"
)

const keysHelp = `List, create, change, disable, enable and delete access keys. A running node sees
changes at once; sessions that are running are not cut.

The state folder can also stand in the environment variable TWNODE_STATE.`

const createHelp = `Create an access key with a random secret and print "ID:SECRET". The secret
is not kept anywhere and is shown this once. The state folder is made if needed,
with an identity for the node. Give it to twcp in the environment:

  export ASPERA_SCP_TOKEN="Basic $(printf %s 'ID:SECRET' | base64 -w0)"`

// keysFlags are those of all subcommands.
type keysFlags struct {
	stateFlag
	json bool
}

// open opens the keys of a node that is there.
func (f *keysFlags) open() (*accesskey.FileStore, error) {
	if _, err := f.existing(); err != nil {
		return nil, err
	}
	return f.store()
}

// create opens the keys of a node, which it makes if needed.
func (f *keysFlags) create() (*accesskey.FileStore, error) {
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	if _, err := node.LoadIdentity(dir); err != nil {
		return nil, err
	}
	return f.store()
}

func (f *keysFlags) store() (*accesskey.FileStore, error) {
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	return accesskey.OpenFileStore(dir)
}

func keysCommand(p cli.Process) *cobra.Command {
	f := &keysFlags{stateFlag: stateFlag{env: p.Env}}
	keys := &cobra.Command{
		Use: "keys", Short: "Manage access keys", Long: keysHelp,
		Args: noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f.declare(keys.PersistentFlags())
	keys.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON")
	keys.AddCommand(keysList(f), keysCreate(f), keysSet(f), keysEnable(f, "disable", "Refuse new sessions of a key", true),
		keysEnable(f, "enable", "Allow sessions of a key again", false), keysDelete(f))
	return keys
}

// keyJSON is a key as --json prints it. Secret is set only by create.
type keyJSON struct {
	ID       string    `json:"id"`
	Secret   string    `json:"secret,omitempty"`
	Disabled bool      `json:"disabled"`
	Rights   []string  `json:"rights"` // of read, write, list, delete
	Root     string    `json:"root"`
	RateCap  int64     `json:"rate_cap_bps"`
	VLink    string    `json:"vlink,omitempty"`
	Created  time.Time `json:"created,omitzero"`
	Note     string    `json:"note,omitempty"`
}

func keyToJSON(k accesskey.Key) keyJSON {
	rights := []string{}
	if k.Rights != (accesskey.Rights{}) {
		rights = strings.Split(k.Rights.String(), ",")
	}
	return keyJSON{ID: k.ID, Disabled: k.Disabled, Rights: rights, Root: k.Root, RateCap: k.RateCap, VLink: k.VLink, Created: k.Created, Note: k.Note}
}

func keysList(f *keysFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List access keys", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			store, err := f.open()
			if err != nil {
				return err
			}
			keys, err := store.Keys(c.Context())
			if err != nil {
				return err
			}
			if f.json {
				list := make([]keyJSON, len(keys))
				for i, k := range keys {
					list[i] = keyToJSON(k)
				}
				return json.NewEncoder(c.OutOrStdout()).Encode(list)
			}
			return printKeys(c.OutOrStdout(), keys)
		},
	}
}

func printKeys(w io.Writer, keys []accesskey.Key) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTATE\tRIGHTS\tROOT\tRATE CAP\tVLINK\tCREATED\tNOTE")
	for _, k := range keys {
		state, limit, created := "enabled", "none", ""
		if k.Disabled {
			state = "disabled"
		}
		if k.RateCap > 0 {
			limit = fasp.Rate(k.RateCap).String()
		}
		if !k.Created.IsZero() {
			created = k.Created.UTC().Format(time.DateTime)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t/%s\t%s\t%s\t%s\t%q\n", k.ID, state, k.Rights, k.Root, limit, linkName(k.VLink), created, k.Note)
	}
	return t.Flush()
}

func keysCreate(f *keysFlags) *cobra.Command {
	var root, rights, limit, link, note string
	c := &cobra.Command{
		Use: "create [ID]", Short: "Create an access key", Long: createHelp, Args: atMostOneID,
		RunE: func(c *cobra.Command, args []string) error {
			id := ""
			if len(args) == 1 {
				id = args[0]
			}
			cred, err := accesskey.Generate(id)
			if err != nil {
				return usageError{err}
			}
			key, _, err := accesskey.NewKey(cred)
			if err != nil {
				return err
			}
			if key.Rights, err = accesskey.ParseRights(rights); err != nil {
				return usageError{err}
			}
			rate, err := fasp.ParseRate(limit)
			if err != nil {
				return usageError{err}
			}
			if key.Root, err = cleanRoot(root); err != nil {
				return err
			}
			if key.VLink, err = cleanLink(link); err != nil {
				return err
			}
			key.RateCap, key.Note, key.Created = int64(rate), note, time.Now().UTC().Truncate(time.Second)
			store, err := f.create()
			if err != nil {
				return err
			}
			if _, err := store.Key(c.Context(), cred.ID); err == nil {
				return fmt.Errorf("access key %s exists already", cred.ID)
			} else if !errors.Is(err, accesskey.ErrNotFound) {
				return err
			}
			if err := store.Put(c.Context(), key); err != nil {
				return err
			}
			if f.json {
				j := keyToJSON(key)
				j.Secret = cred.Secret
				return json.NewEncoder(c.OutOrStdout()).Encode(j)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s:%s\n", cred.ID, cred.Secret)
			return err
		},
	}
	c.Flags().StringVar(&root, "root", "", "`folder` below the docroot that the key is bound to")
	c.Flags().StringVar(&rights, "rights", "all", "`list` of read, write, list, delete")
	c.Flags().StringVar(&limit, "rate-cap", "0", "`rate` that all sessions of the key share, such as 300M; 0 is no cap")
	c.Flags().StringVar(&link, "vlink", "", "`name` of the vlink that sessions of the key belong to; see twnode vlinks --help")
	c.Flags().StringVar(&note, "note", "", "free `text`")
	return c
}

// keysSet changes what a key is bound by; only what is given changes.
func keysSet(f *keysFlags) *cobra.Command {
	var limit, link string
	c := &cobra.Command{
		Use: "set ID", Short: "Change the vlink or the rate cap of a key, for sessions that begin from then on", Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			if !c.Flags().Changed("vlink") && !c.Flags().Changed("rate-cap") {
				return usagef("nothing to change: give --vlink or --rate-cap")
			}
			rate, err := fasp.ParseRate(limit)
			if err != nil {
				return usageError{err}
			}
			name, err := cleanLink(link)
			if err != nil {
				return err
			}
			return f.change(c.Context(), args[0], func(s *accesskey.FileStore, k accesskey.Key) error {
				if c.Flags().Changed("vlink") {
					k.VLink = name
				}
				if c.Flags().Changed("rate-cap") {
					k.RateCap = int64(rate)
				}
				return s.Put(c.Context(), k)
			})
		},
	}
	c.Flags().StringVar(&limit, "rate-cap", "0", "`rate` that all sessions of the key share, such as 300M; 0 is no cap")
	c.Flags().StringVar(&link, "vlink", "", "`name` of the vlink that sessions of the key belong to; default for none")
	return c
}

// cleanLink returns the vlink of a key as it is kept: that of keys without one has no name.
func cleanLink(name string) (string, error) {
	if name == defaultLink {
		name = ""
	}
	if err := vlink.CheckName(name); err != nil {
		return "", usagef("--vlink: %w", err)
	}
	return name, nil
}

// cleanRoot returns the place that a key is bound to, as a slash path below the docroot; "" is the docroot.
// A URI names a place of its own.
func cleanRoot(s string) (string, error) {
	if objstore.IsURI(s) {
		u, err := objstore.ParseURI(s)
		if err != nil {
			return "", usagef("--root: %w", err)
		}
		return u.String(), nil
	}
	root := strings.Trim(filepath.ToSlash(s), "/")
	if root == "" || root == "." {
		return "", nil
	}
	if !filepath.IsLocal(filepath.FromSlash(root)) {
		return "", usagef("--root %q leads out of the docroot: give a folder below it", s)
	}
	return path.Clean(root), nil
}

func keysEnable(f *keysFlags, name, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use: name + " ID", Short: short, Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			return f.change(c.Context(), args[0], func(s *accesskey.FileStore, k accesskey.Key) error {
				k.Disabled = disabled
				return s.Put(c.Context(), k)
			})
		},
	}
}

func keysDelete(f *keysFlags) *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Delete an access key", Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			return f.change(c.Context(), args[0], func(s *accesskey.FileStore, k accesskey.Key) error { return s.Delete(c.Context(), k.ID) })
		},
	}
}

func (f *keysFlags) change(ctx context.Context, id string, fn func(*accesskey.FileStore, accesskey.Key) error) error {
	store, err := f.open()
	if err != nil {
		return err
	}
	k, err := store.Key(ctx, id)
	if err == nil {
		err = fn(store, k)
	}
	if err != nil {
		return fmt.Errorf("access key %q: %w", id, err)
	}
	return nil
}

// noSuchCommand refuses what stands where a subcommand is due.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q; see %s --help", args[0], c.CommandPath())
	}
	return nil
}

func noArgs(c *cobra.Command, args []string) error { return wantArgs(c, args, 0, 0) }

func oneID(c *cobra.Command, args []string) error { return wantArgs(c, args, 1, 1) }

func atMostOneID(c *cobra.Command, args []string) error { return wantArgs(c, args, 0, 1) }

func wantArgs(c *cobra.Command, args []string, least, most int) error {
	if len(args) < least || len(args) > most {
		return usagef("wrong number of arguments; usage: %s", c.UseLine())
	}
	return nil
}
