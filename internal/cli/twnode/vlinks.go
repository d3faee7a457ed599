package twnode

import (
	"fmt"
	"io"
	"reflect"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/vlink"
)

const vlinksHelp = `A vlink caps what all sessions of its keys send, and receive, together. Keys are
put into one with "twnode keys create --vlink NAME" or "twnode keys set", and the
file that describes vlinks is given to "twnode serve --vlinks FILE":

  timezone: Europe/Berlin      # of the schedules; default: the system's
  vlinks:
    - name: office
      out: 200M                # what the node sends; 0 or nothing is no cap
      in: 100M                 # what clients send
      weight: 2                # part of --max-rate, where that is too small for all
      schedule:                # the first window that fits counts
        - days: mon-fri        # on which it begins; default: daily
          from: 08:00
          to: 18:00            # before from: on the next day
          out: 50M             # what is not given stays as above
    - name: default            # of keys without a vlink; may be left out
      out: 500M

A node reads the file again when it gets SIGHUP, or by twnode reload. No session is cut; a file with a
mistake changes nothing, and the log says what is wrong. A key whose vlink is not in
the file is refused.`

func vlinksCommand() *cobra.Command {
	vlinks := &cobra.Command{
		Use: "vlinks", Short: "Check a file of vlinks, which cap what keys transfer together", Long: vlinksHelp, Args: noSuchCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	vlinks.AddCommand(&cobra.Command{
		Use: "check FILE", Short: "Say what is wrong with a file of vlinks, or print it with the caps of now",
		Args: func(c *cobra.Command, args []string) error { return wantArgs(c, args, 1, 1) },
		RunE: func(c *cobra.Command, args []string) error {
			links, err := readLinks(args[0])
			if err != nil {
				return usageError{err}
			}
			return printLinks(c.OutOrStdout(), links, time.Now())
		},
	})
	return vlinks
}

func printLinks(w io.Writer, links []vlink.Link, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tOUT\tIN\tWEIGHT\tWINDOWS\tOUT NOW\tIN NOW")
	for _, l := range links {
		caps := l.CapsAt(now)
		fmt.Fprintf(t, "%s\t%s\t%s\t%v\t%d\t%s\t%s\n", linkName(l.Name), capText(l.Caps.Out), capText(l.Caps.In), max(l.Weight, 0), len(l.Schedule), capText(caps.Out), capText(caps.In))
	}
	return t.Flush()
}

func linkName(name string) string {
	if name == "" {
		return defaultLink
	}
	return name
}

func capText(r fasp.Rate) string {
	if r == 0 {
		return "none"
	}
	return r.String()
}

// linkChange is a vlink as it is after a change, or was before it was removed.
type linkChange struct {
	what string // added, changed, removed
	link vlink.Link
}

func linkChanges(old, now []vlink.Link) (list []linkChange) {
	before := map[string]vlink.Link{}
	for _, l := range old {
		before[l.Name] = l
	}
	for _, l := range now {
		was, ok := before[l.Name]
		delete(before, l.Name)
		switch {
		case !ok:
			list = append(list, linkChange{"added", l})
		case !sameLink(was, l):
			list = append(list, linkChange{"changed", l})
		}
	}
	for _, l := range old {
		if _, gone := before[l.Name]; gone {
			list = append(list, linkChange{"removed", l})
		}
	}
	return list
}

// sameLink compares zones by name: each reading makes new values of them.
func sameLink(a, b vlink.Link) bool {
	zone := func(l vlink.Link) string {
		if l.Zone == nil {
			return ""
		}
		return l.Zone.String()
	}
	same := zone(a) == zone(b)
	a.Zone, b.Zone = nil, nil
	return same && reflect.DeepEqual(a, b)
}
