package twnode

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/cluster/node/admin"
)

// passphraseVariable is the environment variable with the passphrase of an export.
const passphraseVariable = "TWNODE_PASSPHRASE"

const exportHelp = `Write access keys, all of them or those given, to a file, for twnode keys import on another
node. Verifiers and storage credentials are sealed with the passphrase in the environment
variable TWNODE_PASSPHRASE, of 12 characters or more: whoever has both can pass for each
of the keys.`

func keysExport(f *manager) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "export --out FILE [ID...]", Short: "Write access keys to a file, sealed", Long: exportHelp,
		RunE: func(c *cobra.Command, args []string) error {
			if out == "" {
				return usagef("--out is required")
			}
			phrase, err := f.secret(passphraseVariable)
			if err != nil {
				return err
			}
			return f.do(c.Context(), func(n *admin.Client) error {
				b, err := n.Export(c.Context(), admin.ExportRequest{Passphrase: phrase, IDs: args})
				if err != nil {
					return err
				}
				return writeNew(out, func(w io.Writer) error {
					_, err := w.Write(b)
					return err
				})
			})
		},
	}
	c.Flags().StringVar(&out, "out", "", "`file`, which must not exist")
	return c
}

// writeNew makes a file for its owner alone, durably, and takes it away again if it does not become whole.
func writeNew(name string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(fill(f), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

const importHelpKeys = `Bring access keys of a file that twnode keys export has written, with the passphrase in the
environment variable TWNODE_PASSPHRASE. A key whose id is there already stays as it
is, and is told of, unless --replace is given. Storage of the keys is tried anew from here.`

func keysImport(f *manager) *cobra.Command {
	replace := false
	c := &cobra.Command{
		Use: "import FILE", Short: "Bring access keys of such a file", Long: importHelpKeys, Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			phrase, err := f.secret(passphraseVariable)
			if err != nil {
				return err
			}
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			b, err := io.ReadAll(io.LimitReader(file, accesskey.MaxExport+1))
			if err != nil {
				return err
			}
			if len(b) > accesskey.MaxExport {
				return fmt.Errorf("%s is larger than %d bytes", args[0], accesskey.MaxExport)
			}
			// Its text goes into a JSON object; that it is not JSON itself is told here, where the file has a name.
			if _, err := accesskey.Import(b, phrase); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.doMaking(c.Context(), func(n *admin.Client) error {
				got, err := n.Import(c.Context(), admin.ImportRequest{Passphrase: phrase, Export: b, Replace: replace})
				if err != nil {
					return err
				}
				return f.print(c.OutOrStdout(), got, func(w io.Writer) error {
					for _, g := range []struct {
						ids  []string
						what string
					}{{got.Made, "made"}, {got.Replaced, "replaced"}, {got.Kept, "there already, and left as they were"}} {
						if len(g.ids) > 0 {
							fmt.Fprintf(w, "%s: %s\n", g.what, strings.Join(g.ids, " "))
						}
					}
					return nil
				})
			})
		},
	}
	c.Flags().BoolVar(&replace, "replace", false, "let keys of the file take the place of those with the same id")
	return c
}
