package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

// ProfileHelp describes the option --profile of all programs.
const ProfileHelp = "write profiles into this `folder`, made if needed: cpu.pprof of the whole run, and heap, allocs, mutex, block and goroutine as they are at its end; for go tool pprof"

// Sampling of the profiles that cost something while they are on: one lock in so many that was waited for, and one wait in so many nanoseconds of waiting.
const (
	mutexSample = 20
	blockSample = 100_000
)

// Profile begins to write profiles of this process into dir, or does nothing if dir is empty. stop, which is to be called once, ends that and
// writes those that show the end. Of the profiles of another run in dir nothing stays.
func Profile(dir string) (stop func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("--profile: %w", err), f.Close())
	}
	runtime.SetMutexProfileFraction(mutexSample)
	runtime.SetBlockProfileRate(blockSample)
	return func() error {
		pprof.StopCPUProfile()
		err := f.Close()
		for _, name := range []string{"heap", "allocs", "mutex", "block", "goroutine"} {
			err = errors.Join(err, writeProfile(dir, name))
		}
		runtime.SetMutexProfileFraction(0)
		runtime.SetBlockProfileRate(0)
		if err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
		return nil
	}, nil
}

func writeProfile(dir, name string) error {
	f, err := os.Create(filepath.Join(dir, name+".pprof"))
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
}
