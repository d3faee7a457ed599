package sshd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/tradewind-io/tradewind/accesskey"
	"github.com/tradewind-io/tradewind/fasp/transfer"
)

var errTicket = errors.New("tradewind-ticket: want upload PATH..., download PATH... or manage")

// ticket is the command tradewind-ticket (docs/protocol-auth.md section 46).
func (u *user) ticket(ctx context.Context, args []string, out io.Writer) error {
	defer u.work()()
	d, paths, err := ticketFor(args)
	if err != nil {
		return err
	}
	a, err := u.current(ctx)
	if err != nil {
		return err
	}
	r := a.Grant.Rights
	if d == accesskey.Upload && !r.Write || d == accesskey.Download && !r.Read {
		return fmt.Errorf("tradewind-ticket: %s is not allowed", args[0])
	}
	t, err := u.s.cfg.Tickets.Ticket(ctx, a.Grant, d, paths)
	if err != nil {
		return fmt.Errorf("tradewind-ticket: %w", err)
	}
	u.log.Info("ticket handed over", "for", args[0], "paths", len(paths))
	return json.NewEncoder(out).Encode(t)
}

// ticketFor reads the arguments.
func ticketFor(args []string) (d accesskey.Direction, paths []string, err error) {
	switch {
	case len(args) == 1 && args[0] == "manage":
		return accesskey.Manage, nil, nil
	case len(args) > 1 && args[0] == "upload":
		d = accesskey.Upload
	case len(args) > 1 && args[0] == "download":
		d = accesskey.Download
	default:
		return 0, nil, errTicket
	}
	for _, p := range args[1:] {
		name, err := transfer.CleanPath(p)
		if err != nil {
			return 0, nil, fmt.Errorf("tradewind-ticket: %w", err)
		}
		paths = append(paths, name)
	}
	return d, paths, nil
}
