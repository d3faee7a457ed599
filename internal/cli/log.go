package cli

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes lines of text, or of JSON, to w. level is debug, info, warn or error. In JSON, a duration is a
// number of milliseconds under its name with _ms behind it.
func NewLogger(w io.Writer, level string, json bool) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	opts := &slog.HandlerOptions{Level: l}
	if json {
		opts.ReplaceAttr = inMilliseconds
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), nil
}

func inMilliseconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindDuration {
		return a
	}
	return slog.Float64(a.Key+"_ms", a.Value.Duration().Seconds()*1000)
}
