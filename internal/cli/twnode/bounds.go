package twnode

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/vlink"
)

// boundFlags are what keys and accounts alike are bound by.
type boundFlags struct{ root, rights, limit, link string }

func (b *boundFlags) declare(c *cobra.Command, what string) {
	c.Flags().StringVar(&b.root, "root", "", "`folder` below the docroot that the "+what+" is bound to, or the URI of a place of its own")
	c.Flags().StringVar(&b.rights, "rights", "all", "`list` of read, write, list, delete, or all, or none")
	c.Flags().StringVar(&b.limit, "rate-cap", "0", "`rate` that all sessions of the "+what+" share, such as 300M; 0 is no cap")
	c.Flags().StringVar(&b.link, "vlink", "", "`name` of the vlink that sessions of the "+what+" belong to, default for none; see twnode vlinks --help")
}

// bounds are those that were given; nil ones were not.
type bounds struct {
	root   *string
	rights *[]string
	cap    *int64 // bits per second
	link   *string
}

func (b *boundFlags) read(c *cobra.Command) (x bounds, err error) {
	given := c.Flags().Changed
	if given("root") {
		x.root = &b.root
	}
	if given("rights") {
		r, err := accesskey.ParseRights(b.rights)
		if err != nil {
			return x, usageError{err}
		}
		names := []string{}
		if r != (accesskey.Rights{}) {
			names = strings.Split(r.String(), ",")
		}
		x.rights = &names
	}
	if given("rate-cap") {
		rate, err := fasp.ParseRate(b.limit)
		if err != nil {
			return x, usageError{err}
		}
		bps := int64(rate)
		x.cap = &bps
	}
	if given("vlink") {
		name, err := cleanLink(b.link)
		if err != nil {
			return x, err
		}
		x.link = &name
	}
	return x, nil
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
