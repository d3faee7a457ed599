package twnode

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/api"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/internal/cli"
)

const keysHelp = `List, create, change, rotate, disable, enable and delete access keys, and carry them
to another node. Sessions and jobs of a key that is disabled or deleted end; if its
rights or its storage change, they begin again by what holds then.`

const createHelp = `Create an access key with a random secret and print "ID:SECRET". The secret
is not kept anywhere and is shown this once. The state folder is made if needed,
with an identity for the node. Give it to twcp in the environment:

  export ASPERA_SCP_TOKEN="Basic $(printf %s 'ID:SECRET' | base64 -w0)"

A key is bound to --root, or to a storage of its own: a file with the JSON object of
the Node API, credentials included, such as
  {"type":"aws_s3","bucket":"films","endpoint":"https://s3.example","credentials":{"type":"key","access_key_id":"...","secret_access_key":"..."}}`

func keysCommand(p cli.Process) *cobra.Command {
	f := &manager{stateFlag: stateFlag{env: p.Env}}
	return f.group("keys", "Manage access keys", keysHelp, keysList(f), keysShow(f), keysCreate(f), keysSet(f), keysRotate(f),
		keysEnable(f, "disable", "Refuse a key, and end its sessions and jobs", true), keysEnable(f, "enable", "Allow sessions of a key again", false), keysDelete(f),
		keysExport(f), keysImport(f))
}

// keyJSON is a key as --json prints it. Secret is set only by create and rotate.
type keyJSON struct {
	ID       string          `json:"id"`
	Secret   string          `json:"secret,omitempty"`
	Disabled bool            `json:"disabled"`
	Rights   []string        `json:"rights"` // of read, write, list, delete
	Root     string          `json:"root"`   // below the docroot, or a URI; empty with a storage of another kind
	RateCap  int64           `json:"rate_cap_bps"`
	VLink    string          `json:"vlink,omitempty"`
	Tenant   string          `json:"tenant,omitempty"`
	Created  string          `json:"created,omitempty"`
	Note     string          `json:"note,omitempty"`
	Storage  json.RawMessage `json:"storage"` // without its credentials
	State    string          `json:"state"`   // of the storage
	Reason   string          `json:"state_reason,omitempty"`
	Previous string          `json:"previous_secret_until,omitempty"`
}

func keyToJSON(k api.AccessKey) keyJSON {
	t := k.Tradewind
	j := keyJSON{
		ID: k.ID, Secret: k.Secret, Disabled: t.Disabled, Rights: t.Rights, Storage: k.Storage, State: t.State, Reason: t.Reason, Tenant: t.Tenant, RateCap: t.RateCap,
		VLink: t.VLink, Created: t.Created, Previous: t.PreviousUntil, Note: t.Note,
	}
	switch s := storageOf(k); s["type"] {
	case "local":
		j.Root = strings.Trim(s["path"], "/")
	case "uri":
		j.Root = s["path"]
	}
	return j
}

// storageOf reads the storage object of an answer.
func storageOf(k api.AccessKey) map[string]string {
	var s map[string]string
	if json.Unmarshal(k.Storage, &s) != nil {
		return map[string]string{"type": "?"}
	}
	return s
}

// placeText is a storage in one word.
func placeText(k api.AccessKey) string {
	s := storageOf(k)
	switch s["type"] {
	case "local":
		return "/" + strings.Trim(s["path"], "/")
	case "uri":
		return s["path"]
	}
	name := s["bucket"] + s["container"]
	return s["type"] + ":" + strings.Trim(name+"/"+strings.Trim(s["path"], "/"), "/")
}

func keysList(f *manager) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List access keys", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				keys, err := n.AccessKeys(c.Context())
				if err != nil {
					return err
				}
				list := make([]keyJSON, len(keys))
				for i, k := range keys {
					list[i] = keyToJSON(k)
				}
				return f.print(c.OutOrStdout(), list, func(w io.Writer) error { return printKeys(w, keys) })
			})
		},
	}
}

func printKeys(w io.Writer, keys []api.AccessKey) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTATE\tRIGHTS\tPLACE\tRATE CAP\tVLINK\tTENANT\tCREATED\tNOTE")
	for _, k := range keys {
		x := k.Tradewind
		state, rights := word(x.Disabled, "disabled", "enabled"), strings.Join(x.Rights, ",")
		if x.State != accesskey.Ready.String() {
			state += ", storage " + x.State
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%q\n", k.ID, state, word(rights == "", "none", rights), cli.Shown(placeText(k)), capText(fasp.Rate(x.RateCap)), linkName(x.VLink), word(x.Tenant == "", "-", cli.Shown(x.Tenant)),
			x.Created, x.Note)
	}
	return t.Flush()
}

func keysShow(f *manager) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show an access key", Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				k, err := n.AccessKey(c.Context(), args[0])
				if err != nil {
					return named("access key", args[0], err)
				}
				return f.print(c.OutOrStdout(), keyToJSON(k), func(w io.Writer) error { return printKey(w, k) })
			})
		},
	}
}

func printKey(w io.Writer, k api.AccessKey) error {
	x := k.Tradewind
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range [][2]string{
		{"id", k.ID},
		{"tenant", x.Tenant},
		{"sessions", word(x.Disabled, "refused", "allowed")},
		{"rights", strings.Join(x.Rights, ",")},
		{"storage", string(k.Storage)},
		{"storage state", strings.TrimSpace(x.State + " " + x.Reason)},
		{"rate cap", capText(fasp.Rate(x.RateCap))},
		{"vlink", linkName(x.VLink)},
		{"bearer tokens", word(k.TokenVerificationKey != "", "taken", "not taken")},
		{"created", x.Created},
		{"secret before, until", x.PreviousUntil},
		{"configuration", string(k.Configuration)},
		{"note", x.Note},
	} {
		if row[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", row[0], cli.Shown(row[1]))
		}
	}
	return t.Flush()
}

