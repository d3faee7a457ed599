// Command twnode is a Tradewind transfer node: it serves files to clients with access keys. See twnode --help.
package main

import (
	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/internal/cli/twnode"
)

func main() { cli.Main(twnode.Run) }
