package twcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/objstore"
)

// Run is the command; see cli.Command.
func Run(ctx context.Context, p cli.Process) int {
	if cmd := fileCommandOf(p.Args); cmd != nil {
		return runFiles(ctx, cmd, p)
	}
	o, err := parseArgs(p.Args)
	switch {
	case o.help:
		fmt.Fprint(p.Stdout, usage, flagSet(&options{}).FlagUsagesWrapped(100), differences)
		return 0
	case o.version:
		fmt.Fprint(p.Stdout, cli.VersionText("twcp"))
		return 0
	}
	out := p.Stdout
	if o.toStdout() {
		out = p.Stderr // the data has it
	}
	show := newDisplay(o, out, p.Stderr)
	var res *transfer.Result
	var profiled func() error
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if o.flags.Changed("management-port") {
		var merr error
		if o.manager, merr = connectManager(ctx, o, cancel); err == nil {
			err = merr
		}
	}
	if err == nil {
		profiled, err = cli.Profile(o.profile)
	}
	if err == nil {
		res, err = copyFiles(ctx, o, p, show)
		if perr := profiled(); perr != nil {
			fmt.Fprintf(p.Stderr, "twcp: %v\n", perr)
		}
	}
	show.finish(outcome{res, err})
	code := 0
	if err != nil {
		printError(p.Stderr, res, err)
		code = 1
	}
	if o.manager != nil {
		if p.Settled != nil {
			p.Settled()
		}
		o.manager.finish(o, outcome{res, err})
	}
	return code
}

// maxPrinted bounds the files that are named on standard error; --json names all that are known.
const maxPrinted = 20

// printError writes the product's lines for a failed transfer, after a line for each failed file.
func printError(w io.Writer, res *transfer.Result, err error) {
	if res != nil {
		for i, e := range res.Errors {
			if i == maxPrinted {
				fmt.Fprintf(w, "twcp: ... and %d more files\n", res.FilesFailed-int64(i))
				break
			}
			fmt.Fprintf(w, "twcp: %q: %s (code %d %s)\n", e.Name, e.Text, uint16(e.Code), e.Code)
		}
	}
	text := errorText(err)
	fmt.Fprintf(w, "twcp: %s, exiting.\n\nSession Stop  (Error: %s)\n", text, text)
}