// named says what an error is about.
func named(what, name string, err error) error {
	return fmt.Errorf("%s %q: %w", what, name, plain(err))
}

// keyFlags are what a key can be given.
type keyFlags struct {
	boundFlags
	note, tenant, storage, tokenKey string
}

func (k *keyFlags) declare(c *cobra.Command) {
	k.boundFlags.declare(c, "key")
	c.Flags().StringVar(&k.storage, "storage", "", "`file` with the JSON object of a storage of its own; - is standard input")
	c.Flags().StringVar(&k.tenant, "tenant", "", "`name` of whose key it is; empty is the node's own")
	c.Flags().StringVar(&k.tokenKey, "token-key", "", "`file` with the RSA public key in PEM that bearer tokens are verified with; - is standard input")
	c.Flags().StringVar(&k.note, "note", "", "free `text`")
}

// request is what the flags that were given change.
func (k *keyFlags) request(c *cobra.Command) (api.AccessKeyRequest, error) {
	given := c.Flags().Changed
	b, err := k.read(c)
	t := &api.KeySettings{Root: b.root, Rights: b.rights, RateCap: b.cap, VLink: b.link}
	in := api.AccessKeyRequest{Tradewind: t}
	if err != nil {
		return in, err
	}
	if given("tenant") {
		t.Tenant = &k.tenant
	}
	if given("note") {
		t.Note = &k.note
	}
	if given("storage") {
		b, err := readInput(c, k.storage)
		if err != nil {
			return in, err
		}
		if in.Storage = b; !json.Valid(b) {
			return in, usagef("--storage: %s is not JSON", k.storage)
		}
	}
	if given("token-key") {
		b, err := readInput(c, k.tokenKey)
		if err != nil {
			return in, err
		}
		text := string(b)
		in.TokenVerificationKey = &text
	}
	return in, nil
}

// maxInput bounds what is read of a small file, in bytes.
const maxInput = 1 << 20

// readInput reads a small file, or standard input for "-".
func readInput(c *cobra.Command, name string) ([]byte, error) {
	r := c.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err == nil && len(b) > maxInput {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxInput)
	}
	return b, err
}

func keysCreate(f *manager) *cobra.Command {
	var k keyFlags
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
			in, err := k.request(c)
			if err != nil {
				return err
			}
			if in.ID, in.Secret = cred.ID, cred.Secret; len(in.Storage) == 0 {
				in.Tradewind.Root = &k.root
			}
			return f.doMaking(c.Context(), func(n *admin.Client) error {
				key, err := n.CreateAccessKey(c.Context(), in)
				if err != nil {
					return err
				}
				return unseen(key.ID, f.print(c.OutOrStdout(), keyToJSON(key), func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "%s:%s\n", key.ID, key.Secret)
					return err
				}))
			})
		},
	}
	k.declare(c)
	return c
}

// unseen says what to do where a secret could not be printed.
func unseen(id string, err error) error {
	if err != nil {
		return fmt.Errorf("the secret of access key %s was set and could not be shown; give it another one with twnode keys rotate: %w", id, err)
	}
	return nil
}

// keysSet changes what a key is bound by; only what is given changes.
func keysSet(f *manager) *cobra.Command {
	var k keyFlags
	c := &cobra.Command{
		Use: "set ID", Short: "Change a key, for sessions that begin from then on", Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			if err := someFlag(c); err != nil {
				return err
			}
			in, err := k.request(c)
			if err != nil {
				return err
			}
			return f.update(c, args[0], in)
		},
	}
	k.declare(c)
	return c
}

func (f *manager) update(c *cobra.Command, id string, in api.AccessKeyRequest) error {
	return f.do(c.Context(), func(n *admin.Client) error {
		if err := n.UpdateAccessKey(c.Context(), id, in); err != nil {
			return named("access key", id, err)
		}
		return nil
	})
}

const rotateHelp = `Give a key another random secret and print "ID:SECRET". With --overlap the secret
before stays good for so long, so that those who use it can change over.`

func keysRotate(f *manager) *cobra.Command {
	var overlap time.Duration
	c := &cobra.Command{
		Use: "rotate ID", Short: "Give a key another secret", Long: rotateHelp, Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			cred, err := accesskey.Generate(args[0])
			if err != nil {
				return usageError{err}
			}
			in := api.AccessKeyRequest{Secret: cred.Secret, Tradewind: &api.KeySettings{RotateOverlap: int64(overlap / time.Second)}}
			if err := f.update(c, cred.ID, in); err != nil {
				return err
			}
			return unseen(cred.ID, f.print(c.OutOrStdout(), map[string]string{"id": cred.ID, "secret": cred.Secret}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s:%s\n", cred.ID, cred.Secret)
				return err
			}))
		},
	}
	c.Flags().DurationVar(&overlap, "overlap", 0, "how `long` the secret before stays good, up to 720h")
	return c
}

func keysEnable(f *manager, name, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use: name + " ID", Short: short, Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			return f.update(c, args[0], api.AccessKeyRequest{Tradewind: &api.KeySettings{Disabled: &disabled}})
		},
	}
}

func keysDelete(f *manager) *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Delete an access key with its history; its files stay", Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			return f.do(c.Context(), func(n *admin.Client) error {
				if err := n.DeleteAccessKey(c.Context(), args[0]); err != nil {
					return named("access key", args[0], err)
				}
				return nil
			})
		},
	}
}
