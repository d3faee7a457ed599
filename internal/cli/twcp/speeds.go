package twcp

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tradewind-io/tradewind/fasp"
)

// pathFile keeps what paths to nodes take, so that the next transfer starts fast. It is of use, never needed: what goes wrong with it is
// logged and no more.
type pathFile struct {
	name  string // "" = no place to keep it
	paths *fasp.Paths
	log   *slog.Logger
}

const maxPathFile = 1 << 20

// openPaths reads the file in the user's state folder dir, if there is one.
func openPaths(dir string, log *slog.Logger) *pathFile {
	f := &pathFile{name: filepath.Join(dir, "paths.json"), paths: new(fasp.Paths), log: log}
	if dir == "" {
		f.name = ""
		return f
	}
	info, err := os.Stat(f.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f
	case err == nil && (!info.Mode().IsRegular() || info.Size() > maxPathFile):
		err = errors.New("not a file of this program")
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(f.name)
	}
	if err == nil {
		err = json.Unmarshal(b, f.paths)
	}
	if err != nil {
		log.Debug("what is known of paths was not read; transfers start slower", "file", f.name, "err", err)
	}
	return f
}

// save writes the file anew. Of two programs that end at the same time one wins, which does no harm.
func (f *pathFile) save() {
	if f.name == "" {
		return
	}
	if err := f.write(); err != nil {
		f.log.Debug("what is known of paths was not kept; the next transfer starts slower", "file", f.name, "err", err)
	}
}

func (f *pathFile) write() error {
	b, err := json.Marshal(f.paths)
	if err != nil {
		return err
	}
	dir := filepath.Dir(f.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "paths-*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), f.name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(tmp.Name()))
	}
	return err
}
