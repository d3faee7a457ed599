package sshd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

// ascmd answers lines with commands until as_exit or the end of input (docs/ascmd.md).
func (u *user) ascmd(ctx context.Context, version int, in io.Reader, out io.Writer) error {
	a := &ascmd{u: u, version: version, out: out}
	if version == 1 {
		if err := a.info(); err != nil {
			return err
		}
	}
	lines := bufio.NewReaderSize(in, maxCommand)
	for {
		b, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			// Where the next command begins is not known any more.
			return errors.Join(a.fail(invalid("the line is too long")), errors.New("ascmd: a line is too long"))
		case err != nil && len(b) == 0:
			return nil // the client has gone, or said all
		}
		line := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
		more, werr := a.line(ctx, line)
		if werr != nil || !more || err != nil {
			return werr
		}
	}
}

// ascmd is one run of the command.
type ascmd struct {
	u       *user
	version int
	told    bool // the info record was sent
	out     io.Writer
}

// command is what a line asks for.
type command struct {
	name  string
	least int // arguments
	most  int
	may   func(accesskey.Rights) bool
	do    func(ctx context.Context, a *ascmd, m transfer.Manager, names []string) error
}

var commands = []command{
	{"as_ls", 0, 1, func(r accesskey.Rights) bool { return r.List }, list},
	{"as_du", 1, 1, func(r accesskey.Rights) bool { return r.List }, usage},
	{"as_df", 0, 0, func(r accesskey.Rights) bool { return r.List || r.Write }, free},
	{"as_md5sum", 1, 1, func(r accesskey.Rights) bool { return r.Read }, md5sum},
	{"as_mkdir", 1, 1, func(r accesskey.Rights) bool { return r.Write }, mkdir},
	{"as_mv", 2, 2, func(r accesskey.Rights) bool { return r.Write && r.Delete }, move},
	{"as_rm", 1, 1, func(r accesskey.Rights) bool { return r.Delete }, remove},
	{"as_cp", 2, 2, func(accesskey.Rights) bool { return true }, func(context.Context, *ascmd, transfer.Manager, []string) error {
		return notOffered("copying within the server is not offered; download and upload instead")
	}},
}

// line does what a line asks for. more is false after as_exit; an error is that of the connection, or of an account that may go on no more.
func (a *ascmd) line(ctx context.Context, line string) (more bool, err error) {
	defer a.u.work()()
	words, err := splitWords(line)
	switch {
	case err != nil:
		return true, a.fail(invalid(err.Error()))
	case len(words) == 0:
		return true, nil
	case words[0] == "as_exit":
		return false, nil
	case words[0] == "as_session_init":
		return true, a.begin(words[1:])
	}
	if err := a.first(); err != nil {
		return true, err
	}
	if words[0] == "as_info" {
		return true, a.info()
	}
	for _, c := range commands {
		if c.name == words[0] {
			return true, a.do(ctx, &c, words[1:])
		}
	}
	return true, a.fail(notOffered("no such command"))
}

// first sends the info record that comes before all answers.
func (a *ascmd) first() error {
	if a.told {
		return nil
	}
	return a.info()
}

// begin is as_session_init, which agrees on the protocol.
func (a *ascmd) begin(options []string) error {
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		switch {
		case name == "--protocol" && (value == "1" || value == "2"):
			a.version = int(value[0] - '0')
		case name == "--host":
		default:
			if err := a.first(); err != nil {
				return err
			}
			return a.fail(invalid("as_session_init: want --protocol=1 or 2, and --host=HOST"))
		}
	}
	return a.info()
}

func (a *ascmd) info() error {
	a.told = true
	b := appendText(nil, infoPlatform, runtime.GOOS)
	b = appendText(b, infoVersion, "tradewind "+a.u.s.cfg.Version)
	b = appendText(b, infoCodeset, "UTF-8")
	b = appendText(b, infoProtocol, fmt.Sprint(a.version))
	return a.send(recInfo, b)
}

// send writes a record.
func (a *ascmd) send(typ byte, value []byte) error {
	_, err := a.out.Write(appendRecord(nil, typ, value))
	return err
}

func (a *ascmd) fail(e *errno) error {
	return a.send(recError, appendText(append32(nil, errorNumber, e.number), errorText, e.text))
}

// sendError is an error of the connection, not of a command.
type sendError struct{ error }

// do runs a command in the place of the account, as the account is now.
func (a *ascmd) do(ctx context.Context, c *command, args []string) error {
	acc, err := a.u.current(ctx)
	if err != nil {
		return errors.Join(a.fail(&errno{errAccess.number, err.Error()}), err)
	}
	err = a.try(ctx, c, args, acc)
	var se sendError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &se):
		return se.error
	}
	e := errnoOf(err)
	a.u.log.Debug("command failed", "command", c.name, "errno", e.number, "error", err)
	if e == errIO {
		a.u.log.Warn("command failed", "command", c.name, "error", err)
	}
	return a.fail(e)
}

func (a *ascmd) try(ctx context.Context, c *command, args []string, acc Account) error {
	if slices.ContainsFunc(args, func(p string) bool { return strings.HasPrefix(p, "-") }) {
		return invalid(c.name + ": options are not offered; write ./ before a name that begins with -")
	}
	if len(args) < c.least || len(args) > c.most {
		return invalid(c.name + ": wrong number of arguments")
	}
	if !c.may(acc.Grant.Rights) {
		return errAccess
	}
	names := make([]string, len(args))
	for i, p := range args {
		var err error
		if names[i], err = transfer.CleanPath(p); err != nil {
			return err
		}
	}
	m, release, err := a.u.s.cfg.Places.Open(ctx, acc.Grant)
	if err != nil {
		a.u.log.Error("the account's folder cannot be opened", "root", acc.Grant.Root, "error", err)
		return &errno{errIO.number, "the account's folder cannot be opened"}
	}
	defer release()
	return c.do(ctx, a, m, names)
}

// success is the answer of commands that say no more.
func (a *ascmd) success(err error) error {
	if err != nil {
		return err
	}
	return sent(a.send(recSuccess, nil))
}

// sent marks the error of an answer that did not reach the client.
func sent(err error) error {
	if err != nil {
		return sendError{err}
	}
	return nil
}

// linkText is where the link at name leads. One that leads out of the place is shown without: its text names folders of the host.
func linkText(ctx context.Context, m transfer.Manager, name string) string {
	to, err := m.Readlink(ctx, name)
	if err != nil || strings.HasPrefix(to, "/") || strings.ContainsAny(to, `\:`) {
		return ""
	}
	if full := path.Join(path.Dir(name), to); full == ".." || strings.HasPrefix(full, "../") {
		return ""
	}
	return to
}
