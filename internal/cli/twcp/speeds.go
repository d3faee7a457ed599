package twcp

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/tradewind-io/tradewind/fasp"
)

// pathFile keeps what paths to nodes take, so that the next transfer starts fast. It is of use, never needed: what goes wrong with it is
// logged and no more.
type pathFile struct {
	name  string // "" = no place to keep it
	paths *fasp.Paths
	log   *slog.Logger
}

// maxStateFile is more than a file of this program ever holds.
const maxStateFile = 8 << 20

// readState reads into v what writeState has written. A file that does not exist changes nothing.
func readState(name string, v any) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Size() > maxStateFile:
		return errors.New("not a file of this program")
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// openPaths reads the file in the user's state folder dir, if there is one.
func openPaths(dir string, log *slog.Logger) *pathFile {
	f := &pathFile{name: filepath.Join(dir, "paths.json"), paths: new(fasp.Paths), log: log}
	if dir == "" {
		f.name = ""
		return f
	}
	if err := readState(f.name, f.paths); err != nil {
		log.Debug("what is known of paths was not read; transfers start slower", "file", f.name, "err", err)
	}
	return f
}

// save writes the file anew. Of two programs that end at the same time one wins, which does no harm.
func (f *pathFile) save() {
	if f.name == "" {
		return
	}
	if err := writeState(f.name, f.paths); err != nil {
		f.log.Debug("what is known of paths was not kept; the next transfer starts slower", "file", f.name, "err", err)
	}
}

// writeState writes v as JSON to a file that only the user can read, all of it or nothing.
func writeState(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, strings.TrimSuffix(filepath.Base(name), ".json")+"-*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(tmp.Name()))
	}
	return err
}