// copyFiles does what the options ask for.
func copyFiles(ctx context.Context, o *options, p cli.Process, show display) (res *transfer.Result, err error) {
	make := makeSpec
	if o.spec != "" {
		make = specFile
	}
	spec, err := make(o, p.Stdin)
	if err != nil {
		return nil, err
	}
	if spec.Cookie == "" {
		spec.Cookie = p.Env.Get(cookieVariable)
	}
	if o.manager != nil {
		o.manager.begin(spec, o)
	}
	var cred credentials
	user := spec.User
	if !o.direct {
		if cred, err = findCredentials(o, spec.User, spec.Token, p.Env); err != nil {
			return nil, err
		}
		if spec.User == "" || cred.account != nil {
			spec.User = cred.name()
		}
	}
	log, closeLog, err := openLog(o, p.Stderr)
	if err != nil {
		return nil, err
	}
	defer closeLog()
	book := logbook{log}
	defer func() { book.end(res, err) }() // before the log is closed
	if o.manager != nil {
		o.manager.listen(ctx, log)
	}
	warn := func(format string, args ...any) {
		if !o.quiet {
			fmt.Fprintf(p.Stderr, "twcp: "+format+"\n", args...)
		}
		log.Warn(fmt.Sprintf(format, args...))
	}
	if !o.direct {
		warnUnusedName(user, cred, p.Env, warn)
	}
	for _, n := range o.notes {
		warn("specification: %s has no effect: %s", n.Field, n.Why)
	}
	if o.fallback == "1" {
		warn("-y 1 has no effect: the fallback over HTTPS is not offered yet; only UDP is tried")
	}
	d := &dialer{log: log}
	if !o.direct {
		if err := d.use(cred, o, p.Env, warn); err != nil {
			return nil, err
		}
	}
	reasons := newNotices(show, p.Stderr, o.quiet)
	cfg := transfer.Config{Dial: d.dial, Sessions: o.sessions, Logger: log, Events: func(e transfer.Event) {
		book.event(e)
		reasons.event(e)
		show.event(e)
		if o.manager != nil {
			o.manager.port.Event(e)
		}
	}}
	if o.manager != nil {
		cfg.Control = &o.manager.control
	}
	if cfg.RetryTimeout, err = parseSeconds("retry-timeout", o.retryTimeout); err != nil {
		return nil, err
	}
	if retry := readTags(spec.Tags).retry; retry != nil {
		cfg.RetryTimeout = *retry
	}
	d.handshake = min(15*time.Second, max(3*time.Second, cfg.RetryTimeout))
	if cfg.RetryTimeout == 0 {
		cfg.RetryTimeout = -1 // the user's 0 is none at all, that of the library its default
	}
	if d.idle, err = parseSeconds("idle-timeout", o.idleTimeout); err != nil {
		return nil, err
	}
	if d.idle < time.Second || d.idle > 24*time.Hour {
		return nil, usagef("--idle-timeout %s: want 1 to 86400 seconds", o.idleTimeout)
	}
	stateDir := ""
	if dir, err := p.Env.StateDir(); err == nil {
		stateDir = dir
		cfg.StateDir = filepath.Join(dir, "transfers")
	}
	if !o.direct {
		known := openPaths(stateDir, log)
		d.paths = known.paths
		defer known.save()
		if o.earlyData {
			early := openTickets(stateDir, log)
			d.tickets = early.tickets
			defer early.save()
		}
	}
	if host, err := os.Hostname(); err == nil {
		cfg.Origin = host
	}
	if err := checkFirst(spec); err != nil {
		return nil, err
	}
	if o.direct {
		done, err := openDirect(ctx, o, p, log, &spec, &cfg)
		if err != nil {
			return nil, err
		}
		defer done()
	} else if err := openLocal(o, p, log, &spec, &cfg); err != nil {
		return nil, err
	}
	book.start(spec, cfg)
	res, err = transfer.Run(ctx, cfg, spec)
	if err == nil && len(spec.Filters) > 0 && res.FilesDone+res.FilesSkipped == 0 {
		warn("no file was transferred: the -N and -E filters left none")
	}
	return res, err
}

// checkFirst refuses before the network is used what is bound to fail.
func checkFirst(spec transfer.Spec) error {
	if spec.Direction == transfer.Receive || len(spec.Paths) != 1 || objstore.IsURI(spec.Paths[0].Source) {
		return nil
	}
	if _, err := os.Lstat(spec.Paths[0].Source); errors.Is(err, os.ErrNotExist) {
		return &transfer.Error{Code: transfer.CodeNoSuchFile, Path: spec.Paths[0].Source, Err: syscall.ENOENT}
	}
	return nil
}

// openLog opens what -L names; -v without it logs to standard error.
func openLog(o *options, stderr io.Writer) (*slog.Logger, func() error, error) {
	none := func() error { return nil }
	level := "info"
	if o.verbose > 1 || o.verbose == 1 && o.logDir != "" && o.logDir != "-" {
		level = "debug"
	}
	switch {
	case o.logDir == "" && o.verbose == 0:
		return slog.New(slog.DiscardHandler), none, nil
	case o.logDir == "" || o.logDir == "-":
		log, _, err := cli.NewLogger(stderr, level, false)
		return log, none, err
	}
	path := filepath.Join(o.logDir, "twcp.log")
	err := os.MkdirAll(o.logDir, 0o700)
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	}
	if err != nil {
		return nil, none, usagef("-L: %w", err)
	}
	log, _, err := cli.NewLogger(f, level, false)
	if err == nil {
		log = log.With("pid", os.Getpid())
	}
	return log, f.Close, err
}
