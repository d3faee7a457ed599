package twcp

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tradewind-io/tradewind/fasp"
)

// ticketFile keeps the tickets that nodes hand out, so that the next session with them begins a round trip sooner (docs/protocol.md
// section 4.7). They are secrets: only the user can read the file, and nothing of it is logged. A program that starts takes them all out of the
// file, since each may be used once; when it ends it puts back what is left and what has come.
type ticketFile struct {
	name    string // "" = no place to keep it
	tickets *fasp.Tickets
	log     *slog.Logger
}

// openTickets takes the file in the user's state folder dir over, if there is one.
func openTickets(dir string, log *slog.Logger) *ticketFile {
	f := &ticketFile{tickets: new(fasp.Tickets), log: log}
	if dir == "" {
		return f
	}
	f.name = filepath.Join(dir, "tickets.json")
	mine := fmt.Sprintf("%s.%d", f.name, os.Getpid())
	err := os.Rename(f.name, mine) // of several programs one succeeds
	if errors.Is(err, fs.ErrNotExist) {
		return f
	}
	if err == nil {
		err = errors.Join(readState(mine, f.tickets), os.Remove(mine))
	}
	if err != nil {
		log.Warn("the tickets of nodes were not read and are replaced; the next session begins a round trip later", "file", f.name, "err", err)
	}
	return f
}

// save puts the tickets back, beside what another program has put there meanwhile.
func (f *ticketFile) save() {
	if f.name == "" {
		return
	}
	err := readState(f.name, f.tickets)
	if err != nil {
		f.log.Warn("the tickets of nodes were not read and are replaced", "file", f.name, "err", err)
	}
	if err := writeState(f.name, f.tickets); err != nil {
		f.log.Warn("the tickets of nodes were not kept; the next session begins a round trip later", "file", f.name, "err", err)
	}
}
