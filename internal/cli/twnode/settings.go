package twnode

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/tradewind-io/tradewind/cluster/node"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/vlink"
	"github.com/tradewind-io/tradewind/internal/cli"
)

// settings are those of serve, from file, environment and flags. Names in the file are those of the flags with "_" for "-".
type settings struct {
	DocRoot      string        `mapstructure:"docroot"`
	State        string        `mapstructure:"state"`
	Listen       string        `mapstructure:"listen"`
	MaxRate      string        `mapstructure:"max_rate"`
	VLinks       string        `mapstructure:"vlinks"`
	MinFree      string        `mapstructure:"min_free"`
	MaxSessions  int           `mapstructure:"max_sessions"`
	PartSize     string        `mapstructure:"part_size"`
	PartMemory   string        `mapstructure:"part_memory"`
	DatagramSize int           `mapstructure:"datagram_size"`
	DrainTimeout time.Duration `mapstructure:"drain_timeout"`
	HistoryDays  int           `mapstructure:"history_days"`
	EarlyData    bool          `mapstructure:"early_data"`
	Compression  bool          `mapstructure:"compression"`
	LogLevel     string        `mapstructure:"log_level"`
	LogJSON      bool          `mapstructure:"log_json"`
	LogFile      string        `mapstructure:"log_file"`
	LogSize      string        `mapstructure:"log_size"`
	LogCount     int           `mapstructure:"log_count"`
	API          string        `mapstructure:"api"`
	SSH          string        `mapstructure:"ssh"`
	WSS          string        `mapstructure:"wss"`
	Debug        string        `mapstructure:"debug"`
	Profile      string        `mapstructure:"profile"`
}

// loadSettings reads them in the order of rising precedence: defaults, file, environment, flags.
func loadSettings(flags *pflag.FlagSet, env cli.Env) (s settings, err error) {
	v := viper.New()
	get := func(name string) (string, bool) {
		value, ok := env.Lookup("TWNODE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
		if f := flags.Lookup(name); f.Changed {
			return f.Value.String(), true
		}
		return value, ok
	}
	if file, ok := get("config"); ok {
		values, err := readConfig(file, flags)
		if err == nil {
			err = v.MergeConfigMap(values)
		}
		if err != nil {
			return s, fmt.Errorf("configuration: %w", err)
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "config" || f.Name == "help" {
			return
		}
		key := strings.ReplaceAll(f.Name, "-", "_")
		v.SetDefault(key, f.DefValue)
		if value, ok := get(f.Name); ok {
			v.Set(key, value)
		}
	})
	if err := v.UnmarshalExact(&s); err != nil {
		return s, fmt.Errorf("configuration: %w", err)
	}
	if s.DocRoot == "" || s.State == "" {
		return s, fmt.Errorf("--docroot and --state are required")
	}
	return s, nil
}

func (s settings) nodeConfig() (node.Config, error) {
	rate, err := fasp.ParseRate(s.MaxRate)
	if err != nil {
		return node.Config{}, fmt.Errorf("max-rate: %w", err)
	}
	free, err := parseSize(s.MinFree)
	if err != nil {
		return node.Config{}, fmt.Errorf("min-free: %w", err)
	}
	part, err := parseSize(s.PartSize)
	if err != nil {
		return node.Config{}, fmt.Errorf("part-size: %w", err)
	}
	memory, err := parseSize(s.PartMemory)
	if err != nil {
		return node.Config{}, fmt.Errorf("part-memory: %w", err)
	}
	if err := checkSessions(s.MaxSessions); err != nil {
		return node.Config{}, fmt.Errorf("max-sessions %w", err)
	}
	if err := checkDatagram(s.DatagramSize); err != nil {
		return node.Config{}, fmt.Errorf("datagram-size %w", err)
	}
	var links []vlink.Link
	if s.VLinks != "" {
		if links, err = readLinks(s.VLinks); err != nil {
			return node.Config{}, err
		}
	}
	if s.DrainTimeout < 0 {
		return node.Config{}, fmt.Errorf("drain-timeout: %w", checkDrain(s.DrainTimeout.String()))
	}
	if memory == 0 && part < minPart {
		return node.Config{}, fmt.Errorf("part-size %s: want at least 5M, or give part-memory, too", s.PartSize)
	}
	if err := checkHistory(s.HistoryDays); err != nil {
		return node.Config{}, fmt.Errorf("history-days %w", err)
	}
	history := time.Duration(s.HistoryDays) * 24 * time.Hour
	if history == 0 {
		history = -1 // the user's 0 is for ever, that of the library its default
	}
	drain := s.DrainTimeout
	if drain == 0 {
		drain = -1 // the user's 0 is none at all, that of the library its default
	}
	return node.Config{
		DocRoot: s.DocRoot, StateDir: s.State, Listen: s.Listen, MaxRate: rate, VLinks: links, MinFree: free, MaxSessions: s.MaxSessions,
		Datagram: s.DatagramSize, DrainTimeout: drain, History: history, PartSize: part, PartMemory: memory, NoEarlyData: !s.EarlyData,
		NoCompression: !s.Compression, API: tcpAddress(s.API), SSH: tcpAddress(s.SSH), WSS: tcpAddress(s.WSS), Version: cli.Version(),
	}, nil
}

// tcpAddress is where the API, SSH and WebSocket are to listen: a port alone is one on all addresses.
func tcpAddress(text string) string {
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		return ":" + text
	}
	return text
}

// The bounds of --datagram-size: those of fasp.Config.Datagram.
const (
	minPayload = 1200
	maxPayload = 65507
)

// minPart is the least part that stores take, in bytes.
const minPart = 5 << 20

// parseSize reads a number of bytes, which may carry K, M, G or T for powers of 1024.
func parseSize(s string) (int64, error) {
	t, unit := strings.TrimSpace(s), int64(1)
	if n := len(t); n > 0 {
		if i := strings.IndexByte("KMGT", t[n-1]&^0x20); i >= 0 {
			t, unit = t[:n-1], 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("size %q: want a number of bytes, or one with K, M, G or T", s)
	}
	return n * unit, nil
}
