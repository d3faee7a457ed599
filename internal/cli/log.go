package cli

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes lines of text, or of JSON, to w. level is debug, info, warn or error; the LevelVar changes it. In JSON, a duration
// is a number of milliseconds under its name with _ms behind it.
func NewLogger(w io.Writer, level string, json bool) (*slog.Logger, *slog.LevelVar, error) {
	l, err := ParseLevel(level)
	if err != nil {
		return nil, nil, err
	}
	now := &slog.LevelVar{}
	now.Set(l)
	opts := &slog.HandlerOptions{Level: now}
	if json {
		opts.ReplaceAttr = inMilliseconds
		return slog.New(slog.NewJSONHandler(w, opts)), now, nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), now, nil
}

// ParseLevel reads the name of a level.
func ParseLevel(text string) (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(text)); err != nil {
		return 0, fmt.Errorf("log level %q: want debug, info, warn or error", text)
	}
	return l, nil
}

func inMilliseconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindDuration {
		return a
	}
	return slog.Float64(a.Key+"_ms", a.Value.Duration().Seconds()*1000)
}
