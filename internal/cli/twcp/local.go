package twcp

import (
	"log/slog"

	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/internal/cli/stores"
	"github.com/tradewind-io/tradewind/objstore"
)

// openLocal lets the transfer reach the local side where that is a URI.
func openLocal(o *options, p cli.Process, log *slog.Logger, spec *transfer.Spec, cfg *transfer.Config) error {
	local := make([]*string, 0, len(spec.Paths))
	if spec.Direction == transfer.Receive {
		local = append(local, &spec.Destination)
	} else {
		for i := range spec.Paths {
			local = append(local, &spec.Paths[i].Source)
		}
	}
	uris := 0
	for _, s := range local {
		if !objstore.IsURI(*s) {
			continue
		}
		u, err := objstore.ParseURI(*s)
		if err != nil {
			return usagef("%w", err)
		}
		if isFile(*s) {
			*s = "/" + u.Path
			continue
		}
		uris++
	}
	switch {
	case uris == 0:
		return nil
	case uris < len(local):
		return usagef("some sources are URIs and others are not; all must be in one place")
	}
	storeCfg, err := o.storeConfig(log)
	if err != nil {
		return err
	}
	l := &stores.Local{Schemes: stores.New(p.Env, log), Config: storeCfg, Stdin: p.Stdin, Stdout: p.Stdout}
	cfg.Open = l.Sources
	if spec.Direction == transfer.Receive {
		cfg.Open = l.Destination
	}
	return nil
}

// storeConfig is how places in object stores are used.
func (o *options) storeConfig(log *slog.Logger) (cfg objstore.Config, err error) {
	if cfg.PartSize, err = objstore.ParseSize(o.partSize); err != nil || cfg.PartSize < 1 {
		return cfg, usagef("--part-size %q: want bytes, or a number with K, M or G", o.partSize)
	}
	// 8 parts and what is sent before the other side has said how it takes them (docs/protocol-transfer.md section 29.2).
	memory := 9 * max(cfg.PartSize, 8<<20)
	if o.partMemory != "" {
		if memory, err = objstore.ParseSize(o.partMemory); err != nil || memory < transfer.LeastParts(cfg.PartSize)+transfer.InitialBytes {
			return cfg, usagef("--part-memory %q: want bytes, at least those of one part and 32M", o.partMemory)
		}
	}
	cfg.Pool, cfg.Logger = objstore.NewPool(memory), log
	return cfg, nil
}

// toStdout says whether the data goes to standard output.
func (o *options) toStdout() bool {
	if o == nil || len(o.args) == 0 {
		return false
	}
	u, err := objstore.ParseURI(o.args[len(o.args)-1])
	return err == nil && u.Scheme == stores.Stdio
}
