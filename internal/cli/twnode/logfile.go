package twnode

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/tradewind-io/tradewind/internal/cli"
)

// nodeLog is the log of a node: on standard error, or in a file that gives way to a new one when it is large.
type nodeLog struct {
	*slog.Logger
	level *slog.LevelVar
	file  *lumberjack.Logger // nil on standard error
}

func openLog(stderr io.Writer, s settings) (*nodeLog, error) {
	l := &nodeLog{}
	out := stderr
	if s.LogFile != "" {
		size, err := parseSize(s.LogSize)
		if err = errors.Join(err, checkLogSize(s.LogSize), checkLogCount(s.LogCount)); err != nil {
			return nil, fmt.Errorf("log-size, log-count: %w", err)
		}
		l.file = &lumberjack.Logger{Filename: s.LogFile, MaxSize: int(size >> 20), MaxBackups: s.LogCount}
		if _, err := l.file.Write(nil); err != nil { // so that a file that cannot be written is told of now
			return nil, fmt.Errorf("log-file: %w", err)
		}
		out = fallback{l.file, stderr}
	}
	var err error
	l.Logger, l.level, err = cli.NewLogger(out, s.LogLevel, s.LogJSON)
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// reopen begins to write to the file of that name anew: whoever moves log files away says so by SIGHUP.
func (l *nodeLog) reopen() error { return l.close() }

func (l *nodeLog) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close() // the next line opens it again
}

// fallback writes to the second where the first fails: a line of the log must not be lost because its disk is full.
type fallback struct{ first, second io.Writer }

// Write implements io.Writer.
func (f fallback) Write(p []byte) (int, error) {
	if n, err := f.first.Write(p); err == nil {
		return n, nil
	}
	return f.second.Write(p)
}

const minLogSize = 1 << 20

func checkLogSize(text string) error {
	n, err := parseSize(text)
	if err == nil && n < minLogSize {
		err = fmt.Errorf("%q: want at least 1M", text)
	}
	return err
}

func checkLogCount(n int) error {
	if n < 1 {
		return fmt.Errorf("%d: want at least 1", n)
	}
	return nil
}
