package twnode

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/pflag"

	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// stateFlag is --state of the commands that look after a node's state folder.
type stateFlag struct {
	env  cli.Env
	flag string
}

const stateVariable = "TWNODE_STATE"

func (f *stateFlag) declare(flags *pflag.FlagSet) {
	flags.StringVar(&f.flag, "state", "", "state `folder` of the node (default $"+stateVariable+")")
}

// dir returns the folder that the flag or else the environment names.
func (f *stateFlag) dir() (string, error) {
	if f.flag != "" {
		return f.flag, nil
	}
	if dir := f.env.Get(stateVariable); dir != "" {
		return dir, nil
	}
	return "", usagef("--state is required, or the environment variable %s", stateVariable)
}

// existing returns the identity of a node that is there: a folder's name with a slip in it must not become a new node.
func (f *stateFlag) existing() (*fasp.Identity, error) {
	dir, err := f.dir()
	if err != nil {
		return nil, err
	}
	id, err := node.ReadIdentity(dir)
	if errors.Is(err, fs.ErrNotExist) && node.HasState(dir) {
		return nil, fmt.Errorf("identity.pem is missing in %s, which has the state of a node; bring it back from a backup: with a new one clients take the node for another", dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not the state folder of a node; check the name, or make one with twnode serve or twnode keys create", dir)
	}
	return id, err
}
