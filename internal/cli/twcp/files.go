package twcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/tradewind-io/tradewind/fasp/transfer"
	"github.com/tradewind-io/tradewind/internal/cli"
	"github.com/tradewind-io/tradewind/internal/cli/stores"
	"github.com/tradewind-io/tradewind/objstore"
)

// fileCommand is a command that looks at files or arranges them, or at the path to them, instead of copying.
type fileCommand struct {
	name, use, short, help string
	least, most            int // targets; most 0 = any number
	flags                  func(f *pflag.FlagSet, o *fileOptions)
	run                    func(ctx context.Context, c *fileRun) error
}

// fileOptions are the options of all of these commands; each declares those that it has.
type fileOptions struct {
	options // how to reach a node
	help    bool
	long    bool
	deep    bool
	match   string
	force   bool
	dry     bool
	older   time.Duration
	time    time.Duration
	up      bool
	down    bool
}

const targetsHelp = `
A target is [user@]host:path on a node, a URI such as s3://host/bucket/key, or a local path. Credentials are those of
transfers: ASPERA_SCP_TOKEN, or ASPERA_SCP_PASS, ASPERA_SCP_KEY or -i, for nodes, and for stores:

`

// footer ends the help: what a target is. That of bench, the only command without paths, is a node.
func (cmd *fileCommand) footer() string {
	if cmd.name == "bench" {
		return "\nCredentials are those of transfers: ASPERA_SCP_TOKEN, or ASPERA_SCP_PASS, ASPERA_SCP_KEY or -i.\n"
	}
	return targetsHelp + stores.Help
}

// fileCommands are chosen by the first argument. A file of such a name is written ./ls.
func fileCommands() []*fileCommand {
	return []*fileCommand{
		{
			name: "ls", use: "ls [-l] [-R] [--search TEXT] TARGET...", short: "list a folder", least: 1,
			help: "List what is in a folder, a line each; folders end in /. A target that is a file is listed alone. Several targets\nhave a heading each. Times in the listing of an object store are those of the store; stat asks for the file's own.",
			flags: func(f *pflag.FlagSet, o *fileOptions) {
				f.BoolVarP(&o.long, "long", "l", false, "size, time of modification and storage class, too")
				f.BoolVarP(&o.deep, "recursive", "R", false, "everything below, with paths")
				f.StringVar(&o.match, "search", "", "only names that contain `text`, in whatever case")
			},
			run: list,
		},
		{name: "stat", use: "stat TARGET...", short: "describe a file or folder", least: 1, help: "Describe files and folders.", run: stat},
		{
			name: "mkdir", use: "mkdir TARGET...", short: "make a folder", least: 1,
			help: "Make folders, with those above them. One that exists is no error.",
			flags: func(f *pflag.FlagSet, _ *fileOptions) {
				f.BoolP("parents", "p", false, "accepted for those who are used to it; folders above are always made")
			},
			run: mkdir,
		},
		{
			name: "rm", use: "rm [-r] TARGET...", short: "remove", least: 1,
			help: "Remove files and empty folders, with -r folders and all that is in them. There is no way back. The place itself, such as\nthe top of a node or a bucket, is never removed.",
			flags: func(f *pflag.FlagSet, o *fileOptions) {
				f.BoolVarP(&o.deep, "recursive", "r", false, "folders with what is in them")
				f.BoolVarP(&o.force, "force", "f", false, "no error for what is not there")
			},
			run: remove,
		},
		{
			name: "mv", use: "mv [-f] SOURCE TARGET", short: "rename", least: 2, most: 2,
			help: "Give a file or folder another name in the same place. If TARGET is a folder, or ends in /, SOURCE goes into it. In an object store it is copied within the store and then\nremoved; until all is copied nothing is removed. Between places: copy, and remove what was copied.",
			flags: func(f *pflag.FlagSet, o *fileOptions) {
				f.BoolVarP(&o.force, "force", "f", false, "replace a file that has the new name")
			},
			run: move,
		},
		{name: "du", use: "du TARGET...", short: "count files and bytes", least: 1, help: "Count the files below a folder and their bytes.", run: usageOf},
		{name: "cat", use: "cat TARGET", short: "write a file to standard output", least: 1, most: 1, help: "Write the content of a file to standard output.", run: cat},
		{
			name: "clean", use: "clean [--older AGE] [--dry-run] TARGET...", short: "remove what transfers left unfinished", least: 1,
			help: "Remove what transfers that never came back left below a folder: partial files, uploads that are open, and the notes\nbeside them. Each is named. What is removed cannot be resumed any more.",
			flags: func(f *pflag.FlagSet, o *fileOptions) {
				f.DurationVar(&o.older, "older", 24*time.Hour, "only what has not changed for this `time`")
				f.BoolVar(&o.dry, "dry-run", false, "only say what would be removed")
			},
			run: clean,
		},
		{
			name: "bench", use: "bench [--time TIME] [--upload | --download] [-l RATE] [user@]HOST...", short: "measure the path to a node", least: 1,
			help:  "Move made-up data between the memories of this machine and a node, first there, then back, and say how fast that was and what\nlimited it. Nothing is stored. Compare with a real transfer: if that is slower, a disk or a store is the limit. An upload needs\nthe right to write, a download the right to read.",
			flags: benchFlags, run: bench,
		},
	}
}

