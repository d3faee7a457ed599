package transfer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"time"
)

// MaxMeasure is the longest measurement that a server serves.
const MaxMeasure = 5 * time.Minute

// measureName is what the data of a measurement is called.
const measureName = "measurement"

// Measure moves made-up data for d, a millisecond to MaxMeasure, from memory to memory, the way spec.Direction says: what a transfer over
// this path could do if disks cost nothing. Nothing is stored anywhere. It needs the right to write for Send and to read for Receive,
// as any transfer. Of spec only the connection and the rates count. Events, the Result and errors are those of Run; the session
// is not resumed when it is lost.
func Measure(ctx context.Context, cfg Config, spec Spec, d time.Duration) (*Result, error) {
	if d < time.Millisecond || d > MaxMeasure {
		return &Result{}, failf(CodeUsage, "", "a measurement takes a millisecond to %v", MaxMeasure)
	}
	source := measureName
	if spec.Direction == Receive {
		source = d.String()
	}
	spec.Paths, spec.Destination, spec.SrcBase, spec.CreateDir, spec.FromList = []Path{{Source: source}}, measureName, "", false, false
	spec.Overwrite, spec.Durability, spec.Filters, spec.Compression = OverwriteAlways, DurabilityNone, nil, CompressionOff
	spec.ReadSize, spec.WriteSize = 0, 0
	cfg.Open = func(context.Context, []string) (Store, []string, error) {
		return &measureStore{d: d}, []string{measureName}, nil
	}
	cfg.StateDir, cfg.RetryTimeout = "", -1
	return run(ctx, cfg, spec, true)
}

// measureStore is a place without disks: whatever is written to it is gone, and its only files are streams of noise that
// last as long as their names say. measureName lasts d.
type measureStore struct{ d time.Duration }

// lasts returns how long the file at name is read, 0 if there is none.
func (m *measureStore) lasts(name string) time.Duration {
	if name == measureName {
		return m.d
	}
	d, err := time.ParseDuration(name)
	if err != nil || d < time.Millisecond || d > MaxMeasure {
		return 0
	}
	return d
}

// Stat implements Store.
func (m *measureStore) Stat(_ context.Context, name string, _ bool) (Info, error) {
	switch {
	case name == ".":
		return Info{Name: ".", Mode: fs.ModeDir | 0o755}, nil
	case m.lasts(name) > 0:
		return Info{Name: name, Mode: 0o644, Size: -1}, nil
	}
	return Info{}, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// ReadDir implements Store. Nothing shows.
func (m *measureStore) ReadDir(context.Context, string, func(Info) error) error { return nil }

// Readlink implements Store.
func (m *measureStore) Readlink(_ context.Context, name string) (string, error) {
	return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
}

// Open implements Store.
func (m *measureStore) Open(_ context.Context, name string) (Source, error) {
	d := m.lasts(name)
	if d == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &streamSource{s: &streamStore{name: name, r: &noise{d: d}}}, nil
}

// noise gives bytes that no link or program makes shorter, for a time that begins with the first Read. It is read by one goroutine at a time.
type noise struct {
	d   time.Duration
	end time.Time
	at  int
}

const noisePeriod = 1<<20 + 4099 // prime to blocks, so that no two are the same for long

var noiseBytes = sync.OnceValue(func() []byte {
	b := make([]byte, noisePeriod)
	_, _ = rand.NewChaCha8([32]byte{'n', 'o', 'i', 's', 'e'}).Read(b)
	return b
})

func (n *noise) Read(p []byte) (int, error) {
	now := time.Now()
	if n.end.IsZero() {
		n.end = now.Add(n.d)
	}
	if !now.Before(n.end) {
		return 0, io.EOF
	}
	b := noiseBytes()
	k := copy(p, b[n.at:])
	n.at = (n.at + k) % len(b)
	return k, nil
}

// Mkdir implements Store.
func (m *measureStore) Mkdir(context.Context, string) error { return nil }

// Symlink implements Store.
func (m *measureStore) Symlink(context.Context, string, string, bool) error { return nil }

// SetAttr implements Store.
func (m *measureStore) SetAttr(context.Context, string, Attr) error { return nil }

// Put implements Store.
func (m *measureStore) Put(context.Context, string, string, []byte, Attr, Sync) (Sealed, error) {
	return measureTarget{}, nil
}

// Create implements Store.
func (m *measureStore) Create(context.Context, string, Attr) (Target, error) {
	return measureTarget{}, nil
}

// HasPartial implements Store.
func (m *measureStore) HasPartial(context.Context, string) (bool, error) { return false, nil }

// Flush implements Store.
func (m *measureStore) Flush(context.Context) error { return nil }

// Free implements Store.
func (m *measureStore) Free(context.Context) (int64, error) { return -1, nil }

// Close implements Store.
func (m *measureStore) Close() error { return nil }

// measureTarget forgets what is written to it.
type measureTarget struct{}

// WriteAt implements io.WriterAt.
func (measureTarget) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// ReadAt implements io.ReaderAt.
func (measureTarget) ReadAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// Partial implements Target.
func (measureTarget) Partial() int64 { return 0 }

// Sync implements Target.
func (measureTarget) Sync(context.Context) error { return nil }

// State implements Target.
func (measureTarget) State(context.Context) ([]byte, error) { return nil, nil }

// SaveState implements Target.
func (measureTarget) SaveState(context.Context, []byte) error { return nil }

// Reset implements Target.
func (measureTarget) Reset(context.Context) error { return nil }

// Seal implements Target.
func (measureTarget) Seal(context.Context, Attr, Sync) (Sealed, error) { return measureTarget{}, nil }

// Publish implements Sealed.
func (measureTarget) Publish(context.Context, Sync, bool) error { return nil }

// Close implements Target.
func (measureTarget) Close() error { return nil }

// Discard implements Target and Sealed.
func (measureTarget) Discard(context.Context) error { return nil }
