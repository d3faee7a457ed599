package twnode

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// noSuchCommand refuses what stands where a subcommand is due.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q; see %s --help", args[0], c.CommandPath())
	}
	return nil
}

func noArgs(c *cobra.Command, args []string) error { return wantArgs(c, args, 0, 0) }

func oneID(c *cobra.Command, args []string) error { return wantArgs(c, args, 1, 1) }

func oneFile(c *cobra.Command, args []string) error { return wantArgs(c, args, 1, 1) }

func atMostOneID(c *cobra.Command, args []string) error { return wantArgs(c, args, 0, 1) }

func wantArgs(c *cobra.Command, args []string, least, most int) error {
	if len(args) < least || len(args) > most {
		return usagef("wrong number of arguments; usage: %s", c.UseLine())
	}
	if slices.Contains(args, "") {
		return usagef("an argument is empty; is a variable of the shell not set? usage: %s", c.UseLine())
	}
	return nil
}

// someFlag refuses a command that was given none of its own flags, and so changes nothing.
func someFlag(c *cobra.Command) error {
	some := false
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { some = some || f.Changed })
	if !some {
		return usagef("nothing to change: give one of the flags; see %s --help", c.CommandPath())
	}
	return nil
}
