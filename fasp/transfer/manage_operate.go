package transfer

import (
	"context"
	"time"
)

// operate does one operation.
func (w *operator) operate(ctx context.Context, o *op) *opEnded {
	log := w.v.log
	end := &opEnded{ID: o.ID}
	err := w.dispatch(ctx, o, end)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	switch {
	case err != nil:
		e := storeError(opFailure(o.Kind), "", printable(o.Name), err)
		end.Code, end.Text = e.Code, e.Error()
		if e.Err != nil {
			end.Text = e.Err.Error()
		}
		log.Debug("operation failed", "op", o.Kind.String(), "name", o.Name, "code", int(e.Code), "error", err)
	case o.Kind.changes() && !(o.Kind == opClean && o.Flag):
		log.Info("operation", "op", o.Kind.String(), "name", o.Name, "to", o.To, "count", end.Count)
	}
	return end
}

// dispatch does what o asks for, within the limits, and counts in end. What cannot be said of a place ends the operation;
// a name that is too long for a record is left out and makes it fail at the end.
func (w *operator) dispatch(ctx context.Context, o *op, end *opEnded) error {
	if err := w.permit(o.Kind); err != nil {
		return err
	}
	name, err := cleanPath(o.Name)
	if err != nil {
		return err
	}
	var long error
	put := func(i *opItem) error {
		if len(i.Name) > maxName {
			long = failf(CodePathTooLong, "", "some names are longer than %d bytes", maxName)
			return nil
		}
		if err := w.out.wait(ctx); err != nil { // nobody reads: then nothing is read here, either
			return err
		}
		end.Count++
		w.out.put(recOpItem, i.encode())
		return nil
	}
	switch o.Kind {
	case opStat:
		in, err := w.m.Stat(ctx, name, true)
		if err != nil {
			return err
		}
		err = put(itemOf(o.ID, &in))
		return orElse(err, long)
	case opList:
		err = w.m.Walk(ctx, name, WalkOptions{Deep: o.Flag, Match: o.To}, func(in Info) error { return put(itemOf(o.ID, &in)) })
		return orElse(err, long)
	case opMkdir:
		return w.m.Mkdir(ctx, name)
	case opRemove:
		end.Count, err = w.m.Remove(ctx, name, o.Flag)
		return err
	case opRename:
		to, err := cleanPath(o.To)
		if err != nil {
			return err
		}
		end.Count, err = w.m.Rename(ctx, name, to, o.Flag)
		return err
	case opUsage:
		end.Count, end.Bytes, err = usage(ctx, w.m, name)
		return err
	case opClean:
		err = w.m.Clean(ctx, name, time.Duration(o.Age), o.Flag, func(l Leftover) error {
			return put(&opItem{ID: o.ID, Name: l.Name, Kind: l.Kind, Size: l.Size, Mtime: nanos(l.Begun)})
		})
		return orElse(err, long)
	}
	return failf(CodeUsage, "", "operation %d is not known to this node", o.Kind)
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// permit refuses what the limits do not grant.
func (w *operator) permit(k opKind) error {
	l := w.v.cfg.Limits
	ok := true
	switch k {
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

// changes says whether an operation changes the place.
func (k opKind) changes() bool {
	return k == opMkdir || k == opRemove || k == opRename || k == opClean
}

// opFailure is the code of a failure that is not recognised.
func opFailure(k opKind) Code {
	if k.changes() {
		return CodeDiskWrite
	}
	return CodeDiskRead
}