// fileCommandOf returns the command that the arguments ask for, nil if they ask for a transfer.
func fileCommandOf(args []string) *fileCommand {
	if len(args) == 0 {
		return nil
	}
	for _, c := range fileCommands() {
		if c.name == args[0] {
			return c
		}
	}
	return nil
}

// fileRun is one command under way.
type fileRun struct {
	o      *fileOptions
	p      cli.Process
	args   []string
	places []*place
	early  *ticketFile // nil until a node is dialed
	failed bool        // a target failed, and was spoken of
}

// runFiles is Run for these commands.
func runFiles(ctx context.Context, cmd *fileCommand, p cli.Process) int {
	o := &fileOptions{}
	f := pflag.NewFlagSet("twcp "+cmd.name, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	if cmd.flags != nil {
		cmd.flags(f, o)
	}
	f.BoolVar(&o.json, "json", false, "print a JSON object a line")
	connectionFlags(f, &o.options)
	f.StringVar(&o.profile, "profile", "", cli.ProfileHelp)
	f.BoolVarP(&o.help, "help", "h", false, "print this text")
	o.flags = f
	c := &fileRun{o: o, p: p}
	err := f.Parse(p.Args[1:])
	c.args = f.Args()
	switch {
	case err != nil:
		err = usageText(err)
	case o.help:
		fmt.Fprintf(p.Stdout, "Usage:\n  twcp %s\n\n%s\n\nOptions:\n%s%s", cmd.use, cmd.help, f.FlagUsagesWrapped(100), cmd.footer())
		return 0
	case len(c.args) < cmd.least || cmd.most > 0 && len(c.args) > cmd.most:
		err = usagef("wrong number of targets; usage: twcp %s", cmd.use)
	default:
		var profiled func() error
		if profiled, err = cli.Profile(o.profile); err == nil {
			err = errors.Join(cmd.run(ctx, c), profiled())
		}
	}
	if cerr := c.close(); err == nil {
		err = cerr
	}
	if err != nil {
		c.fail("", err)
	}
	if c.failed {
		return 1
	}
	return 0
}

// fail reports a target that failed; others go on. With --json it is an object among the others, too.
func (c *fileRun) fail(target string, err error) {
	c.failed = true
	if e, ok := err.(*transfer.Error); ok && target != "" {
		bare := *e
		bare.Path = "" // the target says it, in the user's words
		err = &bare
	}
	if objstore.IsURI(target) {
		if _, perr := objstore.ParseURI(target); perr != nil {
			scheme, _, _ := strings.Cut(target, "://")
			target = scheme + "://..." // perhaps there is a secret in it
		}
	}
	var sig cli.SignalError
	text := errorText(err)
	switch {
	case errors.As(err, &sig):
		text = fmt.Sprintf("stopped by signal (%s); what was done stays done", sig)
	case errors.Is(err, context.Canceled):
		text = "stopped; what was done stays done"
	}
	if c.o.json {
		code := codeOf(err)
		_ = c.json(struct { // standard error has it anyway
			Target   string        `json:"target,omitempty"`
			Error    string        `json:"error"`
			Code     transfer.Code `json:"code"`
			Mnemonic string        `json:"mnemonic"`
		}{target, text, code, code.String()})
	}
	if target != "" {
		text = fmt.Sprintf("%s: %s", cli.Shown(target), text)
	}
	fmt.Fprintln(c.p.Stderr, "twcp: "+text)
}

// each runs fn for every target; one that fails does not keep the others from their turn.
func (c *fileRun) each(ctx context.Context, fn func(r *transfer.Remote, name, target string) error) error {
	for _, target := range c.args {
		r, name, err := c.open(ctx, target)
		if err == nil {
			err = fn(r, name, target)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			c.fail(target, err)
		}
	}
	return nil
}

func list(ctx context.Context, c *fileRun) error {
	first := true
	return c.each(ctx, func(r *transfer.Remote, name, target string) error {
		out := newLister(c)
		if len(c.args) > 1 {
			out.target = target
			if !c.o.json {
				blank := "\n"
				if first {
					first, blank = false, ""
				}
				fmt.Fprintf(c.p.Stdout, "%s%s:\n", blank, cli.Shown(target))
			}
		}
		for in, err := range r.List(ctx, name, transfer.WalkOptions{Deep: c.o.deep, Match: c.o.match}) {
			if err != nil {
				return errors.Join(out.flush(), err)
			}
			if err := out.add(in); err != nil {
				return err
			}
		}
		return out.flush()
	})
}

// lister prints a listing. A folder of human size is sorted; a larger one comes as it comes, so that nothing is kept.
type lister struct {
	c      *fileRun
	target string // set if there are several
	items  []transfer.Info
	loose  bool
}

const sortedItems = 10_000

func newLister(c *fileRun) *lister { return &lister{c: c, loose: c.o.json} }

func (l *lister) add(in transfer.Info) error {
	if l.loose {
		return l.print(in)
	}
	if l.items = append(l.items, in); len(l.items) < sortedItems {
		return nil
	}
	l.loose = true
	return l.flush()
}

func (l *lister) flush() error {
	slices.SortFunc(l.items, func(a, b transfer.Info) int { return strings.Compare(a.Name, b.Name) })
	for _, in := range l.items {
		if err := l.print(in); err != nil {
			return err
		}
	}
	l.items = nil
	return nil
}

func (l *lister) print(in transfer.Info) error {
	if l.c.o.json {
		return l.c.json(itemJSON(in.Name, l.target, in))
	}
	name := cli.Shown(in.Name)
	if in.Mode.IsDir() {
		name += "/"
	}
	if !l.c.o.long {
		_, err := fmt.Fprintln(l.c.p.Stdout, name)
		return err
	}
	class := in.Class
	if class == "" {
		class = "-"
	}
	_, err := fmt.Fprintf(l.c.p.Stdout, "%14s  %-20s  %-10s  %s\n", sizeText(in), timeText(in.Mtime), class, name)
	return err
}

func stat(ctx context.Context, c *fileRun) error {
	return c.each(ctx, func(r *transfer.Remote, name, target string) error {
		in, err := r.Stat(ctx, name)
		if err != nil {
			return err
		}
		if c.o.json {
			return c.json(itemJSON(target, "", in))
		}
		w := c.p.Stdout
		fmt.Fprintf(w, "%s\n  type      %s\n", cli.Shown(target), typeOf(in))
		if !in.Mode.IsDir() {
			fmt.Fprintf(w, "  size      %d\n", in.Size)
		}
		fmt.Fprintf(w, "  modified  %s\n", timeText(in.Mtime))
		if in.Ctime != 0 {
			fmt.Fprintf(w, "  changed   %s\n", timeText(in.Ctime))
		}
		for _, f := range [][2]string{{"etag", in.ETag}, {"class", in.Class}} {
			if f[1] != "" {
				fmt.Fprintf(w, "  %-9s %s\n", f[0], f[1])
			}
		}
		return nil
	})
}

func mkdir(ctx context.Context, c *fileRun) error {
	return c.each(ctx, func(r *transfer.Remote, name, _ string) error { return r.Mkdir(ctx, name) })
}

func remove(ctx context.Context, c *fileRun) error {
	return c.each(ctx, func(r *transfer.Remote, name, target string) error {
		n, err := r.Remove(ctx, name, c.o.deep)
		var e *transfer.Error
		if c.o.force && errors.As(err, &e) && e.Code == transfer.CodeNoSuchFile {
			return nil
		}
		if err != nil {
			return err
		}
		return c.count(target, "removed", n)
	})
}

func move(ctx context.Context, c *fileRun) error {
	from, old, err := c.open(ctx, c.args[0])
	if err != nil {
		return err
	}
	to, name, err := c.open(ctx, c.args[1])
	if err != nil {
		return err
	}
	if from != to {
		return usagef("%s and %s are in different places: copy with twcp, and remove the source when all is there", c.args[0], c.args[1])
	}
	if name, err = intoFolder(ctx, to, old, name); err != nil {
		return err
	}
	n, err := from.Rename(ctx, old, name, c.o.force)
	if err != nil {
		return err
	}
	return c.count(c.args[1], "moved", n)
}

// intoFolder is the new name of what goes to name: in it, if that is a folder or is meant to be one.
func intoFolder(ctx context.Context, r *transfer.Remote, old, name string) (string, error) {
	if clean := strings.Trim(name, "/"); clean != "" && clean != "." && !strings.HasSuffix(name, "/") {
		in, err := r.Stat(ctx, name)
		var e *transfer.Error
		switch {
		case errors.As(err, &e) && (e.Code == transfer.CodeNoSuchFile || e.Code == transfer.CodeNoPerms):
			return name, nil // not there, or not to be looked at: renaming says what is wrong
		case err != nil:
			return "", err
		case !in.Mode.IsDir():
			return name, nil
		}
	}
	base := path.Base("/" + strings.Trim(old, "/"))
	if base == "/" || base == "." {
		return name, nil // the place itself, which is refused
	}
	return strings.TrimRight(name, "/") + "/" + base, nil
}

func usageOf(ctx context.Context, c *fileRun) error {
	return c.each(ctx, func(r *transfer.Remote, name, target string) error {
		files, bytes, err := r.Usage(ctx, name)
		if err != nil {
			return err
		}
		if c.o.json {
			return c.json(struct {
				Name  string `json:"name"`
				Files int64  `json:"files"`
				Bytes int64  `json:"bytes"`
			}{target, files, bytes})
		}
		_, err = fmt.Fprintf(c.p.Stdout, "%14d bytes  %10d files  %s\n", bytes, files, cli.Shown(target))
		return err
	})
}

func clean(ctx context.Context, c *fileRun) error {
	return c.each(ctx, func(r *transfer.Remote, name, _ string) error {
		for l, err := range r.Clean(ctx, name, c.o.older, c.o.dry) {
			if err != nil {
				return err
			}
			if c.o.json {
				err = c.json(struct {
					Name    string `json:"name"`
					Kind    string `json:"kind"`
					Size    int64  `json:"size"`
					Begun   string `json:"begun"`
					Removed bool   `json:"removed"`
				}{l.Name, l.Kind, l.Size, timeText(unixNano(l.Begun)), !c.o.dry})
			} else {
				what := "removed"
				if c.o.dry {
					what = "would remove"
				}
				_, err = fmt.Fprintf(c.p.Stdout, "%s %s of %s, %s\n", what, l.Kind, cli.Shown(l.Name), timeText(unixNano(l.Begun)))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// cat is a transfer to standard output.
func cat(ctx context.Context, c *fileRun) error {
	if c.o.json {
		return usagef("--json: what cat prints is the content of the file")
	}
	if err := c.refuseFolder(ctx, c.args[0]); err != nil {
		return err
	}
	o := c.o.options
	full := &options{}
	full.flags = flagSet(full)
	if err := full.flags.Parse(nil); err != nil { // the defaults of transfers
		return err
	}
	full.udpPort, full.fingerprint, full.ignoreHostKey, full.knownHosts, full.idleTimeout = o.udpPort, o.fingerprint, o.ignoreHostKey, o.knownHosts, o.idleTimeout
	full.tcpPort, full.wsConnect, full.keyFile, full.checkSSHFP, full.fixedPort = o.tcpPort, o.wsConnect, o.keyFile, o.checkSSHFP, o.flags.Changed("udp-port")
	if o.wsConnect && o.flags.Changed("tcp-port") {
		full.wssPort = o.tcpPort
	}
	full.args, full.quiet = []string{c.args[0], stores.Stdio + "://"}, true
	if !isPlace(c.args[0]) {
		full.args[0] = "file://" + absolute(c.args[0])
	}
	p := c.p
	p.Args = full.args
	res, err := copyFiles(ctx, full, p, plainDisplay{w: io.Discard, quiet: true})
	if err != nil && res != nil && len(res.Errors) > 0 {
		return &transfer.Error{Code: res.Errors[0].Code, Err: errors.New(res.Errors[0].Text)}
	}
	return err
}

// refuseFolder says that a folder has no content to print. Whatever else is wrong with the target the transfer says.
func (c *fileRun) refuseFolder(ctx context.Context, target string) error {
	r, name, err := c.open(ctx, target)
	var e *transfer.Error
	if errors.As(err, &e) && e.Code == transfer.CodeUsage {
		return nil // a node that can only be transferred from
	}
	if err != nil {
		return err
	}
	if in, err := r.Stat(ctx, name); err == nil && in.Mode.IsDir() {
		return &transfer.Error{Code: transfer.CodeIsDir, Path: target, Err: syscall.EISDIR}
	}
	return c.close() // the transfer has a session of its own
}
