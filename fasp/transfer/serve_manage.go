package transfer

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tradewind-io/tradewind/fasp"
)

// manage serves a session that looks at files and arranges them: one operation after the other, until the client closes.
func (v *server) manage(ctx context.Context, j job, ans *answer) error {
	m, ok := v.cfg.Store.(Manager)
	if !ok {
		return failf(CodeUsage, "", "this place can only be transferred to and from")
	}
	j.out.put(recAnswer, ans.encode())
	v.start()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return j.out.run(ctx, j.sess) })
	g.Go(func() error {
		for {
			typ, body, err := j.in.next(ctx)
			if err != nil {
				return err
			}
			if typ != recOp {
				continue // section 21.2
			}
			o, err := decodeOp(body)
			if err != nil {
				return protocolError(err)
			}
			if err := v.operate(ctx, j, m, o); err != nil {
				return err
			}
		}
	})
	err := g.Wait()
	if closedWell(err) {
		return nil
	}
	return err
}

// operate does one operation. Its error ends the session.
func (v *server) operate(ctx context.Context, j job, m Manager, o *op) error {
	end := &opEnded{ID: o.ID}
	put := func(i *opItem) error {
		if err := j.out.wait(ctx); err != nil { // a client that does not read is not read for
			return err
		}
		j.out.put(recOpItem, i.encode())
		return nil
	}
	err := v.permit(o)
	var name, to string
	if err == nil {
		name, err = cleanPath(o.Name)
	}
	if err == nil && o.Kind == opRename {
		to, err = cleanPath(o.To)
	}
	if err == nil {
		switch o.Kind {
		case opStat:
			var in Info
			if in, err = m.Stat(ctx, name, true); err == nil {
				err = put(itemOf(o.ID, &in))
			}
		case opList:
			err = m.Walk(ctx, name, WalkOptions{Deep: o.Flag, Match: o.To}, func(in Info) error {
				end.Count++
				return put(itemOf(o.ID, &in))
			})
		case opMkdir:
			err = m.Mkdir(ctx, name)
		case opRemove:
			end.Count, err = m.Remove(ctx, name, o.Flag)
		case opRename:
			end.Count, err = m.Rename(ctx, name, to, o.Flag)
		case opUsage:
			end.Count, end.Bytes, err = usage(ctx, m, name)
		case opClean:
			err = m.Clean(ctx, name, time.Duration(o.Age), o.Flag, func(l Leftover) error {
				end.Count++
				i := &opItem{ID: o.ID, Name: l.Name, Kind: l.Kind, Size: l.Size}
				if !l.Begun.IsZero() {
					i.Mtime = l.Begun.UnixNano()
				}
				return put(i)
			})
		default:
			err = failf(CodeUsage, "", "operation %d is not known to this node", o.Kind)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		e := storeError(CodeDiskRead, "", printable(o.Name), err)
		end.Code, end.Text = e.Code, e.Error()
		if e.Err != nil {
			end.Text = e.Err.Error()
		}
		v.log.Debug("operation failed", "op", int(o.Kind), "name", o.Name, "error", err)
	} else if o.Kind >= opMkdir && o.Kind != opUsage {
		v.log.Info("operation", "op", int(o.Kind), "name", o.Name, "to", o.To, "count", end.Count, "dry", o.Kind == opClean && o.Flag)
	}
	j.out.put(recOpEnded, end.encode())
	return nil
}

// permit refuses what the limits do not grant.
func (v *server) permit(o *op) error {
	l := v.cfg.Limits
	ok := true
	switch o.Kind {
	case opStat:
		ok = l.List || l.Read
	case opList, opUsage:
		ok = l.List
	case opMkdir:
		ok = l.Write
	case opRemove, opClean:
		ok = l.Delete
	case opRename:
		ok = l.Write && l.Delete
	}
	if !ok {
		return failf(CodeNoPerms, "", "the access key may not do this")
	}
	return nil
}

// closedWell says whether err is the peer's end of a session that had done its work.
func closedWell(err error) bool {
	var pe *fasp.PeerError
	return errors.As(err, &pe) && pe.Code == fasp.CodeDone
}
