package state

import (
	"log/slog"
	"time"
)

// Config says where the store is. Only Path is required.
type Config struct {
	// Path is the database file, made with mode 0600 if it is not there. Its folder must exist, be writable, and be on a local file system.
	// Beside it stand files with the endings -wal and -shm, which belong to it, and .lock.
	Path string
	// ReadConns is how many reads run beside one another; zero stands for 4.
	ReadConns int
	// Log hears of migrations, retries and trouble at closing; nil is silent. Nothing that a record holds is logged.
	Log *slog.Logger
	// Now is the clock on the wall, for the times that the store sets itself; nil stands for time.Now. No order depends on it.
	Now func() time.Time
}
