package twnode

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tradewind-io/tradewind/internal/cli"
)

const importHelp = `Read a configuration file of the product, aspera.conf, and print settings of
"twnode serve" in YAML that mean the same. What has no counterpart here is told on
standard error, each element with its line; nothing is left out silently. With
--vlinks its trunks are written into a file of vlinks. Look at both before you use them.`

const checkHelp = `Say what is wrong with a file of settings, each mistake with its line: names, values, and whether they
fit together, as "twnode serve --config FILE" would find. Nothing is opened or made, and what is given by flags or the
environment beside the file is not known here.`

// checkWhole says whether settings fit together, where a file has what a node needs.
func checkWhole(flags *pflag.FlagSet, file string, values map[string]any) error {
	if values["docroot"] == nil || values["state"] == nil {
		return nil // they are given in another way
	}
	if err := flags.Set("config", file); err != nil {
		return err
	}
	s, err := loadSettings(flags, nil)
	if err != nil {
		return err
	}
	cfg, err := s.nodeConfig()
	if err != nil {
		return err
	}
	return cfg.Check()
}

func configCommand(p cli.Process) *cobra.Command {
	c := &cobra.Command{
		Use: "config", Short: "Check and convert configuration", Args: noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	check := &cobra.Command{
		Use: "check FILE", Short: "Check a file of settings for twnode serve --config", Long: checkHelp, Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			flags := serveCommand(p).Flags()
			values, err := readConfig(args[0], flags)
			if err != nil {
				return usageError{fmt.Errorf("configuration: %w", err)}
			}
			if err := checkWhole(flags, args[0], values); err != nil {
				return usageError{fmt.Errorf("configuration: %s: %w", args[0], err)}
			}
			for _, name := range []string{"docroot", "state"} {
				if values[name] == nil || values[name] == "" {
					fmt.Fprintf(c.ErrOrStderr(), "twnode: %s: %s is not set here; twnode serve needs it in another way, and whether all fits together was not looked at\n", args[0], name)
				}
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d settings, no mistake\n", args[0], len(values))
			return err
		},
	}
	schema := &cobra.Command{
		Use: "schema", Short: "Print the JSON schema of the file", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := configSchema(serveCommand(p).Flags())
			if err == nil {
				_, err = c.OutOrStdout().Write(b)
			}
			return err
		},
	}
	links := ""
	imported := &cobra.Command{
		Use: "import ASPERA.CONF", Short: "Make settings of an aspera.conf", Long: importHelp, Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			conf, err := readAsperaConf(f)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			text, trunks, notes := conf.convert(links)
			for _, n := range notes {
				fmt.Fprintf(c.ErrOrStderr(), "twnode: %s, %s\n", args[0], n)
			}
			if links != "" && trunks != "" {
				if err := os.WriteFile(links, []byte(trunks), 0o644); err != nil {
					return err
				}
			}
			_, err = fmt.Fprint(c.OutOrStdout(), text)
			return err
		},
	}
	imported.Flags().StringVar(&links, "vlinks", "", "`file` that trunks are written into, as vlinks")
	c.AddCommand(check, schema, imported)
	return c
}
