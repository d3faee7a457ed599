// Command twcp copies files and folders to and from Tradewind nodes. See twcp --help.
package main

import (
	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/internal/cli/twcp"
)

func main() { cli.Main(twcp.Run) }
