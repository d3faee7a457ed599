//go:build !linux && !darwin

package filestore

import (
	"errors"
	"os"
)

// Extended attributes are not kept on this system.

func getAttr(*os.File, string, int) ([]byte, error) { return nil, errors.ErrUnsupported }

func putAttr(*os.File, string, []byte) error { return nil }
