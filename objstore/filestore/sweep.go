package filestore

import (
	"bufio"
	"context"
	"strings"
	"time"
)

// Sweep removes what Puts and Copies left that did not come to their end, and returns how many files it removed. What
// has changed since before is let alone, as it may be in use. Uploads are not touched: Uploads and Abort are there for them.
func (s *Store) Sweep(ctx context.Context, before time.Time) (n int, err error) {
	const op = "sweep"
	if err := s.check(ctx, op, ""); err != nil {
		return 0, err
	}
	w := &walk{
		ctx: ctx, s: s, window: 1000,
		keep: func(name string) bool {
			return hidden(name) && (strings.HasSuffix(name, tempSuffix) || strings.HasSuffix(name, stateSuffix))
		},
		folder: func(string, bool) (bool, error) { return true, errDescend },
	}
	w.file = func(name string) (bool, error) {
		fi, err := s.root.Lstat(native(name))
		if isMissing(err) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		// Not by its modification time, which may be the object's already.
		if _, changed := sysInfo(fi); !changed.Before(before) {
			return true, nil
		}
		if strings.HasSuffix(name, stateSuffix) {
			// Killed before it said what it is of, it is nobody's: Uploads cannot tell of it.
			if whole, err := s.tells(name); whole || err != nil {
				return true, err
			}
		}
		if err := s.root.Remove(native(name)); err != nil {
			return false, ignoreMissing(err)
		}
		s.prune(name)
		n++
		return true, nil
	}
	return n, failure(op, "", w.run("", ""))
}

// tells says whether the state file of an upload says what it is of.
func (s *Store) tells(name string) (bool, error) {
	f, err := s.root.Open(native(name))
	if err != nil {
		return false, ignoreMissing(err)
	}
	defer f.Close()
	_, _, err = readHeader(bufio.NewReader(f))
	return err == nil, nil
}
