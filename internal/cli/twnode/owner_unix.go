//go:build unix

package twnode

import (
	"fmt"
	"os"
	"syscall"

	"github.com/tradewind-io/tradewind/cluster/node"
)

// foreign refuses to make the files of a node as root in a folder of another user: the node, which runs as that user, could not read them.
func foreign(dir string) error {
	fi, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 || node.HasState(dir) {
		return nil // what is wrong shows with what follows
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
		return fmt.Errorf("%s belongs to the user %d, who could not read what root makes there now; run this command as that user, by sudo -u '#%d'", dir, st.Uid, st.Uid)
	}
	return nil
}
