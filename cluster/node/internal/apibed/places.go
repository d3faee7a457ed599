package apibed

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// Folders are the places of keys, in folders below Base. They implement nodeapi.Places.
type Folders struct {
	Base string
	Ask  func(accesskey.Grant) error // first; nil lets all pass
}

// Open opens the folder of a grant. Storage of another type than local has no driver.
func (f Folders) Open(_ context.Context, g accesskey.Grant) (transfer.Manager, func(), error) {
	if f.Ask != nil {
		if err := f.Ask(g); err != nil {
			return nil, nil, err
		}
	}
	sub := g.Root
	if g.Storage != nil {
		if g.Storage.Type != "local" {
			return nil, nil, fmt.Errorf("storage %s: %w", g.Storage.Type, errors.ErrUnsupported)
		}
		sub = g.Storage.Fields["path"]
	}
	d, err := transfer.OpenDir(filepath.Join(f.Base, filepath.FromSlash(sub)))
	if err != nil {
		return nil, nil, err
	}
	return d, func() { _ = d.Close() }, nil
}
