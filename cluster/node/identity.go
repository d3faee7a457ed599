package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tradewind-io/tradewind/fasp"
)

const identityName = "identity.pem"

// HasState says whether the folder dir has the state store or the master key of a node.
func HasState(dir string) bool {
	for _, name := range []string{stateName, "master.key"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// LoadIdentity returns the identity in the state folder dir, which it makes if there is none yet, and the folder too. In a folder that has state and no identity it makes none: the node would be another one to all
// that know it.
func LoadIdentity(dir string) (*fasp.Identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	id, err := ReadIdentity(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	if _, err := os.Stat(filepath.Join(dir, stateName)); err == nil {
		return nil, fmt.Errorf("%s is missing, and the folder has the state of a node; bring it back from a backup, or move %s away to make a new node", filepath.Join(dir, identityName), stateName)
	}
	if err := createIdentity(filepath.Join(dir, identityName)); err != nil {
		return nil, fmt.Errorf("make the identity: %w", err)
	}
	return ReadIdentity(dir)
}

// ReadIdentity returns the identity in the state folder dir. The error matches fs.ErrNotExist if there is none.
func ReadIdentity(dir string) (*fasp.Identity, error) {
	path := filepath.Join(dir, identityName)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the identity: %w", err)
	}
	id, err := fasp.ParseIdentity(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return id, nil
}

// createIdentity writes a new identity to path, whole or not at all. If another process was faster, its identity stays.
func createIdentity(path string) error {
	id, err := fasp.NewIdentity()
	if err != nil {
		return err
	}
	data, err := id.MarshalPEM()
	if err != nil {
		return err
	}
	return placeFile(path, data)
}

// placeFile writes a secret file to path, whole or not at all. One that is there stays, which is no error.
func placeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link does not replace what is there.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
