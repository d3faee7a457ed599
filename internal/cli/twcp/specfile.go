package twcp

import (
	"cmp"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/tradewind-io/tradewind/cluster/node/wsd"
	"github.com/tradewind-io/tradewind/fasp"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// specWith are the options that go with --spec: those about this program, not about the transfer.
var specWith = map[string]bool{
	"spec": true, "quiet": true, "json": true, "progress": true, "verbose": true, "log-dir": true, "profile": true, "sessions": true, "fingerprint": true, "check-sshfp": true, "private-key": true, "tcp-port": true, "ws-connect": true,
	"insecure-ignore-host-key": true, "ignore-host-key": true, "known-hosts": true, "retry-timeout": true, "idle-timeout": true, "early-data": true, "management-port": true, "user-string": true, "part-size": true, "part-memory": true,
}

const maxSpecFile = 64 << 20 // bytes

// specFile reads the transfer that --spec names; - is standard input.
func specFile(o *options, stdin io.Reader) (transfer.Spec, error) {
	var s transfer.Spec
	if len(o.args) > 0 {
		return s, usagef("--spec says what is copied; %q is one argument too many", o.args[0])
	}
	other := ""
	o.flags.Visit(func(f *pflag.Flag) {
		if !specWith[f.Name] && other == "" {
			other = f.Name
		}
	})
	if other != "" {
		return s, usagef("--spec and --%s exclude each other: put it into the specification", other)
	}
	r := stdin
	if o.spec != "-" {
		f, err := os.Open(o.spec)
		if err != nil {
			return s, usagef("--spec: %w", err)
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxSpecFile+1))
	if err != nil {
		return s, usagef("--spec: %w", err)
	}
	s, extra, err := transfer.ReadSpec(b)
	if err != nil {
		return s, err
	}
	if s.Host == "" {
		return s, usagef("--spec: remote_host is missing")
	}
	o.fixedPort = s.Port != 0
	if s.Port == 0 {
		s.Port = defaultPort
	}
	if s.Port < 0 || s.Port > 65535 {
		return s, usagef("--spec: fasp_port %d: ports go from 1 to 65535", s.Port)
	}
	if s.DatagramSize != 0 && (s.DatagramSize < minDatagram || s.DatagramSize > 65535) {
		return s, usagef("--spec: dgram_size %d: want %d to 65535", s.DatagramSize, minDatagram)
	}
	if s.Rates.Policy == fasp.Fixed && s.Rates.Target == 0 {
		return s, usagef("--spec: rate_policy fixed needs a target_rate_kbps")
	}
	if o.sessions == 0 {
		o.sessions = extra.Sessions
	}
	if o.fingerprint == "" && !o.ignoreHostKey {
		o.fingerprint = extra.Fingerprint
	}
	if extra.WSS {
		o.wssPort = cmp.Or(extra.WSSPort, wsd.DefaultPort)
	}
	o.notes = extra.Notes
	return s, nil
}

// defaultPort is the UDP port of nodes.
const defaultPort = 33001
